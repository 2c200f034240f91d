//! Granite: Llama with factors on embedding, attention scores, residuals and logits.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults::default())?;
    let bias = fields.bool_or("attention_bias", false)?;
    Ok(ModelConfig {
        qkv_bias: bias,
        o_bias: bias,
        mlp_bias: fields.bool_or("mlp_bias", false)?,
        attention_scale: Some(fields.positive_or("attention_multiplier", 1.0)?),
        embedding_multiplier: fields.positive("embedding_multiplier")?,
        residual_multiplier: fields.positive("residual_multiplier")?,
        logits_multiplier: fields.positive("logits_scaling")?.map(|scaling| 1.0 / scaling),
        ..base
    })
}
