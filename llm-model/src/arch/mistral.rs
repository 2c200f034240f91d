//! Mistral: Llama with one sliding window on every layer.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults { num_key_value_heads: Some(8), ..Defaults::default() })?;
    // transformers' default stands in for an absent key, while `null` means no window.
    let window = if fields.has("sliding_window") { fields.positions("sliding_window")? } else { Some(4096) };
    Ok(ModelConfig { sliding_windows: vec![window; base.num_hidden_layers], ..base })
}
