//! The gradient as one operation, for keys and values in f32. The weights are computed again from queries and keys, so that no score matrix is kept.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::{Autodiff, TensorMetadata, tensor::FloatTensor};
use burn::tensor::DType;

use super::cpu::Sizes;
use super::{AttentionOptions, reference};
use crate::ops::LlmBackend;
use crate::ops::gradient::tracked;
use crate::ops::kv::KvTensor;
use crate::ops::matmul::{self, Matrix, Target};
use crate::ops::simd::{dot, exp, tanh};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Neighboring queries that are taken together: the keys that one of them does not see are few.
const QUERIES: usize = 64;

/// With p = softmax(s · q · kᵀ) and δ = g · out for each query: dv = pᵀ · g, dp = g · vᵀ, ds = s · p · (dp − δ), dq = ds · k and
/// dk = dsᵀ · q (Dao et al., FlashAttention); a softcap c · tanh(x / c) multiplies ds by its derivative 1 − tanh². Keys beyond the last position have gradient 0.
pub fn backward_cpu<B: CpuBackend>(
    [q, k, v, out, grad]: [FloatTensor<B>; 5],
    starts: &[usize],
    options: &AttentionOptions,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    trace::<B>("attention_backward", "recompute");
    let (q_shape, k_shape) = (q.shape(), k.shape());
    let sizes = Sizes::new(q_shape[1], q_shape[2], &k_shape);
    let (queries, keys) = (sizes.group() * sizes.seq * sizes.dim, sizes.capacity * sizes.dim);
    // For each key and value head, side by side: dq [group, seq, dim], dk and dv [capacity, dim].
    let piece = queries + 2 * keys;
    let mut all = vec![0.0; starts.len() * sizes.kv_heads * piece];
    B::with_f32(&q, |q| {
        B::with_f32(&k, |k| {
            B::with_f32(&v, |v| {
                B::with_f32(&out, |out| {
                    B::with_f32(&grad, |grad| {
                        threads::for_each_piece(&mut all, piece, |index, piece| {
                            let (dq, rest) = piece.split_at_mut(queries);
                            let (dk, dv) = rest.split_at_mut(keys);
                            let part = index * keys..(index + 1) * keys;
                            let inputs = Inputs { q, k: &k[part.clone()], v: &v[part], out, grad };
                            one_head(&inputs, starts, options, &sizes, index, [dq, dk, dv]);
                        });
                    });
                });
            });
        });
    });
    let mut dq = vec![0.0; q_shape.num_elements()];
    for (row, dq) in dq.chunks_exact_mut(sizes.dim).enumerate() {
        let (head, position) = (row % sizes.heads, row / sizes.heads);
        let (batch, offset) = (position / sizes.seq, position % sizes.seq);
        let (kv_head, member) = (head / sizes.group(), head % sizes.group());
        let from = (batch * sizes.kv_heads + kv_head) * piece + (member * sizes.seq + offset) * sizes.dim;
        dq.copy_from_slice(&all[from..from + sizes.dim]);
    }
    let gather = |from: usize| all.chunks_exact(piece).flat_map(|piece| &piece[from..from + keys]).copied().collect();
    let (dk, dv) = (gather(queries), gather(queries + keys));
    (B::from_vec(dq, q_shape), B::from_vec(dk, k_shape.clone()), B::from_vec(dv, k_shape))
}

/// `q`, `out` and `grad [batch, seq, heads, dim]`; `k` and `v [capacity, dim]` of one head.
struct Inputs<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    out: &'a [f32],
    grad: &'a [f32],
}

/// Adds up the gradients of key and value head number `index` of all sequences, and of the queries that read it.
fn one_head(x: &Inputs, starts: &[usize], options: &AttentionOptions, sizes: &Sizes, index: usize, [dq, dk, dv]: [&mut [f32]; 3]) {
    let (batch, kv_head) = (index / sizes.kv_heads, index % sizes.kv_heads);
    let (dim, stride) = (sizes.dim, sizes.heads * sizes.dim);
    let mut scratch = [Vec::new(), Vec::new()];
    for (member, dq) in dq.chunks_exact_mut(sizes.seq * dim).enumerate() {
        for (block, dq) in dq.chunks_mut(QUERIES * dim).enumerate() {
            let (offset, count) = (block * QUERIES, dq.len() / dim);
            let at = (batch * sizes.seq + offset) * stride + (kv_head * sizes.group() + member) * dim;
            let [q, out, grad] = [x.q, x.out, x.grad].map(|all| Rows { values: &all[at..], count, dim, stride });
            let position = starts[batch] + offset;
            let first = options.window.map_or(0, |window| (position + 1).saturating_sub(window));
            let keys = first * dim..(position + count) * dim;
            let [k, v] = [x.k, x.v].map(|all| Matrix::rows(&all[keys.clone()], dim));
            let weights = weights(&mut scratch, [q, out, grad], [k, v], position - first, options);
            let [p, ds] = weights.map(|weights| Matrix::rows(weights, position + count - first));
            matmul::multiply(ds, k, Target::rows(dq, dim));
            matmul::multiply(ds.transposed(), q.matrix(), Target::rows(&mut dk[keys.clone()], dim).added());
            matmul::multiply(p.transposed(), grad.matrix(), Target::rows(&mut dv[keys], dim).added());
        }
    }
}

/// p and ds of `count` neighboring queries over `n` keys, `[count, n]` each; the first query sees `before` keys and its own.
fn weights<'a>(
    scratch: &'a mut [Vec<f32>; 2],
    [q, out, grad]: [Rows; 3],
    [k, v]: [Matrix; 2],
    before: usize,
    options: &AttentionOptions,
) -> [&'a [f32]; 2] {
    let (n, scale) = (before + q.count, options.scale as f32);
    let [p, ds] = scratch.each_mut().map(|all| {
        all.resize(q.count * n, 0.0);
        &mut all[..]
    });
    matmul::multiply(q.matrix(), k.transposed(), Target::rows(p, n));
    matmul::multiply(grad.matrix(), v.transposed(), Target::rows(ds, n));
    for (row, (p, ds)) in p.chunks_exact_mut(n).zip(ds.chunks_exact_mut(n)).enumerate() {
        let last = before + row;
        let first = options.window.map_or(0, |window| (last + 1).saturating_sub(window));
        for hidden in [0..first, last + 1..n] {
            p[hidden.clone()].fill(0.0);
            ds[hidden].fill(0.0);
        }
        let (p, ds) = (&mut p[first..=last], &mut ds[first..=last]);
        let delta = dot(grad.row(row), out.row(row));
        // What ds gets in the end is p times this.
        ds.iter_mut().for_each(|ds| *ds = scale * (*ds - delta));
        p.iter_mut().for_each(|p| *p *= scale);
        if let Some(cap) = options.softcap.map(|cap| cap as f32) {
            for (p, ds) in p.iter_mut().zip(&mut *ds) {
                let tanh = tanh(*p / cap);
                (*p, *ds) = (cap * tanh, *ds * (1.0 - tanh * tanh));
            }
        }
        let max = p.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        p.iter_mut().for_each(|p| *p = exp(*p - max));
        let sum: f32 = p.iter().sum();
        for (p, ds) in p.iter_mut().zip(ds) {
            *p /= sum;
            *ds *= *p;
        }
    }
    [p, ds]
}

/// One head of neighboring positions.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    count: usize,
    dim: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.stride..][..self.dim]
    }

    fn matrix(&self) -> Matrix<'a> {
        Matrix::strided(self.values, self.count, self.dim, self.stride)
    }
}

/// The tracked operation.
pub fn autodiff<B: LlmBackend, C: CheckpointStrategy>(
    q: FloatTensor<Autodiff<B, C>>,
    k: KvTensor<Autodiff<B, C>>,
    v: KvTensor<Autodiff<B, C>>,
    starts: Vec<usize>,
    options: AttentionOptions,
) -> FloatTensor<Autodiff<B, C>> {
    let (k, v) = match (k, v) {
        (KvTensor::Floats(k), KvTensor::Floats(v)) if k.dtype() == DType::F32 && v.dtype() == DType::F32 => (k, v),
        (k, v) => return reference::<Autodiff<B, C>>(q, k, v, &starts, &options),
    };
    let inputs = [q.node(), k.node(), v.node()];
    let (q, k, v) = (q.into_primitive(), k.into_primitive(), v.into_primitive());
    let floats = KvTensor::Floats;
    let out = <B as LlmBackend>::attention(q.clone(), floats(k.clone()), floats(v.clone()), starts.clone(), options);
    let result = out.clone();
    tracked::<B, C, 3>(inputs, out, move |grad| {
        B::attention_backward(q.clone(), k.clone(), v.clone(), result.clone(), grad, starts.clone(), options).into()
    })
}
