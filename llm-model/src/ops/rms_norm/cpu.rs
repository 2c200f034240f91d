//! One pass for the sum of squares, one for the product, row by row.

use burn::backend::tensor::FloatTensor;

use crate::ops::simd;
use crate::ops::slices::{CpuBackend, trace};

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, gamma: FloatTensor<B>, eps: f64) -> FloatTensor<B> {
    trace::<B>("rms_norm", "simd");
    B::with_f32(&gamma, |gamma| B::map_f32(x, |x| rows(x, gamma, eps as f32)))
}

fn rows(x: &[f32], gamma: &[f32], eps: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(gamma.len()) {
        let mean = simd::dot(row, row) / row.len() as f32;
        let factor = 1.0 / (mean + eps).sqrt();
        simd::scaled(row, factor, gamma, &mut out);
    }
    out
}
