//! One pass for the mean, one for the variance, one for the product, row by row.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::ops::slices::{CpuBackend, trace};
use crate::ops::{simd, threads};

/// Rows of one piece of work.
const ROWS: usize = 16;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, gamma: FloatTensor<B>, eps: f64) -> FloatTensor<B> {
    trace::<B>("layer_norm", "simd");
    let shape = x.shape();
    let width = shape[shape.num_dims() - 1];
    B::with_f32(&gamma, |gamma| B::map_f32(x, |x| rows(x, gamma, width, eps as f32)))
}

fn rows(x: &[f32], gamma: &[f32], width: usize, eps: f32) -> Vec<f32> {
    let mut out = x.to_vec();
    // A piece begins with the first part of γ.
    let together = gamma.len() * ROWS.div_ceil(gamma.len() / width);
    threads::for_each_piece(&mut out, together, |_, piece| {
        for (row, gamma) in piece.chunks_exact_mut(width).zip(gamma.chunks_exact(width).cycle()) {
            let mean = simd::sum(row) / width as f32;
            simd::subtract(row, mean);
            let variance = simd::dot(row, row) / width as f32;
            simd::scale(row, 1.0 / (variance + eps).sqrt(), gamma);
        }
    });
    out
}
