//! One pass over gate and up, in pieces on all threads.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::Activation;
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
                let pairs = gate[range.clone()].iter().zip(&up[range]);
                match activation {
                    Activation::Silu => out.iter_mut().zip(pairs).for_each(|(out, (g, u))| *out = g / (1.0 + exp(-g)) * u),
                    Activation::Gelu => out.iter_mut().zip(pairs).for_each(|(out, (g, u))| *out = gelu(*g) * u),
                    Activation::GeluTanh => out.iter_mut().zip(pairs).for_each(|(out, (g, u))| *out = gelu_tanh(*g) * u),
                }
            });
        });
    });
    B::from_vec(out, shape)
}

/// e^x for finite x by range reduction and a polynomial, within 2 units in the last place; written for vectors.
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    // ln 2 in two parts, so that the remainder keeps all its bits.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    e * f32::from_bits(((n as i32 + 127) << 23) as u32)
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
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 2.4e-7 * want, "{x}: {} {want}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn gelus_have_their_known_values() {
        assert!((gelu(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((gelu(-2.0) + 0.045_500_26).abs() < 1e-6);
        assert!((gelu_tanh(1.0) - 0.841_192).abs() < 1e-5);
    }
}
