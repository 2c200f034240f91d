//! One pass for the sum of squares, one for the product, row by row.

use burn::backend::tensor::FloatTensor;

use crate::ops::slices::{CpuBackend, trace};
use crate::ops::{simd, threads};

/// Rows of one piece of work.
const ROWS: usize = 8;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, gamma: FloatTensor<B>, eps: f64) -> FloatTensor<B> {
    B::map_f32(x, |x| numbers::<B>(x, &gamma, eps))
}

/// The same for numbers.
pub fn numbers<B: CpuBackend>(x: &[f32], gamma: &FloatTensor<B>, eps: f64) -> Vec<f32> {
    trace::<B>("rms_norm", "simd");
    B::with_f32(gamma, |gamma| rows(x, gamma, eps as f32))
}

fn rows(x: &[f32], gamma: &[f32], eps: f32) -> Vec<f32> {
    let mut out = x.to_vec();
    threads::for_each_piece(&mut out, ROWS * gamma.len(), |_, piece| {
        for row in piece.chunks_exact_mut(gamma.len()) {
            let mean = simd::dot(row, row) / row.len() as f32;
            simd::scale(row, 1.0 / (mean + eps).sqrt(), gamma);
        }
    });
    out
}
