//! What is made of a module's parameters once and used by every call.

use std::fmt::Debug;
use std::sync::OnceLock;

use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor};
use burn::tensor::Device;

/// A handle that operations take of parameters beside it, made when it is first asked for.
///
/// It is a module without parameters, so that it is forgotten whenever those beside it may change; these have to be private to theirs.
#[derive(Debug, Clone)]
pub(crate) struct Cached<T>(OnceLock<T>);

impl<T: Clone> Cached<T> {
    /// The handle that `make` makes, or has made before.
    pub fn get(&self, make: impl FnOnce() -> T) -> T {
        self.0.get_or_init(make).clone()
    }
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T: Clone + Debug + Send> Module for Cached<T> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn visit<V: ModuleVisitor>(&self, _: &mut V) {}

    fn map<M: ModuleMapper>(self, _: &mut M) -> Self {
        Self::default()
    }

    fn fork(self, _: &Device) -> Self {
        Self::default()
    }

    fn to_device(self, _: &Device) -> Self {
        Self::default()
    }

    fn train(self) -> Self {
        Self::default()
    }

    fn valid(&self) -> Self {
        Self::default()
    }

    fn materialize(self) -> Self {
        Self::default()
    }
}

impl<T: Clone + Debug + Send> ModuleDisplay for Cached<T> {}

impl<T: Clone + Debug + Send> ModuleDisplayDefault for Cached<T> {
    fn content(&self, content: Content) -> Option<Content> {
        Some(content)
    }
}
