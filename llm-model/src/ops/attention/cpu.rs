//! One pass over keys and values for each query head with a running maximum (online softmax, Milakov and Gimelshein), read in
//! place from the cache: nothing is copied and no score matrix is kept.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use super::AttentionOptions;
use crate::ops::cpu::{Floats, add_scaled, dot_floats};
use crate::ops::gated::exp;
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Keys scored before their values are added up.
const KEYS: usize = 64;

/// The sizes that one call works with.
struct Sizes {
    seq: usize,
    heads: usize,
    kv_heads: usize,
    capacity: usize,
    dim: usize,
}

pub fn cpu<B: CpuBackend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    trace::<B>("attention", "online");
    let (shape, cache) = (q.shape(), k.shape());
    let sizes = Sizes { seq: shape[1], heads: shape[2], kv_heads: cache[1], capacity: cache[2], dim: shape[3] };
    let mut out = vec![0.0; shape.num_elements()];
    B::with_f32(&q, |q| {
        B::with_floats(&k, |k| {
            B::with_floats(&v, |v| {
                threads::for_each_piece(&mut out, sizes.dim, |row, out| {
                    let query = &q[row * sizes.dim..][..sizes.dim];
                    one_head(query, k, v, starts, options, &sizes, row, out);
                });
            });
        });
    });
    B::from_vec(out, shape)
}

/// Query head number `row` of all, in the order of `q [batch, seq, heads, dim]`.
#[expect(clippy::too_many_arguments, reason = "an inner function that takes what it needs")]
fn one_head(q: &[f32], k: Floats, v: Floats, starts: &[usize], options: &AttentionOptions, sizes: &Sizes, row: usize, out: &mut [f32]) {
    let (head, position) = (row % sizes.heads, row / sizes.heads);
    let (batch, offset) = (position / sizes.seq, position % sizes.seq);
    let last = starts[batch] + offset;
    let first = options.window.map_or(0, |window| (last + 1).saturating_sub(window));
    let kv_head = head / (sizes.heads / sizes.kv_heads);
    let base = (batch * sizes.kv_heads + kv_head) * sizes.capacity;
    let scale = options.scale as f32;

    let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
    let mut scores = [0.0f32; KEYS];
    for block in (first..=last).step_by(KEYS) {
        let count = KEYS.min(last + 1 - block);
        let scores = &mut scores[..count];
        for (i, score) in scores.iter_mut().enumerate() {
            *score = scale * dot_floats(q, k.range((base + block + i) * sizes.dim, sizes.dim));
        }
        let highest = scores.iter().copied().fold(max, f32::max);
        if highest > max {
            let shrink = if max == f32::NEG_INFINITY { 0.0 } else { exp(max - highest) };
            out.iter_mut().for_each(|x| *x *= shrink);
            sum *= shrink;
            max = highest;
        }
        for (i, score) in scores.iter().enumerate() {
            let weight = exp(score - max);
            sum += weight;
            add_scaled(out, weight, v.range((base + block + i) * sizes.dim, sizes.dim));
        }
    }
    out.iter_mut().for_each(|x| *x /= sum);
}
