//! The gradient for SiLU as one operation; the other activations are differentiated through the reference.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::{Autodiff, Backend, TensorMetadata, tensor::FloatTensor};

use super::cpu::PIECE;
use super::reference;
use crate::Activation;
use crate::ops::gradient::tracked;
use crate::ops::simd::exp;
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::{LlmBackend, threads};

/// With s = sigmoid(gate): d_gate = g · up · s · (1 + gate · (1 − s)) and d_up = g · gate · s.
pub fn silu_backward_reference<B: Backend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let s = B::sigmoid(gate.clone());
    let silu = B::float_mul(gate.clone(), s.clone());
    let up_grad = B::float_mul(grad.clone(), silu.clone());
    // s · (1 + gate · (1 − s)) = s + silu − silu · s
    let slope = B::float_sub(B::float_add(s.clone(), silu.clone()), B::float_mul(silu, s));
    (B::float_mul(B::float_mul(grad, up), slope), up_grad)
}

/// The same on slices, in pieces on all threads.
pub fn silu_backward_cpu<B: CpuBackend>(
    gate: FloatTensor<B>,
    up: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    trace::<B>("gated_backward", "pieces");
    let shape = gate.shape();
    let (mut gate_grad, mut up_grad) = (vec![0.0; shape.num_elements()], vec![0.0; shape.num_elements()]);
    let silu = |x: f32| x / (1.0 + exp(-x));
    B::with_f32(&gate, |gate| {
        B::with_f32(&up, |up| {
            B::with_f32(&grad, |grad| {
                threads::for_each_piece(&mut up_grad, PIECE, |index, out| {
                    let range = index * PIECE..index * PIECE + out.len();
                    let pairs = gate[range.clone()].iter().zip(&grad[range]);
                    out.iter_mut().zip(pairs).for_each(|(out, (gate, grad))| *out = grad * silu(*gate));
                });
                threads::for_each_piece(&mut gate_grad, PIECE, |index, out| {
                    let range = index * PIECE..index * PIECE + out.len();
                    let inputs = gate[range.clone()].iter().zip(&up[range.clone()]).zip(&grad[range]);
                    for (out, ((gate, up), grad)) in out.iter_mut().zip(inputs) {
                        let s = 1.0 / (1.0 + exp(-gate));
                        *out = grad * up * s * (1.0 + gate * (1.0 - s));
                    }
                });
            });
        });
    });
    (B::from_vec(gate_grad, shape.clone()), B::from_vec(up_grad, shape))
}

/// The tracked operation.
pub fn autodiff<B: LlmBackend, C: CheckpointStrategy>(
    gate: FloatTensor<Autodiff<B, C>>,
    up: FloatTensor<Autodiff<B, C>>,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>> {
    if activation != Activation::Silu {
        return reference::<Autodiff<B, C>>(gate, up, activation);
    }
    let inputs = [gate.node(), up.node()];
    let (gate, up) = (gate.into_primitive(), up.into_primitive());
    tracked::<B, C, 2>(inputs, B::gated(gate.clone(), up.clone(), activation), move |grad| {
        B::silu_backward(gate.clone(), up.clone(), grad).into()
    })
}
