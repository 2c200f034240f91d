//! StableLM: Llama with layer norms and a rotation of a part of each head; StableLM 2 12B also with norms of the heads, side by side.

use super::fields::{Defaults, Fields};
use super::layout::{Layout, Numbered};
use crate::{ConfigError, LayerType, ModelConfig, NormType, QkNorm};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(32),
        eps: ("layer_norm_eps", 1e-5),
        partial_rotary_factor: 0.25,
        max_position_embeddings: 4096,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let parallel = fields.bool_or("use_parallel_residual", false)?;
    Ok(ModelConfig {
        layer: if parallel { LayerType::Parallel } else { LayerType::PreNorm },
        norm: NormType::LayerBias,
        qk_norm: if fields.bool_or("qk_layernorm", false)? { QkNorm::LayerOfHead } else { QkNorm::None },
        qkv_bias: fields.bool_or("use_qkv_bias", false)?,
        ..base
    })
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    Layout {
        renames: &[(".q_layernorm.", ".q_norm."), (".k_layernorm.", ".k_norm.")],
        numbered: Some(Numbered { marker: ".norms.", count: config.head_dim }),
        ..Layout::default()
    }
}
