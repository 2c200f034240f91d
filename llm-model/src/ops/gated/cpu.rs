//! One pass over gate and up, in pieces on all threads.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::Activation;
use crate::ops::activation::apply;
use crate::ops::simd::{multiply, silu_gated};
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
    if activation == Activation::Silu {
        return silu_gated(gate, up);
    }
    apply(gate, activation);
    multiply(gate, up);
}
