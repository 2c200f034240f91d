//! Local inference for large language models on Burn: checkpoints in, text out.
//!
//! The way of a prompt: [`checkpoint`] reads a model, [`chat`] renders the conversation, [`tokenizer`] makes ids of it,
//! [`generate`] runs prefill and decode, [`sample`] picks each token, [`session`] keeps the cache between turns.

pub mod builtin;
pub mod chat;
pub mod checkpoint;
pub mod device;
mod error;
pub mod generate;
pub mod metrics;
pub mod sample;
pub mod session;
pub mod stop;
pub mod tokenizer;
pub mod train;

pub use error::{Error, ErrorKind, Result};
pub use llm_model as model;
