//! Qwen2 with experts, one of which all tokens pass.

use super::fields::{Defaults, Fields};
use super::qwen3_moe::experts;
use crate::{ConfigError, MlpType, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults { num_key_value_heads: Some(16), ..Defaults::default() })?;
    let layers = base.num_hidden_layers;
    let slides = fields.bool_or("use_sliding_window", false)?;
    let window = match slides {
        true if fields.has("sliding_window") => fields.positions("sliding_window")?,
        true => Some(4096),
        false => None,
    };
    let before = fields.size_or("max_window_layers", 28)?;
    let sliding = fields.sliding_layers(layers, |layer| slides && layer.is_multiple_of(2) && layer < before)?;
    let shared = fields.size_or("shared_expert_intermediate_size", 5632)?;
    Ok(ModelConfig {
        qkv_bias: fields.bool_or("qkv_bias", true)?,
        mlp: MlpType::Experts,
        experts: Some(experts(fields, layers, [60, 4, 1408], Some(shared))?),
        sliding_windows: sliding.into_iter().map(|slides| window.filter(|_| slides)).collect(),
        ..base
    })
}
