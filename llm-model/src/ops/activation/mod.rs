//! `activation` and `softcap`: see [`super::LlmBackend::activation`].

mod cpu;
mod reference;

pub(super) use cpu::{apply, cpu, softcap_cpu};
pub(super) use reference::{reference, softcap_reference};
