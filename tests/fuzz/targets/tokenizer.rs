//! tokenizer.json and SentencePiece's tokenizer.model, each of which is the same bytes.
#![no_main]

use std::path::Path;

use llm_infer::tokenizer::Tokenizer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_bytes(Path::new("tokenizer.json"), bytes, None) {
        targets::use_tokenizer(&tokenizer);
    }
    let model = targets::write("tokenizer.model", bytes);
    if let Ok(tokenizer) = Tokenizer::open(model.parent().unwrap_or(Path::new("."))) {
        targets::use_tokenizer(&tokenizer);
    }
});
