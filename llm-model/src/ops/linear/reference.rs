//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, FloatDType, Shape};

use crate::Activation;
use crate::ops::{InputTensor, LlmBackend, WeightTensor};

/// x · wᵀ with the weight widened to f32.
pub fn reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    B::float_matmul(x, B::float_transpose(widened::<B>(weight)))
}

/// x · wᵀ for `x [.., in]` and a weight of any kind.
pub fn of_weight<B: LlmBackend>(x: FloatTensor<B>, weight: WeightTensor<B>) -> FloatTensor<B> {
    let mut shape = x.shape();
    let width = shape[shape.num_dims() - 1];
    let x = B::float_reshape(x, Shape::new([shape.num_elements() / width, width]));
    let y = match weight {
        WeightTensor::Dense(weight) => <B as LlmBackend>::linear(x, weight),
        WeightTensor::Quantized(weight) => B::quant_linear(x, weight),
    };
    let last = shape.num_dims() - 1;
    shape[last] = y.shape()[1];
    B::float_reshape(y, shape)
}

/// The input, normed if it is to be.
pub fn read<B: LlmBackend>(x: InputTensor<B>) -> FloatTensor<B> {
    match x {
        InputTensor::Plain(x) => x,
        InputTensor::Normed { x, gamma, eps } => B::rms_norm(x, gamma, eps),
    }
}

/// act(x · gateᵀ) · (x · upᵀ).
pub fn gated_reference<B: LlmBackend>(
    x: InputTensor<B>,
    gate: WeightTensor<B>,
    up: WeightTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    let x = read::<B>(x);
    B::gated(of_weight::<B>(x.clone(), gate), of_weight::<B>(x, up), activation)
}

/// `weight` in f32.
pub fn widened<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
    if weight.dtype() == DType::F32 { weight } else { B::float_cast(weight, FloatDType::F32) }
}
