//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, FloatDType};

use crate::Activation;
use crate::ops::{LlmBackend, WeightTensor};

/// x · wᵀ with the weight widened to f32.
pub fn reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(widened::<B>(weight)))
}

/// x · wᵀ for a weight of any kind.
pub fn of_weight<B: LlmBackend>(x: FloatTensor<B>, weight: WeightTensor<B>) -> FloatTensor<B> {
    match weight {
        WeightTensor::Dense(weight) => <B as LlmBackend>::linear(x, weight),
        WeightTensor::Quantized(weight) => B::quant_linear(x, weight),
    }
}

/// act(x · gateᵀ) · (x · upᵀ).
pub fn gated_reference<B: LlmBackend>(
    x: FloatTensor<B>,
    gate: WeightTensor<B>,
    up: WeightTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    B::gated(of_weight::<B>(x.clone(), gate), of_weight::<B>(x, up), activation)
}

/// `weight` in f32.
pub fn widened<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
    if weight.dtype() == DType::F32 { weight } else { B::float_cast(weight, FloatDType::F32) }
}
