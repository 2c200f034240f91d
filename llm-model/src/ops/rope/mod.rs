//! `rope`: see [`super::LlmBackend::rope`].

mod cpu;
mod reference;

pub(super) use cpu::cpu;
pub(super) use reference::reference;
