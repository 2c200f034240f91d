//! Falcon: attention and a plain feed-forward layer side by side, or one after the other, and one key and value head or several.

use super::fields::{Defaults, Fields};
use super::layout::{Layout, Rows, Split};
use crate::{ConfigError, LayerType, MlpType, ModelConfig, NormType};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let fields =
        &fields.called(&[("num_key_value_heads", "num_kv_heads"), ("intermediate_size", "ffn_hidden_size"), ("hidden_act", "activation")]);
    fields.must_be("alibi", false)?;
    let absent = Defaults {
        eps: ("layer_norm_epsilon", 1e-5),
        hidden_act: "gelu",
        tie_word_embeddings: true,
        intermediate_is_optional: true,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    let (new, bias) = (fields.bool_or("new_decoder_architecture", false)?, fields.bool_or("bias", false)?);
    let one_head = fields.bool_or("multi_query", true)? && !new;
    let norms = fields.size_or("num_ln_in_parallel_attn", if new { 2 } else { 1 })?;
    let layer = match (fields.bool_or("parallel_attn", true)?, new, norms) {
        (true, true, 2) => LayerType::ParallelTwoNorms,
        (true, _, 1) => LayerType::Parallel,
        (false, false, _) => LayerType::PreNorm,
        (false, true, _) => return Err(fields.wrong("parallel_attn", false, "true with new_decoder_architecture")),
        _ => return Err(fields.wrong("num_ln_in_parallel_attn", norms, "1, or 2 with new_decoder_architecture")),
    };
    Ok(ModelConfig {
        layer,
        norm: NormType::LayerBias,
        mlp: MlpType::Plain,
        num_key_value_heads: if one_head { 1 } else { base.num_key_value_heads },
        qkv_bias: bias,
        o_bias: bias,
        mlp_bias: bias,
        ..base
    })
}

/// Their names and ours; the first two are those of layers with two norms side by side.
const NAMES: &[(&str, &str)] = &[
    (".ln_attn.", ".input_layernorm."),
    (".ln_mlp.", ".post_attention_layernorm."),
    (".word_embeddings.", ".embed_tokens."),
    (".h.", ".layers."),
    (".ln_f.", ".norm."),
    (".self_attention.", ".self_attn."),
    (".self_attn.dense.", ".self_attn.o_proj."),
    (".dense_h_to_4h.", ".c_fc."),
    (".dense_4h_to_h.", ".c_proj."),
];

pub(super) fn layout(config: &ModelConfig) -> Layout {
    let (groups, dim) = (config.num_key_value_heads, config.head_dim);
    let group = config.num_attention_heads / groups;
    // For each key and value head its queries, the key, the value.
    let part = |first: usize, heads: usize| Rows { first: first * dim, count: heads * dim, stride: (group + 2) * dim, groups };
    Layout {
        prefix: Some("transformer."),
        renames: if config.layer == LayerType::ParallelTwoNorms { NAMES } else { &NAMES[2..] },
        splits: vec![Split::new(
            ".query_key_value.",
            &[(".q_proj.", part(0, group)), (".k_proj.", part(group, 1)), (".v_proj.", part(group + 1, 1))],
        )],
        ..Layout::default()
    }
}
