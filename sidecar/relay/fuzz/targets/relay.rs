#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chapar_relay_fuzz::scripted::run(bytes));
