//! `linear`: see [`super::LlmBackend::linear`].

mod cpu;
mod reference;

pub(super) use cpu::cpu;
pub(super) use reference::reference;
