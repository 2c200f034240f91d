//! Packed weights as operations take them.
//!
//! Operations own what they take, so that a layer clones the handles of its weights for each product. Those of Burn are hundreds of
//! bytes and a few allocations, which no cache holds any more when a token comes back to a layer: with seven packed weights of two
//! tensors each that made some 4 % of a token of a small model. So a packed weight is one shared handle, and what dispatch makes of
//! it for a backend is made once.

use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, ExtensionType,
    tensor::{FloatTensor, IntTensor},
};

use crate::quant::QuantShape;

/// A packed matrix: `values [strips, tiles, lines, 16]` and `factors [strips, tiles, factors, 16]`, see [`crate::quant::tiles`].
#[derive(Debug, Clone, ExtensionType)]
pub struct QuantParts<B: Backend> {
    /// Words of 32 bits.
    pub values: IntTensor<B>,
    /// f16, or f32 where the backend has no halves.
    pub factors: FloatTensor<B>,
    /// What it was before it was packed.
    pub shape: QuantShape,
}

/// A handle of a packed matrix, whose clones share its parts.
#[derive(Debug, Clone)]
pub struct QuantTensor<B: Backend>(Arc<Shared<B>>);

#[derive(Debug)]
struct Shared<B: Backend> {
    parts: QuantParts<B>,
    /// The same for the backend that it is on, where this is that of [`Dispatch`].
    on_backend: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl<B: Backend> From<QuantParts<B>> for QuantTensor<B> {
    fn from(parts: QuantParts<B>) -> Self {
        Self(Arc::new(Shared { parts, on_backend: OnceLock::new() }))
    }
}

impl<B: Backend> Deref for QuantTensor<B> {
    type Target = QuantParts<B>;

    fn deref(&self) -> &QuantParts<B> {
        &self.0.parts
    }
}

impl<B: Backend> ExtensionType<B> for QuantTensor<B> {
    type Target = QuantTensor<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> QuantTensor<Dispatch>
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        self.0.parts.clone().map_to_dispatch(map_kind, autodiff).into()
    }

    fn map_from_dispatch<F>(target: QuantTensor<Dispatch>, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        let make = || Self::from(QuantParts::map_from_dispatch(target.0.parts.clone(), &unwrap_kind));
        let made = target.0.on_backend.get_or_init(|| Box::new(make()));
        // One weight has one backend, but with a gradient it may be asked for under another type.
        made.downcast_ref::<Self>().cloned().unwrap_or_else(make)
    }

    fn routing_tensor(target: &QuantTensor<Dispatch>) -> Option<&DispatchTensor> {
        <QuantParts<B> as ExtensionType<B>>::routing_tensor(&target.0.parts)
    }

    fn routing_float_tensor(target: &QuantTensor<Dispatch>) -> Option<&DispatchTensor> {
        <QuantParts<B> as ExtensionType<B>>::routing_float_tensor(&target.0.parts)
    }

    fn autodiff_context(target: &QuantTensor<Dispatch>) -> DispatchAutodiffContext {
        <QuantParts<B> as ExtensionType<B>>::autodiff_context(&target.0.parts)
    }
}
