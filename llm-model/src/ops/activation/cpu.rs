//! One pass over the numbers, in pieces on all threads.

use burn::backend::tensor::FloatTensor;

use crate::Activation;
use crate::ops::simd::{gelu, gelu_quick, gelu_tanh, relu, relu_squared, silu, softcap};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Numbers of one piece; below it the caller works alone.
const PIECE: usize = 8192;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    trace::<B>("activation", "simd");
    in_pieces::<B>(x, |piece| apply(piece, activation))
}

pub fn softcap_cpu<B: CpuBackend>(x: FloatTensor<B>, cap: f64) -> FloatTensor<B> {
    trace::<B>("softcap", "simd");
    in_pieces::<B>(x, |piece| softcap(piece, cap as f32))
}

fn in_pieces<B: CpuBackend>(x: FloatTensor<B>, change: impl Fn(&mut [f32]) + Sync) -> FloatTensor<B> {
    B::map_f32(x, |x| {
        let mut out = x.to_vec();
        threads::for_each_piece(&mut out, PIECE, |_, piece| change(piece));
        out
    })
}

/// `x` = act(x).
pub fn apply(x: &mut [f32], activation: Activation) {
    match activation {
        Activation::Silu => silu(x),
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => gelu_tanh(x),
        Activation::GeluQuick => gelu_quick(x),
        Activation::Relu => relu(x),
        Activation::ReluSquared => relu_squared(x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activations_have_their_known_values() {
        let at = |x: f32, activation| {
            let mut x = [x];
            apply(&mut x, activation);
            x[0]
        };
        for (activation, x, want) in [
            (Activation::Silu, 1.0, 0.731_058_6),
            (Activation::Gelu, 1.0, 0.841_344_7),
            (Activation::Gelu, -2.0, -0.045_500_26),
            (Activation::GeluTanh, 1.0, 0.841_192),
            (Activation::GeluQuick, 1.0, 0.845_796),
            (Activation::Relu, -1.0, 0.0),
            (Activation::ReluSquared, 3.0, 9.0),
        ] {
            assert!((at(x, activation) - want).abs() < 1e-6, "{activation:?} of {x}: {}", at(x, activation));
        }
    }
}
