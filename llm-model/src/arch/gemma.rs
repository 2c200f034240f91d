//! Gemma: Llama with norms that multiply by 1 + w, GELU in the gate, and an embedding times √hidden.

use super::fields::{Defaults, Fields};
use super::layout::Layout;
use crate::{Activation, ConfigError, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    fields.must_be("use_bidirectional_attention", false)?;
    let base = base(fields, "hidden_act", None)?;
    // Published files say "gelu" and mean its approximation.
    let hidden_act = if base.hidden_act == Activation::Gelu { Activation::GeluTanh } else { base.hidden_act };
    Ok(ModelConfig { hidden_act, ..base })
}

/// What the Gemmas have in common; `queries` is the `query_pre_attn_scalar` of a family that has one and does not write it.
pub(super) fn base(fields: &Fields, act: &str, queries: Option<f64>) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(if act == "hidden_act" { 16 } else { 4 }),
        head_dim: Some(256),
        hidden_act: "gelu_pytorch_tanh",
        tie_word_embeddings: true,
        max_position_embeddings: 8192,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let bias = fields.bool_or("attention_bias", false)?;
    let scale = queries.map(|absent| fields.positive_or("query_pre_attn_scalar", absent)).transpose()?.map(|scalar| scalar.powf(-0.5));
    Ok(ModelConfig {
        qkv_bias: bias,
        o_bias: bias,
        attention_scale: scale,
        embedding_multiplier: Some(f64::from((base.hidden_size as f32).sqrt())),
        ..base
    })
}

pub(super) fn layout(_: &ModelConfig) -> Layout {
    Layout { one_plus_norms: true, ..Layout::default() }
}
