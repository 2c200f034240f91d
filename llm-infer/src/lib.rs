//! Local inference for large language models on Burn: checkpoints in, text out.
//!
//! The way of a prompt: [`checkpoint`] reads a [`Model`] ([`quantize`] packs it if asked), [`chat`] renders the conversation, [`tokenizer`] makes ids of it,
//! [`session`] keeps the cache between turns ([`conversation`] its messages), [`generate`] runs prefill and decode, [`sample`] picks each token. [`mod@bench`]
//! measures speed, [`eval`] quality.

pub mod bench;
pub mod builtin;
pub mod chat;
pub mod checkpoint;
pub mod conversation;
pub mod convert;
pub mod device;
mod error;
pub mod eval;
pub mod generate;
pub mod metrics;
mod model;
pub mod plot;
pub mod quantize;
pub mod sample;
pub mod session;
pub mod stop;
pub mod tokenizer;
pub mod train;

pub use burn::tensor::DType;
pub use error::{Error, ErrorKind, Result};
pub use llm_model;
pub use model::{Model, ModelOptions, open};
