//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

/// γ · (x − mean(x)) / √(var(x) + ε) over the last dimension `d`; row `r` of x takes part `r mod k` of `gamma [k · d]`.
pub fn reference<B: Backend>(x: FloatTensor<B>, gamma: FloatTensor<B>, eps: f64) -> FloatTensor<B> {
    let shape = x.shape();
    let (width, count) = (shape[shape.num_dims() - 1], shape.num_elements());
    let parts = gamma.shape()[0] / width;
    let x = B::float_reshape(x, Shape::new([count / width / parts, parts, width]));
    let centered = B::float_sub(x.clone(), B::float_mean_dim(x, 2));
    let variance = B::float_mean_dim(B::float_mul(centered.clone(), centered.clone()), 2);
    let root = B::float_sqrt(B::float_add_scalar(variance, eps.into()));
    let gamma = B::float_reshape(gamma, Shape::new([1, parts, width]));
    B::float_reshape(B::float_mul(B::float_div(centered, root), gamma), shape)
}
