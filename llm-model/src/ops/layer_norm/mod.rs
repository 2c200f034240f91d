//! `layer_norm`: see [`super::LlmBackend::layer_norm`].

mod cpu;
mod reference;

pub(super) use cpu::cpu;
pub(super) use reference::reference;
