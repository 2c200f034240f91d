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
    /// x · sigmoid(1.702 · x) (`quick_gelu`).
    GeluQuick,
    /// max(x, 0).
    Relu,
    /// max(x, 0)² (`relu2`).
    ReluSquared,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Silu, Self::Gelu, Self::GeluTanh, Self::GeluQuick, Self::Relu, Self::ReluSquared];
}

/// How attention A, feed-forward M and norms n make a layer; see [`crate::visit_layer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerType {
    /// x + A(n(x)), then x + M(n(x)): [`crate::TransformerBlock`].
    #[default]
    PreNorm,
    /// x + n(A(n(x))), then x + n(M(n(x))): [`crate::SandwichBlock`].
    Sandwich,
    /// x + n(A(x)), then x + n(M(x)): [`crate::PostNormBlock`].
    PostNorm,
    /// x + A(n(x)) + M(n(x)), both with one norm: [`crate::ParallelBlock`].
    Parallel,
    /// x + A(n(x)) + M(n(x)), each with its own: [`crate::ParallelBlock`].
    ParallelTwoNorms,
}

/// The norms of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormType {
    /// [`crate::RmsNorm`].
    #[default]
    Rms,
    /// [`crate::LayerNorm`] without a bias.
    Layer,
    /// [`crate::LayerNorm`] with a bias.
    LayerBias,
}

/// The feed-forward layers of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MlpType {
    /// [`crate::FeedForward`].
    #[default]
    Gated,
    /// [`crate::PlainFeedForward`].
    Plain,
    /// [`crate::Experts`] as [`ModelConfig::experts`] says.
    Experts,
}

/// The experts of a model (Hugging Face has several names for some of these).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpertsConfig {
    /// Experts of a layer.
    pub num_experts: usize,
    /// Experts that a token passes.
    pub num_experts_per_tok: usize,
    /// Width inside an expert.
    pub intermediate_size: usize,
    /// Width inside the expert that all tokens pass, where there is one.
    pub shared_intermediate_size: Option<usize>,
    /// Whether the shares of the chosen experts are scaled to 1.
    pub norm_topk_prob: bool,
    /// Layers that have one feed-forward layer instead, by their position.
    pub dense_layers: Vec<usize>,
}

/// A gate that is cut off: min(g, limit) · σ(alpha · min(g, limit)) · (clamp(u, ±limit) + 1) of gate g and up u (gpt-oss).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClippedGate {
    /// Factor within σ (`swiglu_alpha`).
    pub alpha: f64,
    /// Bound (`swiglu_limit`).
    pub limit: f64,
}

/// What queries and keys pass before they are rotated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QkNorm {
    /// Nothing.
    #[default]
    None,
    /// An RMS norm of each head, the same for all.
    Head,
    /// An RMS norm of all heads together.
    Width,
    /// A layer norm of each head, without a bias and with factors of its own.
    LayerOfHead,
    /// A layer norm of each head with a bias, the same for all.
    Layer,
}

/// Which rotary embedding a layer has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// [`ModelConfig::rope`].
    #[default]
    Global,
    /// [`ModelConfig::local_rope`].
    Local,
    /// None.
    None,
}

/// Whether `value` is what most families have; the outline of a model names what differs.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
    /// ε of every norm (`layer_norm_eps` and other names, too).
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
    /// Biases on the feed-forward projections, and on a router.
    pub mlp_bias: bool,
    /// Norm of queries and keys before the rotation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub qk_norm: QkNorm,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// For each layer the number of positions that a query sees, itself included; `None` is all.
    pub sliding_windows: Vec<Option<usize>>,
    /// How a layer is made of its parts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub layer: LayerType,
    /// The norms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norm: NormType,
    /// The feed-forward layers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mlp: MlpType,
    /// The experts of [`MlpType::Experts`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub experts: Option<ExpertsConfig>,
    /// What the gated feed-forward layers do in place of act(g) · u.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clipped_gate: Option<ClippedGate>,
    /// Whether each head has a score that takes part in its softmax beside those of the keys.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attention_sinks: bool,
    /// Factor on q · k, 1 / √head_dim where it is absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attention_scale: Option<f64>,
    /// Bound of attention scores (`attn_logit_softcapping`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub attention_softcap: Option<f64>,
    /// The rotary embedding of the layers that [`ModelConfig::rotations`] calls local.
    #[serde(default, skip_serializing_if = "is_default")]
    pub local_rope: Option<RopeConfig>,
    /// The rotary embedding of each layer; empty where all have the global one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rotations: Vec<Rotation>,
    /// Rows of an embedding that is added by position.
    #[serde(default, skip_serializing_if = "is_default")]
    pub learned_positions: Option<usize>,
    /// Factor on the embedding.
    #[serde(default, skip_serializing_if = "is_default")]
    pub embedding_multiplier: Option<f64>,
    /// Factor on what attention and feed-forward add to the residual stream.
    #[serde(default, skip_serializing_if = "is_default")]
    pub residual_multiplier: Option<f64>,
    /// Factor on the logits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub logits_multiplier: Option<f64>,
    /// Bound of the logits (`final_logit_softcapping`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub logits_softcap: Option<f64>,
    /// Bias on the head.
    #[serde(default, skip_serializing_if = "is_default")]
    pub head_bias: bool,
}

impl ModelConfig {
    /// Reads a Hugging Face `config.json` of any family in [`crate::arch`].
    ///
    /// # Errors
    /// A missing, ill-typed or contradictory key, or a family that is not known.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, ConfigError> {
        crate::arch::config(json)
    }

    /// A transformer of this shape with [`TransformerBlock`]s, whatever [`ModelConfig::layer`] asks for; weights are made when first used.
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
        LayerConfig {
            index,
            sliding_window: self.sliding_windows.get(index).copied().flatten(),
            rotation: self.rotations.get(index).copied().unwrap_or_default(),
            model: self.clone(),
        }
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
    /// Which rotary embedding turns queries and keys.
    pub rotation: Rotation,
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
