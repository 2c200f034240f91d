//! OLMo 2: norms behind attention and feed-forward, and on all queries and all keys together.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, LayerType, ModelConfig, QkNorm};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults { eps: ("rms_norm_eps", 1e-5), ..Defaults::default() })?;
    let bias = fields.bool_or("attention_bias", false)?;
    Ok(ModelConfig { layer: LayerType::PostNorm, qk_norm: QkNorm::Width, qkv_bias: bias, o_bias: bias, ..base })
}
