//! The rotation on slices, head by head.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::ops::slices::{CpuBackend, trace};

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, cos: FloatTensor<B>, sin: FloatTensor<B>) -> FloatTensor<B> {
    trace::<B>("rope", "scalar");
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
            let (first, second) = head[..2 * half].split_at_mut(half);
            for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
    out
}
