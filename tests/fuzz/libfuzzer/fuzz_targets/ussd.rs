#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::sip_text::ussd(bytes));
