#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::dialog_ops::dialog_ops(bytes));
