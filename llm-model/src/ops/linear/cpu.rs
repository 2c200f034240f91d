//! Few rows: one dot product for each weight row, read once at the speed of memory. Many rows: the `gemm` crate on blocks of
//! weight rows, which are widened to f32 into the cache first where they are stored in half precision.

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use crate::ops::matmul::{self, Matrix};
use crate::ops::simd::{Floats, dot_floats};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Up to this many rows of `x` the dot products win.
const FEW_ROWS: usize = 4;
/// Numbers of a block of weight rows: 256 KiB in f32, so that a widened block stays in the L2 cache.
const BLOCK: usize = 64 * 1024;
/// Multiply-adds below which waking the pool costs more than it gives.
const SMALL: usize = 32 * 1024;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let (rows, width) = (x.shape()[0], x.shape()[1]);
    let outputs = weight.shape()[0];
    let mut out = vec![0.0; rows * outputs];
    B::with_f32(&x, |x| {
        B::with_floats(&weight, |weight| {
            if rows <= FEW_ROWS {
                trace::<B>("linear", "dot");
                for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(outputs)) {
                    row(x, weight, out);
                }
            } else {
                trace::<B>("linear", "gemm");
                matrix(x, weight, width, &mut out);
            }
        });
    });
    B::from_vec(out, Shape::new([rows, outputs]))
}

/// One row of `x`.
fn row(x: &[f32], weight: Floats, out: &mut [f32]) {
    let width = x.len();
    let piece = if out.len() * width < SMALL { out.len() } else { out.len().div_ceil(4 * threads::count()).max(8) };
    threads::for_each_piece(out, piece.max(1), |index, out| {
        for (i, out) in out.iter_mut().enumerate() {
            *out = dot_floats(x, weight.range((index * piece + i) * width, width));
        }
    });
}

/// Many rows of `x`: each block of weight rows makes a block of columns of `out`.
fn matrix(x: &[f32], weight: Floats, width: usize, out: &mut [f32]) {
    let outputs = weight.len() / width;
    let block = (BLOCK / width).clamp(16, outputs.div_ceil(threads::count()).max(16));
    matmul::in_columns(out, outputs, block, |from, count, columns| {
        let part = weight.range(from * width, count * width);
        let mut wide = Vec::new();
        matmul::multiply(Matrix::rows(x, width), Matrix::rows(part.widened(&mut wide), width).transposed(), columns);
    });
}
