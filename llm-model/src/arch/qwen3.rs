//! Qwen3: an RMS norm on each query and key head, `head_dim` apart from the hidden size.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ModelConfig, QkNorm};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults { num_key_value_heads: Some(32), head_dim: Some(128), ..Defaults::default() })?;
    let attention_bias = fields.bool_or("attention_bias", false)?;
    let sliding_windows = fields.windows_from(base.num_hidden_layers)?;
    Ok(ModelConfig { qkv_bias: attention_bias, o_bias: attention_bias, qk_norm: QkNorm::Head, sliding_windows, ..base })
}
