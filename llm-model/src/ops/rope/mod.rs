//! `rope`: see [`super::LlmBackend::rope`].

mod cpu;
mod gradient;
mod reference;

pub(super) use cpu::{cpu, rotate};
pub(super) use gradient::autodiff;
pub(super) use reference::reference;
