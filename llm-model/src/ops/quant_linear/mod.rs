//! `quant_linear` and `quant_rows`: see [`super::LlmBackend`].

mod cpu;
mod reference;

pub(super) use cpu::rows_cpu;
pub(super) use reference::{reference, rows_reference};
