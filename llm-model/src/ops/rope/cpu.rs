//! The rotation on slices, head by head.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::ops::simd;
use crate::ops::slices::{CpuBackend, trace};

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, cos: FloatTensor<B>, sin: FloatTensor<B>) -> FloatTensor<B> {
    trace::<B>("rope", "simd");
    let (heads, dim) = (x.shape()[2], x.shape()[3]);
    let half = cos.shape()[2];
    B::with_f32(&cos, |cos| B::with_f32(&sin, |sin| B::map_f32(x, |x| rotate(x, cos, sin, heads, dim, half))))
}

/// `x [positions, heads, dim]`, `cos` and `sin [positions, half]`.
fn rotate(x: &[f32], cos: &[f32], sin: &[f32], heads: usize, dim: usize, half: usize) -> Vec<f32> {
    let mut out = x.to_vec();
    let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
    for (position, (cos, sin)) in out.chunks_exact_mut(heads * dim).zip(angles) {
        for head in position.chunks_exact_mut(dim) {
            simd::rotate(&mut head[..2 * half], cos, sin);
        }
    }
    out
}
