//! The gradient as one operation.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::{Autodiff, Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use crate::ops::gradient::tracked;
use crate::ops::simd;
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::{LlmBackend, threads};

/// Rows of one piece of work.
const ROWS: usize = 64;

/// With r = 1 / √(mean(x²) + ε) and x̂ = r · x: dx = r · (γ · g − x̂ · mean(γ · g · x̂)) and dγ = Σ g · x̂ over the rows.
pub fn backward_reference<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    eps: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (shape, width) = (x.shape(), gamma.shape()[0]);
    let rows = Shape::new([shape.num_elements() / width, width]);
    let (x, grad) = (B::float_reshape(x, rows.clone()), B::float_reshape(grad, rows));
    let mean = B::float_mean_dim(B::float_mul(x.clone(), x.clone()), 1);
    let root = B::float_sqrt(B::float_add_scalar(mean, eps.into()));
    let normed = B::float_div(x, root.clone());
    let gamma_grad = B::float_reshape(B::float_sum_dim(B::float_mul(grad.clone(), normed.clone()), 0), Shape::new([width]));
    let scaled = B::float_mul(grad, B::float_reshape(gamma, Shape::new([1, width])));
    let along = B::float_mean_dim(B::float_mul(scaled.clone(), normed.clone()), 1);
    let x_grad = B::float_div(B::float_sub(scaled, B::float_mul(normed, along)), root);
    (B::float_reshape(x_grad, shape), gamma_grad)
}

/// The same on slices, in one pass for dx and one for dγ.
pub fn backward_cpu<B: CpuBackend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    eps: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    trace::<B>("rms_norm_backward", "simd");
    let (shape, width) = (x.shape(), gamma.shape()[0]);
    let mut x_grad = vec![0.0; shape.num_elements()];
    let mut gamma_grad = vec![0.0; width];
    let factor = |row: &[f32]| 1.0 / (simd::dot(row, row) / width as f32 + eps as f32).sqrt();
    B::with_f32(&x, |x| {
        B::with_f32(&gamma, |gamma| {
            B::with_f32(&grad, |grad| {
                threads::for_each_piece(&mut x_grad, ROWS * width, |index, out| {
                    let at = index * ROWS * width;
                    let rows = x[at..].chunks_exact(width).zip(grad[at..].chunks_exact(width));
                    for (out, (x, grad)) in out.chunks_exact_mut(width).zip(rows) {
                        let r = factor(x);
                        out.iter_mut().zip(grad).zip(gamma).for_each(|((out, g), gamma)| *out = g * gamma);
                        let along = simd::dot(out, x) * r * r / width as f32;
                        out.iter_mut().zip(x).for_each(|(out, x)| *out = r * (*out - x * along));
                    }
                });
                for (x, grad) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
                    let r = factor(x);
                    gamma_grad.iter_mut().zip(x).zip(grad).for_each(|((sum, x), g)| *sum += g * x * r);
                }
            });
        });
    });
    (B::from_vec(x_grad, shape), B::from_vec(gamma_grad, Shape::new([width])))
}

/// The tracked operation.
pub fn autodiff<B: LlmBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    gamma: FloatTensor<Autodiff<B, C>>,
    eps: f64,
) -> FloatTensor<Autodiff<B, C>> {
    let inputs = [x.node(), gamma.node()];
    let (x, gamma) = (x.into_primitive(), gamma.into_primitive());
    tracked::<B, C, 2>(inputs, B::rms_norm(x.clone(), gamma.clone(), eps), move |grad| {
        B::rms_norm_backward(x.clone(), gamma.clone(), grad, eps).into()
    })
}
