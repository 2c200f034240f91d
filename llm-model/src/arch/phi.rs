//! Phi 1 to 2: attention and a plain feed-forward layer side by side behind one layer norm, biases everywhere.

use super::fields::{Defaults, Fields};
use super::layout::Layout;
use crate::{ConfigError, LayerType, MlpType, ModelConfig, NormType, QkNorm};

pub(super) fn config(fields: &Fields) -> Result<ModelConfig, ConfigError> {
    let absent = Defaults { eps: ("layer_norm_eps", 1e-5), hidden_act: "gelu_new", partial_rotary_factor: 0.5, ..Defaults::default() };
    let base = fields.base(absent)?;
    Ok(ModelConfig {
        layer: LayerType::Parallel,
        norm: NormType::LayerBias,
        mlp: MlpType::Plain,
        qk_norm: if fields.bool_or("qk_layernorm", false)? { QkNorm::Layer } else { QkNorm::None },
        qkv_bias: true,
        o_bias: true,
        mlp_bias: true,
        head_bias: true,
        ..base
    })
}

pub(super) fn layout(_: &ModelConfig) -> Layout {
    Layout {
        renames: &[
            (".dense.", ".o_proj."),
            (".fc1.", ".c_fc."),
            (".fc2.", ".c_proj."),
            (".final_layernorm.", ".norm."),
            (".q_layernorm.", ".q_norm."),
            (".k_layernorm.", ".k_norm."),
        ],
        ..Layout::default()
    }
}
