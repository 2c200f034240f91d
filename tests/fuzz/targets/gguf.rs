//! GGUF: header, metadata, tokenizer, template and every block of every tensor.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::read_all(&targets::write("m.gguf", bytes)));
