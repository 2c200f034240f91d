//! Qwen2 and Qwen2.5: biases on queries, keys and values; windows on the upper layers if asked.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults { num_key_value_heads: Some(32), ..Defaults::default() })?;
    let sliding_windows = fields.windows_from(base.num_hidden_layers)?;
    Ok(ModelConfig { qkv_bias: true, sliding_windows, ..base })
}
