//! `gated`: see [`super::LlmBackend::gated`].

mod cpu;
mod reference;

pub(super) use cpu::{cpu, exp};
pub(super) use reference::reference;
