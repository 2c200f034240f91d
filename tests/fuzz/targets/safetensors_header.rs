//! The header of safetensors, given without its length, and the same bytes as a whole file.
#![no_main]

use llm_infer::checkpoint::{Safetensors, WeightSource};

libfuzzer_sys::fuzz_target!(|header: &[u8]| {
    let whole = [&(header.len() as u64).to_le_bytes(), header, &[0; 64]].concat();
    for bytes in [&whole, header] {
        if let Ok(file) = Safetensors::open(targets::write("m.safetensors", bytes)) {
            for info in file.tensors() {
                drop(file.read(&info.name));
            }
        }
    }
});
