//! config.json, generation_config.json and tokenizer_config.json, each of which is the same bytes.
#![no_main]

use std::path::Path;

use llm_infer::chat::ChatTemplate;
use llm_infer::checkpoint::Checkpoint;

/// A file of no tensors.
const EMPTY: &[u8] = b"\x02\0\0\0\0\0\0\0{}";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(ChatTemplate::from_tokenizer_config(Path::new("tokenizer_config.json"), bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(Checkpoint::from_bytes("fuzz", "{\"model_type\": \"llama\"}", Some(text), EMPTY));
    if let Ok(checkpoint) = Checkpoint::from_bytes("fuzz", text, None, EMPTY) {
        drop(checkpoint.model_config());
    }
});
