//! The rotation on slices, head by head, in place where nobody else has the numbers.

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::DType;

use crate::ops::simd::{self, FloatsMut};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Positions of one piece of work.
const POSITIONS: usize = 16;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, cos: FloatTensor<B>, sin: FloatTensor<B>) -> FloatTensor<B> {
    trace::<B>("rope", "simd");
    let (heads, dim) = (x.shape()[2], x.shape()[3]);
    let half = cos.shape()[2];
    let mut x = if x.dtype() == DType::F32 { x } else { B::map_f32(x, <[f32]>::to_vec) };
    B::with_f32(&cos, |cos| {
        B::with_f32(&sin, |sin| {
            let FloatsMut::F32(x) = B::floats_mut(&mut x) else { return };
            rotate(x, [cos, sin], [heads, dim, half]);
        });
    });
    x
}

/// `x [positions, heads, dim]`, `cos` and `sin [positions, half]`.
pub fn rotate(x: &mut [f32], [cos, sin]: [&[f32]; 2], [heads, dim, half]: [usize; 3]) {
    threads::for_each_piece(x, POSITIONS * heads * dim, |index, piece| {
        let first = index * POSITIONS * half;
        let angles = cos[first..].chunks_exact(half).zip(sin[first..].chunks_exact(half));
        for (position, (cos, sin)) in piece.chunks_exact_mut(heads * dim).zip(angles) {
            for head in position.chunks_exact_mut(dim) {
                simd::rotate(&mut head[..2 * half], cos, sin);
            }
        }
    });
}
