#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::engine_ops::engine_ops(bytes));
