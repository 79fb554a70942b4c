#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chapar_relay_fuzz::reference::run(bytes));
