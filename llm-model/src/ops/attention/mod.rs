//! `attention`: see [`super::LlmBackend::attention`].

mod cpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod gradient;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod kernel;
mod options;
mod reference;

pub(super) use cpu::{cpu, cpu_with_sinks, numbers};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(super) use cube::cube;
pub(super) use gradient::{autodiff, backward_cpu};
pub use options::AttentionOptions;
pub(super) use reference::{backward_reference, reference, reference_with_sinks};
