//! Models that GPTQ and AWQ packed compute what transformers computes with the weights that they mean.

use std::path::{Path, PathBuf};

use llm_infer::checkpoint::WeightDtype;
use llm_infer::convert::{ConvertOptions, Target, WeightType, convert};
use serde_json::Value;

use crate::support::{cpu, fixture, furthest_logprob, load, load_as};

/// A fixture of `grouped.py` with the tokenizer of another one, as those are only weights.
fn with_tokenizer(name: &str, folder: &Path) -> PathBuf {
    let (target, source) = (folder.join(name), fixture("llama").parent().expect("fixtures").join("grouped").join(name));
    std::fs::create_dir(&target).expect("folder");
    let copy = |from: &Path, file: &str| assert!(std::fs::copy(from.join(file), target.join(file)).is_ok(), "{name}: {file}");
    ["config.json", "model.safetensors"].iter().for_each(|file| copy(&source, file));
    ["tokenizer.json", "tokenizer_config.json"].iter().for_each(|file| copy(&fixture("llama"), file));
    target
}

#[test]
fn packed_by_others_they_compute_what_transformers_does() {
    let folder = tempfile::tempdir().expect("folder");
    let root = fixture("llama").parent().expect("fixtures").join("grouped");
    let mut seen = 0;
    for entry in std::fs::read_dir(root).expect("fixtures") {
        let entry = entry.expect("entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let expected: Value = serde_json::from_slice(&std::fs::read(entry.path().join("weights.json")).expect("weights")).expect("json");
        let packed = with_tokenizer(&name, folder.path());
        // As floats the weights are those of transformers.
        let floats = folder.path().join(format!("{name}-f32"));
        let options = ConvertOptions { target: Some(Target::HuggingFace), dtype: WeightType::F32, ..ConvertOptions::default() };
        convert(&packed.to_string_lossy(), &floats, &options).expect("converted");
        let exact = furthest_logprob(&load(&floats, &cpu()), &expected);
        assert!(exact < 1e-3, "{name} in floats: {exact}");
        let widened = furthest_logprob(&load(&packed, &cpu()), &expected);
        assert!(widened < 1e-3, "{name} widened: {widened}");
        // Packed kernels round activations to 8 bits; a matrix that is read in another way is off by whole units.
        let model = load_as(&packed, &cpu(), WeightDtype::Auto);
        let quantized = furthest_logprob(&model, &expected);
        assert!(quantized < if model.report().quantized.is_empty() { 1e-3 } else { 0.5 }, "{name}: {quantized}");
        println!("{name}: {exact:.6} in floats, {quantized:.4} packed");
        seen += 1;
    }
    assert_eq!(seen, 9);
}
