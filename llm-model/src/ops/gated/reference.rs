//! The definition, on Burn's primitives.

use burn::backend::{Backend, tensor::FloatTensor};

use crate::Activation;
use crate::ops::activation;

/// act(gate) · up.
pub fn reference<B: Backend>(gate: FloatTensor<B>, up: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    B::float_mul(activation::reference::<B>(gate, activation), up)
}
