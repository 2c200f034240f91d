//! `rms_norm`: see [`super::LlmBackend::rms_norm`].

mod cpu;
mod gradient;
mod reference;

pub(super) use cpu::{cpu, numbers};
pub(super) use gradient::{autodiff, backward_cpu, backward_reference};
pub(super) use reference::reference;
