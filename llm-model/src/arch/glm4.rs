//! GLM 4: norms before and after, neighboring numbers of half of each head rotated, gate and up in one tensor.

use super::fields::{Defaults, Fields};
use super::layout::{Interleaved, Layout, Rows, Split};
use crate::{ConfigError, LayerType, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(2),
        head_dim: Some(128),
        eps: ("rms_norm_eps", 1.5625e-7),
        partial_rotary_factor: 0.5,
        max_position_embeddings: 131_072,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    Ok(ModelConfig { layer: LayerType::Sandwich, qkv_bias: fields.bool_or("attention_bias", true)?, ..base })
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    let inner = config.intermediate_size;
    Layout {
        renames: &[
            (".post_attention_layernorm.", ".pre_feedforward_layernorm."),
            (".post_self_attn_layernorm.", ".post_attention_layernorm."),
            (".post_mlp_layernorm.", ".post_feedforward_layernorm."),
        ],
        splits: vec![Split::new(".gate_up_proj.", &[(".gate_proj.", Rows::range(0, inner)), (".up_proj.", Rows::range(inner, inner))])],
        interleaved: Some(Interleaved { head_dim: config.head_dim, dim: config.rope.dim }),
        ..Layout::default()
    }
}
