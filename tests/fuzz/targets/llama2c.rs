//! Files of llama2.c, which have no mark at their beginning.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::read_all(&targets::write("m.bin", bytes)));
