//! Each weight row times each row of `x`, weights read as they are in memory; what comes out for a row of `x` is the same bits
//! whatever rows are beside it.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use crate::ops::simd::{Target, products};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Multiply-adds below which waking the pool costs more than it gives.
const SMALL: usize = 32 * 1024;
/// A piece of work has a multiple of this many weight rows.
const ROWS: usize = 16;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    trace::<B>("linear", "products");
    let (rows, width, outputs) = (x.shape()[0], x.shape()[1], weight.shape()[0]);
    let mut out = vec![0.0; rows * outputs];
    let few = rows * width * outputs < SMALL;
    let piece = if few { outputs } else { outputs.div_ceil(8 * threads::count()).next_multiple_of(ROWS) };
    B::with_f32(&x, |x| {
        B::with_floats(&weight, |weight| {
            let start = AtomicPtr::new(out.as_mut_ptr());
            threads::for_each(outputs.div_ceil(piece.max(1)), |index| {
                let (from, count) = (index * piece, piece.min(outputs - index * piece));
                // SAFETY: the columns of `out` lie within it and belong to this piece alone; it is borrowed until all are done.
                let mut target = unsafe { Target::columns(start.load(Relaxed).add(from), count, outputs) };
                products(x, width, weight.range(from * width, count * width), &mut target);
            });
        });
    });
    B::from_vec(out, Shape::new([rows, outputs]))
}
