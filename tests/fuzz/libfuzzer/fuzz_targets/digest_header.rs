#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::sip_text::digest_header(bytes));
