//! `linear`: see [`super::LlmBackend::linear`].

mod cpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod reference;

pub(super) use cpu::cpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(super) use cube::cube;
pub(super) use reference::reference;
