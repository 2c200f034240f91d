//! `linear`, `quant_linear`, `linear_onto`, `linear_three` and `gated_linear`: see [`super::LlmBackend`].

mod cpu;
#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod cube;
mod gradient;
mod reference;

pub(super) use cpu::{Matrix, cpu, gated_cpu, gated_numbers, numbers, onto_cpu, quant_cpu, three_cpu};
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub(super) use cube::cube;
pub(super) use gradient::{autodiff, backward_cpu, backward_reference};
pub(super) use reference::{gated_reference, of_weight, read, reference};
