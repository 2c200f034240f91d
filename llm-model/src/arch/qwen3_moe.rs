//! Qwen3 with experts.

use super::fields::{Defaults, Fields};
use crate::{ConfigError, ExpertsConfig, MlpType, ModelConfig, QkNorm};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let base = fields.base(Defaults { num_key_value_heads: Some(4), ..Defaults::default() })?;
    let bias = fields.bool_or("attention_bias", false)?;
    let window = match fields.bool_or("use_sliding_window", false)? {
        true if fields.has("sliding_window") => fields.positions("sliding_window")?,
        true => Some(4096),
        false => None,
    };
    Ok(ModelConfig {
        qkv_bias: bias,
        o_bias: bias,
        qk_norm: QkNorm::Head,
        mlp: MlpType::Experts,
        experts: Some(experts(fields, base.num_hidden_layers, [128, 8, 768], None)?),
        sliding_windows: vec![window; base.num_hidden_layers],
        ..base
    })
}

/// The experts as Qwen's families write them; `absent` are their number, how many a token passes, and their width where not written.
pub(super) fn experts(fields: &Fields, layers: usize, absent: [usize; 3], shared: Option<usize>) -> Result<ExpertsConfig, ConfigError> {
    let step = fields.size_or("decoder_sparse_step", 1)?;
    let only = match fields.get("mlp_only_layers") {
        None => Vec::new(),
        Some(list) => {
            let list = list.as_array().and_then(|list| list.iter().map(serde_json::Value::as_u64).collect::<Option<Vec<_>>>());
            list.ok_or_else(|| fields.wrong("mlp_only_layers", "another type", "a list of layers"))?
        }
    };
    fields.fitting(ExpertsConfig {
        num_experts: fields.size_or("num_experts", fields.size_or("num_local_experts", absent[0])?)?,
        num_experts_per_tok: fields.size_or("num_experts_per_tok", absent[1])?,
        intermediate_size: fields.size_or("moe_intermediate_size", absent[2])?,
        shared_intermediate_size: shared,
        norm_topk_prob: fields.bool_or("norm_topk_prob", false)?,
        dense_layers: (0..layers).filter(|layer| only.contains(&(*layer as u64)) || !(layer + 1).is_multiple_of(step)).collect(),
    })
}
