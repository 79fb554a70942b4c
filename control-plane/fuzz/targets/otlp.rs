#![no_main]

libfuzzer_sys::fuzz_target!(|export: &[u8]| chapar_control_plane_fuzz::otlp::run(export));
