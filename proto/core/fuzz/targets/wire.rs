#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chapar_core_fuzz::wire::run(bytes));
