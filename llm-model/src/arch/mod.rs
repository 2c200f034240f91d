//! The families: how each one's `config.json` maps into a [`ModelConfig`], and what its tensors are called.
//!
//! A family is one file named after its `model_type` and one line in `FAMILIES`.

mod fields;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{ConfigError, ModelConfig, quant};
use fields::{Fields, quoted};

/// `model_type` and the reader of its `config.json`.
type Family = (&'static str, fn(&Fields) -> Result<ModelConfig, ConfigError>);

const FAMILIES: &[Family] = &[("llama", llama::config), ("mistral", mistral::config), ("qwen2", qwen2::config), ("qwen3", qwen3::config)];

/// The `model_type`s that can be loaded.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

/// Reads a `config.json`; see [`ModelConfig::from_json`].
pub(crate) fn config(json: &Value) -> Result<ModelConfig, ConfigError> {
    let fields = Fields::new(json)?;
    let model_type = fields.string("model_type")?;
    let Some((_, read)) = FAMILIES.iter().find(|(name, _)| *name == model_type) else {
        let known = families().collect::<Vec<_>>().join(", ");
        return Err(ConfigError::new("model_type", quoted(model_type), format!("one of {known}")));
    };
    if let Some(quantized) = fields.object("quantization_config")? {
        let method = quantized.string_or("quant_method", "unknown")?;
        if method != quant::METHOD {
            return Err(ConfigError::new(
                "quantization_config",
                format!("weights quantized by {}", quoted(method)),
                format!("weights in f32, f16 or bf16, or quantized by `{}`", quant::METHOD),
            ));
        }
    }
    read(&fields)
}

/// The name in a Hugging Face checkpoint of the parameter at `path` in a [`crate::Transformer`].
///
/// Modules are named as Hugging Face names them, so that only the prefix differs.
pub fn tensor_name(path: &str) -> String {
    if path.starts_with("lm_head.") { path.to_owned() } else { format!("model.{path}") }
}
