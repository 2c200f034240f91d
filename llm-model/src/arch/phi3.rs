//! Phi 3 and 4: Llama whose queries, keys and values lie in one tensor, and gate and up in another; LongRoPE.

use super::fields::{Defaults, Fields};
use super::layout::{Layout, Rows, Split};
use crate::{ConfigError, ModelConfig};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults { eps: ("rms_norm_eps", 1e-5), max_position_embeddings: 4096, ..Defaults::default() };
    let base = fields.base(absent)?;
    let window = fields.positions("sliding_window")?;
    Ok(ModelConfig { sliding_windows: vec![window; base.num_hidden_layers], ..base })
}

pub(super) fn layout(config: &ModelConfig) -> Layout {
    let (q, kv) = (config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim);
    let inner = config.intermediate_size;
    Layout {
        splits: vec![
            Split::new(
                ".qkv_proj.",
                &[(".q_proj.", Rows::range(0, q)), (".k_proj.", Rows::range(q, kv)), (".v_proj.", Rows::range(q + kv, kv))],
            ),
            Split::new(".gate_up_proj.", &[(".gate_proj.", Rows::range(0, inner)), (".up_proj.", Rows::range(inner, inner))]),
        ],
        ..Layout::default()
    }
}
