//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, FloatDType};

/// x · wᵀ with the weight widened to f32.
pub fn reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let weight = if weight.dtype() == DType::F32 { weight } else { B::float_cast(weight, FloatDType::F32) };
    B::float_matmul(x, B::float_transpose(weight))
}
