//! Cohere (Command R): attention and feed-forward side by side behind one layer norm, neighboring numbers rotated.

use super::fields::{Defaults, Fields};
use super::layout::{Interleaved, Layout};
use crate::{ConfigError, LayerType, ModelConfig, NormType, QkNorm};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        eps: ("layer_norm_eps", 1e-5),
        tie_word_embeddings: true,
        rope_theta: 500_000.0,
        max_position_embeddings: 8192,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let bias = fields.bool_or("attention_bias", false)?;
    // Written as null there is no factor; transformers would fail.
    let scale = if fields.has("logit_scale") { fields.positive("logit_scale")? } else { Some(0.0625) };
    Ok(ModelConfig {
        layer: LayerType::Parallel,
        norm: NormType::Layer,
        qk_norm: if fields.bool_or("use_qk_norm", false)? { QkNorm::LayerOfHead } else { QkNorm::None },
        qkv_bias: bias,
        o_bias: bias,
        logits_multiplier: scale,
        ..base
    })
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    Layout {
        interleaved: Some(Interleaved { head_dim: config.head_dim, dim: config.rope.dim }),
        head_norms: Some(config.head_dim),
        ..Layout::default()
    }
}
