//! `linear`: see [`super::LlmBackend::linear`].

mod cpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod gradient;
mod reference;

pub(super) use cpu::cpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(super) use cube::cube;
pub(super) use gradient::{autodiff, backward_cpu, backward_reference};
pub(super) use reference::reference;
