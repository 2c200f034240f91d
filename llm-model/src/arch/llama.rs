//! Llama 1 to 3.x and all that share its shape: SmolLM2, TinyLlama, the R1 distills.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let attention_bias = fields.bool_or("attention_bias", false)?;
    Ok(ModelConfig {
        qkv_bias: attention_bias,
        o_bias: attention_bias,
        mlp_bias: fields.bool_or("mlp_bias", false)?,
        ..fields.base(Defaults::default())?
    })
}
