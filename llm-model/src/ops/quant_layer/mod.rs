//! `quant_layer`: see [`super::LlmBackend::quant_layer`].

mod cpu;
mod reference;
#[cfg(test)]
mod tests;

pub(super) use cpu::cpu;
pub(super) use reference::reference;
