//! StarCoder2: grouped heads, layer norms, biases everywhere and a plain feed-forward layer.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, MlpType, ModelConfig, NormType};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(2),
        eps: ("norm_epsilon", 1e-5),
        hidden_act: "gelu_pytorch_tanh",
        tie_word_embeddings: true,
        max_position_embeddings: 4096,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let (bias, window) = (fields.bool_or("use_bias", true)?, fields.positions("sliding_window")?);
    Ok(ModelConfig {
        norm: NormType::LayerBias,
        mlp: MlpType::Plain,
        qkv_bias: bias,
        o_bias: bias,
        mlp_bias: bias,
        sliding_windows: vec![window; base.num_hidden_layers],
        ..base
    })
}
