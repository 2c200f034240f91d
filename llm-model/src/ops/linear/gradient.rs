//! The gradient as two products; half precision weights, which nobody trains, are differentiated through the reference.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::{Autodiff, Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::DType;

use super::reference::{reference, widened};
use crate::ops::LlmBackend;
use crate::ops::gradient::tracked;
use crate::ops::matmul::{Matrix, product};
use crate::ops::slices::{CpuBackend, trace};

/// dx = g · w and dw = gᵀ · x.
pub fn backward_reference<B: Backend>(x: FloatTensor<B>, weight: FloatTensor<B>, grad: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    (B::float_matmul(grad.clone(), widened::<B>(weight)), B::float_matmul(B::float_transpose(grad), x))
}

/// The same on slices.
pub fn backward_cpu<B: CpuBackend>(x: FloatTensor<B>, weight: FloatTensor<B>, grad: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    trace::<B>("linear_backward", "gemm");
    let (x_shape, w_shape) = (x.shape(), weight.shape());
    let (width, outputs) = (w_shape[1], w_shape[0]);
    let (mut x_grad, mut w_grad) = (vec![0.0; x_shape.num_elements()], vec![0.0; w_shape.num_elements()]);
    B::with_f32(&grad, |grad| {
        let grad = Matrix::rows(grad, outputs);
        B::with_f32(&weight, |weight| product(grad, Matrix::rows(weight, width), &mut x_grad));
        B::with_f32(&x, |x| product(grad.transposed(), Matrix::rows(x, width), &mut w_grad));
    });
    (B::from_vec(x_grad, x_shape), B::from_vec(w_grad, w_shape))
}

/// The tracked operation.
pub fn autodiff<B: LlmBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    if weight.dtype() != DType::F32 {
        return reference::<Autodiff<B, C>>(x, weight);
    }
    let inputs = [x.node(), weight.node()];
    let (x, weight) = (x.into_primitive(), weight.into_primitive());
    tracked::<B, C, 2>(inputs, <B as LlmBackend>::linear(x.clone(), weight.clone()), move |grad| {
        B::linear_backward(x.clone(), weight.clone(), grad).into()
    })
}
