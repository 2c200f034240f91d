//! GPT-NeoX and Pythia: attention and a plain feed-forward layer side by side, each behind its own layer norm.

use super::fields::{Defaults, Fields};
use super::layout::{Layout, Rows, Split};
use crate::{ConfigError, LayerType, MlpType, ModelConfig, NormType};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let fields = &fields.called(&[("rope_theta", "rotary_emb_base"), ("partial_rotary_factor", "rotary_pct")]);
    let absent = Defaults { eps: ("layer_norm_eps", 1e-5), hidden_act: "gelu", partial_rotary_factor: 0.25, ..Defaults::default() };
    let base = fields.base(absent)?;
    let bias = fields.bool_or("attention_bias", true)?;
    let parallel = fields.bool_or("use_parallel_residual", true)?;
    Ok(ModelConfig {
        layer: if parallel { LayerType::ParallelTwoNorms } else { LayerType::PreNorm },
        norm: NormType::LayerBias,
        mlp: MlpType::Plain,
        qkv_bias: bias,
        o_bias: bias,
        mlp_bias: true,
        num_key_value_heads: base.num_attention_heads,
        ..base
    })
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    let (heads, dim) = (config.num_attention_heads, config.head_dim);
    // The rows of each head are its query, its key and its value.
    let part = |index: usize| Rows { first: index * dim, count: dim, stride: 3 * dim, groups: heads };
    Layout {
        prefix: Some("gpt_neox."),
        renames: &[
            (".embed_in.", ".embed_tokens."),
            (".embed_out.", ".lm_head."),
            (".final_layer_norm.", ".norm."),
            (".attention.", ".self_attn."),
            (".self_attn.dense.", ".self_attn.o_proj."),
            (".dense_h_to_4h.", ".c_fc."),
            (".dense_4h_to_h.", ".c_proj."),
        ],
        splits: vec![Split::new(".query_key_value.", &[(".q_proj.", part(0)), (".k_proj.", part(1)), (".v_proj.", part(2))])],
        computed: &[".attention.bias", ".attention.masked_bias"],
        ..Layout::default()
    }
}
