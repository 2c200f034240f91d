//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{Shape, Slice};

/// (a, b) → (a · cos − b · sin, b · cos + a · sin), where a and b are the halves of the rotated part (`rotate_half`).
pub fn reference<B: Backend>(x: FloatTensor<B>, cos: FloatTensor<B>, sin: FloatTensor<B>) -> FloatTensor<B> {
    let shape = x.shape();
    let [batch, seq, heads, dim] = [shape[0], shape[1], shape[2], shape[3]];
    let half = cos.shape()[2];
    let part = |from: usize, to: usize| {
        let all = |n: usize| Slice::from(0..n);
        B::float_slice(x.clone(), &[all(batch), all(seq), all(heads), Slice::from(from..to)])
    };
    let cos = B::float_reshape(cos, Shape::new([batch, seq, 1, half]));
    let sin = B::float_reshape(sin, Shape::new([batch, seq, 1, half]));
    let (a, b) = (part(0, half), part(half, 2 * half));
    let first = B::float_sub(B::float_mul(a.clone(), cos.clone()), B::float_mul(b.clone(), sin.clone()));
    let second = B::float_add(B::float_mul(b, cos), B::float_mul(a, sin));
    let mut parts = vec![first, second];
    if 2 * half < dim {
        parts.push(part(2 * half, dim));
    }
    B::float_cat(parts, 3)
}
