//! Files that llama.cpp's converter wrote give transformers' ids and log-probabilities; `fixtures/gguf/make.py` made both.

use std::path::{Path, PathBuf};

use llm_infer::convert::{ConvertOptions, WeightType, convert};
use serde_json::Value;

use crate::support::{check_steps, cpu, greedy, ids, load, run};

/// The GGUF files of `folder` that have expectations beside them, in order of name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "gguf")).collect();
    files.sort();
    files
}

/// 24 greedy tokens behind each prompt, the five best of each step within 1e-3, whole and in chunks.
fn check(path: &Path) {
    check_as(path, &path.with_extension("json"));
}

/// The same for the model at `path` and what the file `expected` says.
fn check_as(path: &Path, expected: &Path) {
    let text = std::fs::read_to_string(expected).expect("expectations");
    let expected: Value = serde_json::from_str(&text).expect("json");
    let model = load(path, &cpu());
    assert!(model.report().unexpected.is_empty(), "{}: {:?}", path.display(), model.report().unexpected);
    for prompt in expected["prompts"].as_array().expect("prompts") {
        for chunk in [512, 7] {
            let what = format!("{} {}, chunks of {chunk}", path.display(), prompt["name"]);
            let mut options = greedy(24);
            options.prefill_chunk = chunk;
            let done = run(&model, &ids(&prompt["prompt_tokens"]), &options);
            assert_eq!(done.tokens, ids(&prompt["tokens"]), "{what}");
            check_steps(&what, &prompt["top"], &done);
        }
    }
}

/// The model at `from`, converted to `out` with weights of 32 bits.
fn in_floats(from: &Path, out: &Path) -> PathBuf {
    let options = ConvertOptions { dtype: WeightType::F32, ..ConvertOptions::default() };
    convert(&from.to_string_lossy(), out, &options).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    out.to_owned()
}

#[test]
fn every_architecture_of_gguf_equals_transformers() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gguf"));
    assert!(files.len() >= 24, "{}", files.len());
    files.iter().for_each(|path| check(path));
}

/// What `llm convert` makes of these files and of folders says the same.
#[test]
fn what_is_converted_equals_transformers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let scratch = tempfile::tempdir().expect("folder");
    let made = |from: &Path, name: &str| in_floats(from, &scratch.path().join(name));
    for path in files(&fixtures.join("gguf")) {
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        check_as(&made(&path, &name), &path.with_extension("json"));
    }
    let names =
        ["cohere", "falcon", "gemma", "glm4", "gpt2", "gpt_neox", "gpt_oss-mxfp4", "mistral-window", "mixtral", "mixtral-tied", "phi3"];
    for name in names.into_iter().chain(["stablelm-parallel", "starcoder2"]) {
        check_as(&made(&fixtures.join(name), &format!("{name}-written.gguf")), &fixtures.join(name).join("expected.json"));
    }
}

/// More files of the same kinds, in the folder that `LLM_GGUF_VARIANTS` names.
#[test]
fn gguf_variants_equal_transformers() {
    match std::env::var_os("LLM_GGUF_VARIANTS") {
        Some(folder) => files(Path::new(&folder)).iter().for_each(|path| check(path)),
        None => println!("skipped: LLM_GGUF_VARIANTS names no folder of files"),
    }
}
