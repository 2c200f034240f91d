//! `attention`: see [`super::LlmBackend::attention`].

mod cpu;
mod options;
mod reference;

pub(super) use cpu::cpu;
pub use options::AttentionOptions;
pub(super) use reference::reference;
