//! One pass over gate and up, in pieces on all threads.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::Activation;
use crate::ops::simd::{exp, silu_gated};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Numbers of one piece; below it the caller works alone.
pub(super) const PIECE: usize = 8192;

pub fn cpu<B: CpuBackend>(gate: FloatTensor<B>, up: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    trace::<B>("gated", "pieces");
    let shape = gate.shape();
    let mut out = vec![0.0; shape.num_elements()];
    B::with_f32(&gate, |gate| {
        B::with_f32(&up, |up| {
            threads::for_each_piece(&mut out, PIECE, |index, out| {
                let range = index * PIECE..index * PIECE + out.len();
                out.copy_from_slice(&gate[range.clone()]);
                activate(out, &up[range], activation);
            });
        });
    });
    B::from_vec(out, shape)
}

/// `gate` = act(gate) · up.
pub fn activate(gate: &mut [f32], up: &[f32], activation: Activation) {
    match activation {
        Activation::Silu => silu_gated(gate, up),
        Activation::Gelu => gate.iter_mut().zip(up).for_each(|(g, u)| *g = gelu(*g) * u),
        Activation::GeluTanh => gate.iter_mut().zip(up).for_each(|(g, u)| *g = gelu_tanh(*g) * u),
    }
}

/// x · Φ(x), with erf by Abramowitz and Stegun 7.1.26 in f64 (error below 2e-7).
fn gelu(x: f32) -> f32 {
    let z = f64::from(x) * std::f64::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z.abs());
    let p = t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let erf = (1.0 - p * (-z * z).exp()).copysign(z);
    (f64::from(x) * 0.5 * (1.0 + erf)) as f32
}

/// x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³))).
fn gelu_tanh(x: f32) -> f32 {
    let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
    // tanh(y) = 1 − 2 / (e^(2y) + 1)
    x * (1.0 - 1.0 / (exp(2.0 * inner) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelus_have_their_known_values() {
        assert!((gelu(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((gelu(-2.0) + 0.045_500_26).abs() < 1e-6);
        assert!((gelu_tanh(1.0) - 0.841_192).abs() < 1e-5);
    }
}
