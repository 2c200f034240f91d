//! Mixtral: Mistral with experts.

use super::fields::{Defaults, Fields};
use super::layout::Layout;
use crate::{ConfigError, ExpertsConfig, MlpType, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults {
        num_key_value_heads: Some(8),
        eps: ("rms_norm_eps", 1e-5),
        rope_theta: 1e6,
        max_position_embeddings: 131_072,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let window = fields.positions("sliding_window")?;
    let experts = ExpertsConfig {
        num_experts: fields.size_or("num_local_experts", 8)?,
        num_experts_per_tok: fields.size_or("num_experts_per_tok", 2)?,
        intermediate_size: base.intermediate_size,
        shared_intermediate_size: None,
        norm_topk_prob: true,
        dense_layers: Vec::new(),
    };
    Ok(ModelConfig {
        mlp: MlpType::Experts,
        experts: Some(fields.fitting(experts)?),
        sliding_windows: vec![window; base.num_hidden_layers],
        ..base
    })
}

pub(super) fn layout(_: &ModelConfig) -> Layout {
    Layout {
        renames: &[(".block_sparse_moe.", ".mlp."), (".w1.", ".gate_proj."), (".w3.", ".up_proj."), (".w2.", ".down_proj.")],
        ..Layout::default()
    }
}
