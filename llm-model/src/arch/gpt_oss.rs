//! gpt-oss: experts behind a gate that is cut off, attention with a sink for each head, a window on every other layer, biases everywhere.

use super::fields::{Defaults, Fields};
use super::layout::{Layout, Rows, Split};
use crate::{ClippedGate, ConfigError, ExpertsConfig, MlpType, ModelConfig, RopeConfig, RopeScaling};

const THETA: f64 = 150_000.0;

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(8),
        head_dim: Some(64),
        eps: ("rms_norm_eps", 1e-5),
        rope_theta: THETA,
        max_position_embeddings: 131_072,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let layers = base.num_hidden_layers;
    let bias = fields.bool_or("attention_bias", true)?;
    let window = if fields.has("sliding_window") { fields.positions("sliding_window")? } else { Some(128) };
    let slides = fields.sliding_layers(layers, |layer| layer.is_multiple_of(2))?;
    let experts = ExpertsConfig {
        num_experts: fields.size_or("num_local_experts", fields.size_or("num_experts", 128)?)?,
        num_experts_per_tok: fields.size_or("num_experts_per_tok", 4)?,
        intermediate_size: base.intermediate_size,
        shared_intermediate_size: None,
        // A softmax over the chosen ones is one over all, scaled to 1.
        norm_topk_prob: true,
        dense_layers: Vec::new(),
    };
    let rope = if fields.get("rope_scaling").or(fields.get("rope_parameters")).is_some() {
        base.rope.clone()
    } else {
        RopeConfig { scaling: yarn(), ..base.rope.clone() }
    };
    Ok(ModelConfig {
        qkv_bias: bias,
        o_bias: bias,
        mlp_bias: true,
        mlp: MlpType::Experts,
        experts: Some(fields.fitting(experts)?),
        clipped_gate: Some(ClippedGate {
            alpha: fields.positive_or("swiglu_alpha", 1.702)?,
            limit: fields.positive_or("swiglu_limit", 7.0)?,
        }),
        attention_sinks: true,
        sliding_windows: slides.into_iter().map(|slides| window.filter(|_| slides)).collect(),
        rope,
        ..base
    })
}

/// The stretching where none is written.
fn yarn() -> RopeScaling {
    let factor: f64 = 32.0;
    RopeScaling::Yarn {
        factor,
        original_max_position_embeddings: 4096,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 0.1 * factor.ln() + 1.0,
        truncate: false,
    }
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    let inner = config.intermediate_size;
    let every_other = |first: usize| Rows { first, count: 1, stride: 2, groups: inner };
    Layout {
        renames: &[(".router.", ".gate.")],
        splits: vec![Split::new(".gate_up_proj.", &[(".gate_proj.", every_other(0)), (".up_proj.", every_other(1))])],
        stacked_experts: true,
        ..Layout::default()
    }
}
