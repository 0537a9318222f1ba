#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::dialog_ops::transaction_ops(bytes));
