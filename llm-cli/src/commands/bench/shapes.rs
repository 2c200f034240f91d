//! Shapes of well-known models, for measurements without files.

use std::path::Path;

use llm_infer::Error;
use llm_infer::llm_model::ModelConfig;
use serde_json::{Value, json};

use crate::ui::Failure;

/// The names that `--shape` knows.
const NAMES: [&str; 5] = ["smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "tinyllama-1.1b", "llama-3.1-8b"];

/// The name and configuration that `shape` means: a known name, or a `config.json`.
///
/// # Errors
/// An unknown name, and whatever is wrong with the file.
pub fn find(shape: &str) -> anyhow::Result<(String, ModelConfig)> {
    let (name, config) = match known(shape) {
        Some(config) => (shape.to_owned(), config),
        None if shape.ends_with(".json") => read(Path::new(shape))?,
        None => {
            let failure = Failure::usage(format!("--shape: got `{shape}`, expected {} or a config.json", NAMES.join(", ")));
            return Err(failure.into());
        }
    };
    let wrong = |error: llm_infer::llm_model::ConfigError| Error::invalid(shape, error.field, error.got, error.expected);
    Ok((name, ModelConfig::from_json(&config).map_err(wrong)?))
}

fn read(path: &Path) -> llm_infer::Result<(String, Value)> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let config = serde_json::from_str(&text).map_err(|error| Error::invalid(path, "json", error, "a config.json"))?;
    let folder = path.parent().and_then(Path::file_name).or(path.file_stem());
    Ok((folder.unwrap_or_default().to_string_lossy().into_owned(), config))
}

/// The `config.json` of a known model, as far as speed depends on it.
fn known(name: &str) -> Option<Value> {
    Some(match name {
        "smollm2-135m" => json!({
            "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
            "num_attention_heads": 9, "num_key_value_heads": 3, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
            "rope_theta": 100000.0, "tie_word_embeddings": true, "hidden_act": "silu",
        }),
        "qwen2.5-0.5b" => json!({
            "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
            "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
            "rope_theta": 1000000.0, "tie_word_embeddings": true, "hidden_act": "silu",
        }),
        "llama-3.2-1b" => json!({
            "model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
            "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0, "tie_word_embeddings": true, "hidden_act": "silu",
        }),
        "tinyllama-1.1b" => json!({
            "model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
            "num_attention_heads": 32, "num_key_value_heads": 4, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": false, "hidden_act": "silu",
        }),
        "llama-3.1-8b" => json!({
            "model_type": "llama", "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0, "tie_word_embeddings": false, "hidden_act": "silu",
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_shape() {
        for name in NAMES {
            assert_eq!(find(name).expect(name).0, name);
        }
        let error = find("smollm").expect_err("no such shape").to_string();
        assert!(error.starts_with("--shape: got `smollm`, expected smollm2-135m"), "{error}");
    }
}
