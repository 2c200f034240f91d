//! The families: how each one's `config.json` maps into a [`ModelConfig`], and what its tensors are called.
//!
//! A family is one file named after its `model_type` and one line in `FAMILIES`.

mod cohere;
mod falcon;
mod fields;
mod gemma;
mod gemma2;
mod gemma3_text;
mod glm4;
mod gpt2;
mod gpt_neox;
mod gpt_oss;
mod granite;
mod layout;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod phi;
mod phi3;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod qwen3_moe;
mod rope;
mod smollm3;
mod stablelm;
mod starcoder2;
#[cfg(test)]
mod tests;
mod wrapped;

use serde_json::Value;

use crate::{ConfigError, ModelConfig, quant};
use fields::{Fields, quoted};
pub use layout::{Interleaved, Layout, Numbered, Piece, Rows, Split, Stored, StoredPart};

/// A family: its `model_type`, the reader of its `config.json`, and how its tensors are stored where not one by one.
struct Family {
    name: &'static str,
    config: fn(&Fields) -> Result<ModelConfig, ConfigError>,
    layout: Option<fn(&ModelConfig) -> Layout>,
}

/// A family that stores each parameter under its name.
const fn plain(name: &'static str, config: fn(&Fields) -> Result<ModelConfig, ConfigError>) -> Family {
    Family { name, config, layout: None }
}

/// A family whose tensors become parameters by `layout`.
const fn laid_out(
    name: &'static str,
    config: fn(&Fields) -> Result<ModelConfig, ConfigError>,
    layout: fn(&ModelConfig) -> Layout,
) -> Family {
    Family { name, config, layout: Some(layout) }
}

const FAMILIES: &[Family] = &[
    laid_out("cohere", cohere::config, cohere::layout),
    laid_out("falcon", falcon::config, falcon::layout),
    laid_out("gemma", gemma::config, gemma::layout),
    laid_out("gemma2", gemma2::config, gemma::layout),
    laid_out("gemma3_text", gemma3_text::config, gemma::layout),
    laid_out("glm4", glm4::config, glm4::layout),
    laid_out("gpt2", gpt2::config, gpt2::layout),
    laid_out("gpt_neox", gpt_neox::config, gpt_neox::layout),
    laid_out("gpt_oss", gpt_oss::config, gpt_oss::layout),
    plain("granite", granite::config),
    plain("llama", llama::config),
    plain("mistral", mistral::config),
    laid_out("mixtral", mixtral::config, mixtral::layout),
    plain("olmo2", olmo2::config),
    laid_out("phi", phi::config, phi::layout),
    laid_out("phi3", phi3::config, phi3::layout),
    plain("qwen2", qwen2::config),
    plain("qwen2_moe", qwen2_moe::config),
    plain("qwen3", qwen3::config),
    plain("qwen3_moe", qwen3_moe::config),
    plain("smollm3", smollm3::config),
    laid_out("stablelm", stablelm::config, stablelm::layout),
    plain("starcoder2", starcoder2::config),
];

/// The `model_type`s that can be loaded.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name).chain(wrapped::WRAPPERS.iter().map(|wrapper| wrapper.name))
}

/// Reads a `config.json`; see [`ModelConfig::from_json`].
pub(crate) fn config(json: &Value) -> Result<ModelConfig, ConfigError> {
    let fields = Fields::new(json)?;
    match wrapped::of(fields.string("model_type")?) {
        Some(wrapper) => wrapper.config(&fields, family_config),
        None => family_config(&fields),
    }
}

/// Reads the configuration of a language model.
fn family_config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let model_type = fields.string("model_type")?;
    let Some(family) = FAMILIES.iter().find(|family| family.name == model_type) else {
        let known = families().collect::<Vec<_>>().join(", ");
        return Err(ConfigError::new("model_type", quoted(model_type), format!("one of {known}")));
    };
    if let Some(quantized) = fields.object("quantization_config")? {
        let method = quantized.string_or("quant_method", "unknown")?;
        if method != quant::METHOD && !(method == "mxfp4" && model_type == "gpt_oss") {
            return Err(ConfigError::new(
                "quantization_config",
                format!("weights quantized by {}", quoted(method)),
                format!("weights in f32, f16 or bf16, or quantized by `{}`", quant::METHOD),
            ));
        }
    }
    (family.config)(fields)
}

/// How the family of `config` stores its tensors; `None` where each parameter is stored as it is, under its name.
pub fn layout(config: &ModelConfig) -> Option<Layout> {
    if let Some(wrapper) = wrapped::of(&config.model_type) {
        return Some(wrapper.layout(config, layout));
    }
    let family = FAMILIES.iter().find(|family| family.name == config.model_type)?;
    family.layout.map(|layout| layout(config))
}

/// The name in a checkpoint of the parameter at `path` in a [`crate::Transformer`]; [`layout`] says where a family stores others.
///
/// Modules are named as Hugging Face names most of them, so that only the prefix differs.
pub fn tensor_name(path: &str) -> String {
    if path.starts_with("lm_head.") { path.to_owned() } else { format!("model.{path}") }
}
