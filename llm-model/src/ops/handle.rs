//! Tensors that stay from one operation to the next, as operations take them.
//!
//! Operations own what they take, so that a layer clones the handles of its weights for each product. Those of Burn are hundreds of
//! bytes and a few allocations, which no cache holds any more when a token comes back to a layer: with seven packed weights of two
//! tensors each that made some 4 % of a token of a small model. So such tensors have one shared handle, and what dispatch makes of
//! them for a backend is made once.

use std::any::Any;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use burn::backend::{Backend, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, ExtensionType};

/// A handle of tensors, whose clones share them.
#[derive(Debug, Clone)]
pub struct Handle<P>(Arc<Shared<P>>);

#[derive(Debug)]
struct Shared<P> {
    parts: P,
    /// The same for the backend that they are on, where this is that of [`burn::backend::Dispatch`].
    on_backend: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl<P> From<P> for Handle<P> {
    fn from(parts: P) -> Self {
        Self(Arc::new(Shared { parts, on_backend: OnceLock::new() }))
    }
}

impl<P> Deref for Handle<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0.parts
    }
}

impl<B: Backend, P> ExtensionType<B> for Handle<P>
where
    P: ExtensionType<B> + Clone + Send + Sync + 'static,
    P::Target: Clone,
{
    type Target = Handle<P::Target>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Handle<P::Target>
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        self.0.parts.clone().map_to_dispatch(map_kind, autodiff).into()
    }

    fn map_from_dispatch<F>(target: Handle<P::Target>, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        let make = || Self::from(P::map_from_dispatch(target.0.parts.clone(), &unwrap_kind));
        let made = target.0.on_backend.get_or_init(|| Box::new(make()));
        // They have one backend, but with a gradient they may be asked for under another type.
        made.downcast_ref::<Self>().cloned().unwrap_or_else(make)
    }

    fn routing_tensor(target: &Handle<P::Target>) -> Option<&DispatchTensor> {
        P::routing_tensor(&target.0.parts)
    }

    fn routing_float_tensor(target: &Handle<P::Target>) -> Option<&DispatchTensor> {
        P::routing_float_tensor(&target.0.parts)
    }

    fn autodiff_context(target: &Handle<P::Target>) -> DispatchAutodiffContext {
        P::autodiff_context(&target.0.parts)
    }
}

/// What an operation takes where there is some, as [`Option`] is none of Burn's types.
#[derive(Debug, Clone)]
pub enum Maybe<T> {
    /// Nothing.
    Absent,
    /// Something.
    Present(T),
}

impl<T> From<Option<T>> for Maybe<T> {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Absent, Self::Present)
    }
}

impl<T> Maybe<T> {
    fn map<U>(self, map: impl FnOnce(T) -> U) -> Maybe<U> {
        match self {
            Self::Absent => Maybe::Absent,
            Self::Present(it) => Maybe::Present(map(it)),
        }
    }

    /// What there is.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Absent => None,
            Self::Present(it) => Some(it),
        }
    }
}

impl<B: Backend, T: ExtensionType<B>> ExtensionType<B> for Maybe<T> {
    type Target = Maybe<T::Target>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Maybe<T::Target>
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        self.map(|it| it.map_to_dispatch(map_kind, autodiff))
    }

    fn map_from_dispatch<F>(target: Maybe<T::Target>, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        target.map(|it| T::map_from_dispatch(it, unwrap_kind))
    }

    fn routing_tensor(target: &Maybe<T::Target>) -> Option<&DispatchTensor> {
        target.get().and_then(T::routing_tensor)
    }

    fn routing_float_tensor(target: &Maybe<T::Target>) -> Option<&DispatchTensor> {
        target.get().and_then(T::routing_float_tensor)
    }

    fn autodiff_context(target: &Maybe<T::Target>) -> DispatchAutodiffContext {
        target.get().map(T::autodiff_context).unwrap_or_default()
    }
}
