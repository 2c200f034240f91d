//! Files that llama.cpp's converter wrote give transformers' ids and log-probabilities; `fixtures/gguf/make.py` made both.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{PACKED, check_steps, cpu, furthest_logprob, greedy, ids, load, run};

/// The GGUF files of `folder` that have expectations beside them, in order of name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "gguf")).collect();
    files.sort();
    files
}

/// 24 greedy tokens behind each prompt, the five best of each step within 1e-3, whole and in chunks.
fn check(path: &Path) {
    let text = std::fs::read_to_string(path.with_extension("json")).expect("expectations");
    let expected: Value = serde_json::from_str(&text).expect("json");
    let model = load(path, &cpu());
    assert!(model.report().unexpected.is_empty(), "{}: {:?}", path.display(), model.report().unexpected);
    for prompt in expected["prompts"].as_array().expect("prompts") {
        for chunk in [512, 7] {
            let what = format!("{} {}, chunks of {chunk}", path.display(), prompt["name"]);
            if !model.report().quantized.is_empty() {
                // Experts in MXFP4; mxfp4.rs compares what they give in floats.
                let far = furthest_logprob(&model, prompt);
                assert!(far < PACKED, "{what}: {far}");
                continue;
            }
            let mut options = greedy(24);
            options.prefill_chunk = chunk;
            let done = run(&model, &ids(&prompt["prompt_tokens"]), &options);
            assert_eq!(done.tokens, ids(&prompt["tokens"]), "{what}");
            check_steps(&what, &prompt["top"], &done);
        }
    }
}

#[test]
fn every_architecture_of_gguf_equals_transformers() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf"));
    assert!(files.len() >= 24, "{}", files.len());
    files.iter().for_each(|path| check(path));
}

/// More files of the same kinds, in the folder that `LLM_GGUF_VARIANTS` names.
#[test]
fn gguf_variants_equal_transformers() {
    match std::env::var_os("LLM_GGUF_VARIANTS") {
        Some(folder) => files(Path::new(&folder)).iter().for_each(|path| check(path)),
        None => println!("skipped: LLM_GGUF_VARIANTS names no folder of files"),
    }
}
