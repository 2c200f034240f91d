//! PyTorch: the zip archive and the older layout, their pickles and tensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::write("config.json", b"{\"model_type\": \"llama\"}");
    targets::read_all(&targets::write("m.pt", bytes));
});
