//! [`ModelConfig`]: the one description that every architecture's `config.json` maps into.

use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::cache::vector_bytes;
use crate::{DecoderLayer, RopeConfig, RopeScaling, Transformer, TransformerBlock};

/// What is wrong with a `config.json`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: got {got}, expected {expected}")]
pub struct ConfigError {
    /// The key in the file.
    pub field: String,
    /// What stands there.
    pub got: String,
    /// What should stand there.
    pub expected: String,
    /// What helps, where something does.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error without a hint.
    pub fn new(field: impl Into<String>, got: impl ToString, expected: impl ToString) -> Self {
        Self { field: field.into(), got: got.to_string(), expected: expected.to_string(), hint: None }
    }
}

/// The activation of a feed-forward layer (`hidden_act`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x · sigmoid(x), also called swish.
    Silu,
    /// x · Φ(x) with the error function.
    Gelu,
    /// x · Φ(x) with the tanh approximation (`gelu_pytorch_tanh`, `gelu_new`).
    GeluTanh,
}

/// The shape of a decoder-only transformer; field names are Hugging Face's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The family, as `config.json` names it.
    pub model_type: String,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// ε of every RMS norm.
    pub rms_norm_eps: f64,
    /// Positions that the model was trained for.
    pub max_position_embeddings: usize,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
    /// The activation of the feed-forward layer.
    pub hidden_act: Activation,
    /// Biases on the query, key and value projections.
    pub qkv_bias: bool,
    /// Bias on the attention's output projection.
    pub o_bias: bool,
    /// Biases on the feed-forward projections.
    pub mlp_bias: bool,
    /// RMS norm of each query and key head before the rotation.
    pub qk_norm: bool,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// For each layer the number of positions that a query sees, itself included; `None` is all.
    pub sliding_windows: Vec<Option<usize>>,
}

impl ModelConfig {
    /// Reads a Hugging Face `config.json` of any family in [`crate::arch`].
    ///
    /// # Errors
    /// A missing, ill-typed or contradictory key, or a family that is not known.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, ConfigError> {
        crate::arch::config(json)
    }

    /// A transformer of this shape with standard blocks; weights are made when first used.
    pub fn init(&self, device: &Device) -> Transformer {
        self.init_with::<TransformerBlock>(device)
    }

    /// A transformer of this shape with layers of type `L`.
    pub fn init_with<L: DecoderLayer>(&self, device: &Device) -> Transformer<L> {
        Transformer::new(self, device)
    }

    /// Positions that a sequence may have: what the model was trained for. Dynamic scaling stretches to any length, as it adapts to
    /// each; it ends at 64 times the trained length, where no model gives sense any more.
    pub fn context_length(&self) -> usize {
        match self.rope.scaling {
            RopeScaling::Dynamic { factor, .. } => (self.max_position_embeddings as f64 * factor.max(64.0)) as usize,
            _ => self.max_position_embeddings,
        }
    }

    /// What layer `index` needs to know.
    pub fn layer(&self, index: usize) -> LayerConfig {
        LayerConfig { index, sliding_window: self.sliding_windows.get(index).copied().flatten(), model: self.clone() }
    }

    /// Bytes of keys and values for one position of one sequence, kept in `dtype` (see [`crate::KvCache::new`]).
    pub fn kv_bytes_per_token(&self, dtype: DType) -> usize {
        2 * self.num_hidden_layers * self.num_key_value_heads * vector_bytes(self.head_dim, dtype)
    }
}

/// What one layer is made from: the model's shape and what differs by layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    /// Position in the stack, from 0.
    pub index: usize,
    /// Positions that a query sees, itself included; `None` is all.
    pub sliding_window: Option<usize>,
    /// The whole model.
    pub model: ModelConfig,
}

impl LayerConfig {
    /// Standard deviation of fresh weights (`initializer_range`).
    pub fn std(&self) -> f64 {
        0.02
    }

    /// Standard deviation of fresh weights that write into the residual stream, smaller the more layers there are (GPT-2).
    pub fn residual_std(&self) -> f64 {
        self.std() / ((2 * self.model.num_hidden_layers) as f64).sqrt()
    }
}
