//! GPT-2: learned positions, layer norms with biases, a plain feed-forward layer, matrices stored with inputs first.

use super::fields::{Defaults, Fields};
use super::layout::{Layout, Rows, Split};
use crate::{ConfigError, MlpType, ModelConfig, NormType, Rotation};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let fields = &fields.called(&[
        ("hidden_size", "n_embd"),
        ("num_hidden_layers", "n_layer"),
        ("num_attention_heads", "n_head"),
        ("max_position_embeddings", "n_positions"),
        ("intermediate_size", "n_inner"),
        ("hidden_act", "activation_function"),
    ]);
    fields.must_be("scale_attn_weights", true)?;
    fields.must_be("scale_attn_by_inverse_layer_idx", false)?;
    fields.must_be("add_cross_attention", false)?;
    let absent = Defaults {
        eps: ("layer_norm_epsilon", 1e-5),
        hidden_act: "gelu_new",
        tie_word_embeddings: true,
        max_position_embeddings: 1024,
        intermediate_is_optional: true,
        ..Defaults::default()
    };
    let base = fields.base(absent)?;
    Ok(ModelConfig {
        norm: NormType::LayerBias,
        mlp: MlpType::Plain,
        qkv_bias: true,
        o_bias: true,
        mlp_bias: true,
        rotations: vec![Rotation::None; base.num_hidden_layers],
        learned_positions: Some(base.max_position_embeddings),
        ..base
    })
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    let hidden = config.hidden_size;
    let part = |index: usize| Rows::range(index * hidden, hidden);
    Layout {
        prefix: Some("transformer."),
        renames: &[
            (".wte.", ".embed_tokens."),
            (".wpe.weight.", ".embed_tokens.positions."),
            (".h.", ".layers."),
            (".ln_1.", ".input_layernorm."),
            (".ln_2.", ".post_attention_layernorm."),
            (".ln_f.", ".norm."),
            (".attn.", ".self_attn."),
            (".self_attn.c_proj.", ".self_attn.o_proj."),
        ],
        splits: vec![Split::new(".c_attn.", &[(".q_proj.", part(0)), (".k_proj.", part(1)), (".v_proj.", part(2))])],
        transposed: &[".q_proj.weight", ".k_proj.weight", ".v_proj.weight", ".o_proj.weight", ".c_fc.weight", ".c_proj.weight"],
        computed: &[".attn.bias", ".attn.masked_bias"],
        ..Layout::default()
    }
}
