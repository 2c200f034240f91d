//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

/// γ · x / √(mean(x²) + ε).
pub fn reference<B: Backend>(x: FloatTensor<B>, gamma: FloatTensor<B>, eps: f64) -> FloatTensor<B> {
    let last = x.rank() - 1;
    let mut wide = vec![1; last + 1];
    wide[last] = gamma.shape()[0];
    let mean = B::float_mean_dim(B::float_mul(x.clone(), x.clone()), last);
    let root = B::float_sqrt(B::float_add_scalar(mean, eps.into()));
    B::float_mul(B::float_div(x, root), B::float_reshape(gamma, Shape::from(wide)))
}
