//! Models that GPTQ and AWQ packed compute what transformers computes with the weights that they mean.

use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor, TensorData};
use llm_infer::Model;
use llm_infer::convert::{ConvertOptions, Target, WeightType, convert};
use llm_infer::llm_model::LogitsAt;
use serde_json::Value;

use crate::support::{cpu, fixture, ids, load};

/// A fixture of `grouped.py` with the tokenizer of another one, as those are only weights.
fn with_tokenizer(name: &str, folder: &Path) -> PathBuf {
    let (target, source) = (folder.join(name), fixture("llama").parent().expect("fixtures").join("grouped").join(name));
    std::fs::create_dir(&target).expect("folder");
    let copy = |from: &Path, file: &str| assert!(std::fs::copy(from.join(file), target.join(file)).is_ok(), "{name}: {file}");
    ["config.json", "model.safetensors"].iter().for_each(|file| copy(&source, file));
    ["tokenizer.json", "tokenizer_config.json"].iter().for_each(|file| copy(&fixture("llama"), file));
    target
}

/// Largest differences between log-probabilities of the five best of each of 24 steps, as transformers has them, and ours on its path.
fn error(model: &Model, expected: &Value) -> f64 {
    let (prompt, tokens) = (ids(&expected["prompt_tokens"]), ids(&expected["tokens"]));
    let all: Vec<i32> = prompt.iter().chain(&tokens[..tokens.len() - 1]).map(|id| *id as i32).collect();
    let length = all.len();
    let input = Tensor::<2, Int>::from_data(TensorData::new(all, [1, length]), &model.device().device);
    let logits: Vec<f32> = model.lm().forward_step(input, &[length], &LogitsAt::All, None).into_data().try_into_vec().expect("f32");
    let rows = logits.chunks(model.config().vocab_size).skip(prompt.len() - 1);
    let mut worst = 0.0_f64;
    for (row, want) in rows.zip(expected["top"].as_array().expect("steps")) {
        let sum = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        for pair in want.as_array().expect("five") {
            let (id, logprob) = (pair[0].as_u64().expect("id") as usize, pair[1].as_f64().expect("logprob"));
            worst = worst.max((f64::from(row[id]) - sum - logprob).abs());
        }
    }
    worst
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
        let exact = error(&load(&floats, &cpu()), &expected);
        assert!(exact < 1e-3, "{name} in floats: {exact}");
        // Packed kernels round activations to 8 bits; a matrix that is read in another way is off by whole units.
        let model = load(&packed, &cpu());
        let quantized = error(&model, &expected);
        assert!(quantized < if model.report().quantized.is_empty() { 1e-3 } else { 0.5 }, "{name}: {quantized}");
        println!("{name}: {exact:.6} in floats, {quantized:.4} packed");
        seen += 1;
    }
    assert_eq!(seen, 9);
}
