//! The transformer of `llm`, written once on Burn's tensors and run on every backend.
//!
//! [`ModelConfig`] describes a model, [`ModelConfig::init`] builds a [`Transformer`] on a [`burn::tensor::Device`];
//! [`ops`] holds the operations that have fast kernels, each beside a short reference generic over `B: Backend`.
//! [`quant`] says what quantized weights mean and how they lie in memory.
//! A new layer is an implementation of [`DecoderLayer`] in your own crate.

pub mod arch;
mod attention;
mod block;
mod blocks;
mod cache;
mod cached;
mod config;
mod embedding;
mod feed_forward;
mod linear;
mod moe;
mod norm;
pub mod ops;
pub mod quant;
mod rope;
mod transformer;
mod weight;

pub use attention::Attention;
pub use block::{DecoderLayer, Folding, Step, TransformerBlock};
pub use blocks::{LayerVisitor, ParallelBlock, PostNormBlock, SandwichBlock, visit_layer};
pub use cache::{KvCache, KvData, LayerCache};
pub use config::{
    Activation, ClippedGate, ConfigError, ExpertsConfig, LayerConfig, LayerType, MlpType, ModelConfig, NormType, QkNorm, Rotation,
};
pub use embedding::Embedding;
pub use feed_forward::{FeedForward, Mlp, PlainFeedForward};
pub use linear::Linear;
pub use moe::Experts;
pub use norm::{LayerNorm, LinearInput, Norm, RmsNorm};
pub use rope::{RopeConfig, RopeScaling};
pub use transformer::{CausalLm, LogitsAt, Transformer};
pub use weight::{ObservedWeight, QuantWeight, Weight};
