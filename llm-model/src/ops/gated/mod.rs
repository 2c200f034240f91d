//! `gated`: see [`super::LlmBackend::gated`].

mod cpu;
mod gradient;
mod reference;

pub(super) use cpu::{activate, cpu};
pub(super) use gradient::{autodiff, silu_backward_cpu, silu_backward_reference};
pub(super) use reference::reference;
