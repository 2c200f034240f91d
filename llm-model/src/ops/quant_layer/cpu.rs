//! The other operations on numbers, with no tensor between them.
//!
//! Between products the caller works alone, on code and tensors that the weights have driven out of its caches: for a token of a small
//! model that took a fifth of the time. Handing numbers on takes least.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use crate::ops::linear::{self, Matrix};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::{AnglesTensor, KvTensor, LayerOutput, NormTensor, QuantHeads, QuantLayerParts, attention, kv, rms_norm, rope};

pub fn cpu<B: CpuBackend>(
    x: FloatTensor<B>,
    layer: QuantLayerParts<B>,
    angles: AnglesTensor<B>,
    cache: [KvTensor<B>; 2],
    starts: &[usize],
) -> LayerOutput<B> {
    trace::<B>("quant_layer", "fused");
    let shape = x.shape();
    let pass = Pass { layer: &layer, angles: &angles, starts, seq: shape[1], hidden: shape[2] };
    let (x, [keys, values]) = B::with_f32(&x, |x| {
        let (x, cache) = pass.attention(x, cache);
        (pass.feed_forward(&x), cache)
    });
    LayerOutput { x: B::from_vec(x, shape), keys, values }
}

/// What a layer reads beside x and cache.
struct Pass<'a, B: CpuBackend> {
    layer: &'a QuantLayerParts<B>,
    angles: &'a AnglesTensor<B>,
    starts: &'a [usize],
    seq: usize,
    hidden: usize,
}

impl<B: CpuBackend> Pass<'_, B> {
    /// x + attention(norm(x)).
    fn attention(&self, x: &[f32], [keys, values]: [KvTensor<B>; 2]) -> (Vec<f32>, [KvTensor<B>; 2]) {
        let QuantLayerParts { attention_norm, q, k, v, o, options, .. } = self.layer;
        let dim = keys.shape()[3];
        let matrices = [&q.weight, &k.weight, &v.weight].map(Matrix::quantized::<B>);
        let [a, b, c] = linear::numbers::<B, 3>("linear_three", &normed(x, attention_norm), self.hidden, matrices, &[]);
        let (mut queries, mut new, v) = (finished(a, q), finished(b, k), finished(c, v));
        B::with_f32(&self.angles.cos, |cos| {
            B::with_f32(&self.angles.sin, |sin| {
                for x in [&mut queries, &mut new] {
                    trace::<B>("rope", "simd");
                    let heads = self.width(x) / dim;
                    rope::rotate(x, [cos, sin], [heads, dim, self.width(cos)]);
                }
            });
        });
        let keys = kv::write::<B>(&new, self.seq, keys, self.starts);
        let values = kv::write::<B>(&v, self.seq, values, self.starts);
        let y = attention::numbers::<B>(&queries, self.seq, [&keys, &values], None, self.starts, options);
        let [x] = linear::numbers::<B, 1>("linear_onto", &y, self.width(&y), [Matrix::quantized::<B>(o)], x);
        (x, [keys, values])
    }

    /// x + feed_forward(norm(x)).
    fn feed_forward(&self, x: &[f32]) -> Vec<f32> {
        let QuantLayerParts { feed_forward_norm, gate, up, down, activation, .. } = self.layer;
        let matrices = [gate, up].map(Matrix::quantized::<B>);
        let inner = linear::gated_numbers::<B>(&normed(x, feed_forward_norm), self.hidden, matrices, *activation);
        let [x] = linear::numbers::<B, 1>("linear_onto", &inner, self.width(&inner), [Matrix::quantized::<B>(down)], x);
        x
    }

    /// Numbers of each position.
    fn width(&self, x: &[f32]) -> usize {
        x.len() / (self.starts.len() * self.seq)
    }
}

fn normed<B: CpuBackend>(x: &[f32], norm: &NormTensor<B>) -> Vec<f32> {
    rms_norm::numbers::<B>(x, &norm.gamma, norm.eps)
}

/// Queries, keys or values of the products with their matrix: with the bias, normed.
fn finished<B: CpuBackend>(mut x: Vec<f32>, of: &QuantHeads<B>) -> Vec<f32> {
    if let Some(bias) = of.bias.get() {
        B::with_f32(&bias.bias, |bias| {
            x.chunks_exact_mut(bias.len()).for_each(|row| row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias));
        });
    }
    match of.norm.get() {
        Some(norm) => normed(&x, norm),
        None => x,
    }
}
