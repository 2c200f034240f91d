//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, FloatDType};

/// x · wᵀ with the weight widened to f32.
pub fn reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(widened::<B>(weight)))
}

/// `weight` in f32.
pub fn widened<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
    if weight.dtype() == DType::F32 { weight } else { B::float_cast(weight, FloatDType::F32) }
}
