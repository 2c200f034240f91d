//! Few rows: one dot product for each weight row, read once at the speed of memory. Many rows: the `gemm` crate on blocks of
//! weight rows, which are widened to f32 into the cache first where they are stored in half precision.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use crate::ops::cpu::{Floats, dot_floats};
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
    let rows = x.len() / width;
    let outputs = weight.len() / width;
    let block = (BLOCK / width).clamp(16, outputs.div_ceil(threads::count()).max(16));
    let start = AtomicPtr::new(out.as_mut_ptr());
    threads::for_each(outputs.div_ceil(block), |index| {
        let from = index * block;
        let count = block.min(outputs - from);
        let part = weight.range(from * width, count * width);
        let mut wide = Vec::new();
        let part = match part {
            Floats::F32(part) => part,
            half => {
                wide.resize(half.len(), 0.0);
                half.widen(&mut wide);
                &wide
            }
        };
        // SAFETY: `out[.., from .. from + count]` belongs to this index alone, and all sizes fit their slices.
        unsafe {
            let columns = start.load(Relaxed).add(from);
            gemm::gemm(
                rows,
                count,
                width,
                columns,
                1,
                outputs as isize,
                false,
                x.as_ptr(),
                1,
                width as isize,
                part.as_ptr(),
                width as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    });
}
