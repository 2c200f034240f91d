//! The definition, on Burn's primitives.

use burn::backend::{
    Backend, TensorMetadata,
    tensor::{Device, FloatTensor},
};
use burn::tensor::{DType, FloatDType, Shape, Slice, TensorData};

use super::AttentionOptions;
use crate::ops::kv::{KvTensor, dequantize};

/// softmax(softcap(scale · q · kᵀ) + mask) · v for grouped heads; only the positions that some query sees are read.
pub fn reference<B: Backend>(
    q: FloatTensor<B>,
    k: KvTensor<B>,
    v: KvTensor<B>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    attend::<B>(q, k, v, None, starts, options)
}

/// The same where the softmax has one more score beside those of the keys, `sinks [h]` by head, whose weight is nobody's.
pub fn reference_with_sinks<B: Backend>(
    q: FloatTensor<B>,
    k: KvTensor<B>,
    v: KvTensor<B>,
    sinks: FloatTensor<B>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    attend::<B>(q, k, v, Some(sinks), starts, options)
}

fn attend<B: Backend>(
    q: FloatTensor<B>,
    k: KvTensor<B>,
    v: KvTensor<B>,
    sinks: Option<FloatTensor<B>>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    let (shape, kv_heads) = (q.shape(), k.shape()[1]);
    let length = starts.iter().max().map_or(0, |start| start + shape[1]);
    let (weights, _) = weights::<B>(grouped::<B>(q, kv_heads), seen::<B>(k, length), sinks, shape[1], starts, options);
    ungrouped::<B>(B::float_matmul(weights, seen::<B>(v, length)), shape)
}

/// The gradients of q, k and v, by the formulas of the chain rule; keys beyond the last position have gradient 0.
pub fn backward_reference<B: Backend>(
    [q, k, v, out, grad]: [FloatTensor<B>; 5],
    starts: &[usize],
    options: &AttentionOptions,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (shape, cache) = (q.shape(), k.shape());
    let length = starts.iter().max().map_or(0, |start| start + shape[1]);
    let [q, out, grad] = [q, out, grad].map(|x| grouped::<B>(x, cache[1]));
    let (k, v) = (seen::<B>(KvTensor::Floats(k), length), seen::<B>(KvTensor::Floats(v), length));
    let (p, slopes) = weights::<B>(q.clone(), k.clone(), None, shape[1], starts, options);
    let delta = B::float_sum_dim(B::float_mul(grad.clone(), out), 3);
    let dp = B::float_matmul(grad.clone(), B::float_transpose(v));
    let ds = B::float_mul_scalar(B::float_mul(p.clone(), B::float_sub(dp, delta)), options.scale.into());
    let ds = slopes.map_or(ds.clone(), |slopes| B::float_mul(ds, slopes));
    let dq = ungrouped::<B>(B::float_matmul(ds.clone(), k), shape);
    let whole = |part: FloatTensor<B>| {
        let ranges = [0..cache[0], 0..cache[1], 0..length, 0..cache[3]].map(Slice::from);
        let zeros = B::float_zeros(cache.clone(), &part.device(), FloatDType::F32);
        B::float_slice_assign(zeros, &ranges, part)
    };
    let dk = whole(B::float_matmul(B::float_transpose(ds), q));
    let dv = whole(B::float_matmul(B::float_transpose(p), grad));
    (dq, dk, dv)
}

/// `[b, s, h, d]` → `[b, kv, group · s, d]`: the queries of a group share their keys.
fn grouped<B: Backend>(x: FloatTensor<B>, kv_heads: usize) -> FloatTensor<B> {
    let shape = x.shape();
    let [batch, seq, heads, dim] = [shape[0], shape[1], shape[2], shape[3]];
    let x = B::float_reshape(x, Shape::new([batch, seq, kv_heads, heads / kv_heads, dim]));
    B::float_reshape(B::float_permute(x, &[0, 2, 3, 1, 4]), Shape::new([batch, kv_heads, heads / kv_heads * seq, dim]))
}

/// `[b, kv, group · s, d]` → `shape`, which is `[b, s, h, d]`.
fn ungrouped<B: Backend>(x: FloatTensor<B>, shape: Shape) -> FloatTensor<B> {
    let [batch, seq, heads, dim] = [shape[0], shape[1], shape[2], shape[3]];
    let kv_heads = x.shape()[1];
    let x = B::float_reshape(x, Shape::new([batch, kv_heads, heads / kv_heads, seq, dim]));
    B::float_reshape(B::float_permute(x, &[0, 3, 1, 2, 4]), shape)
}

/// The first `length` positions of a cache `[b, kv, capacity, d]`, in f32.
fn seen<B: Backend>(kv: KvTensor<B>, length: usize) -> FloatTensor<B> {
    let x = dequantize::<B>(kv, length);
    if x.dtype() == DType::F32 { x } else { B::float_cast(x, FloatDType::F32) }
}

/// How much each query attends to each key: `q [b, kv, group · seq, d]`, `k [b, kv, length, d]`; `[b, kv, group · seq, length]` out.
/// Beside it the derivatives of the softcap where there is one: 1 − tanh².
fn weights<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    sinks: Option<FloatTensor<B>>,
    seq: usize,
    starts: &[usize],
    options: &AttentionOptions,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let (shape, length) = (q.shape(), k.shape()[2]);
    let [batch, kv_heads, queries] = [shape[0], shape[1], shape[2]];
    let mut scores = B::float_mul_scalar(B::float_matmul(q, B::float_transpose(k)), options.scale.into());
    let mut slopes = None;
    if let Some(cap) = options.softcap {
        let tanh = B::float_tanh(B::float_div_scalar(scores, cap.into()));
        slopes = Some(B::float_add_scalar(B::float_neg(B::float_mul(tanh.clone(), tanh.clone())), 1.0.into()));
        scores = B::float_mul_scalar(tanh, cap.into());
    }
    let scores = B::float_reshape(scores, Shape::new([batch, kv_heads, queries / seq, seq, length]));
    let mask = mask::<B>(starts, seq, length, options.window, &scores.device());
    let scores = B::float_add(scores, mask);
    let weights = match sinks {
        None => softmax_last::<B>(scores),
        Some(sinks) => {
            let group = queries / seq;
            let sinks = B::float_reshape(sinks, Shape::new([1, kv_heads, group, 1, 1]));
            let sinks = B::float_expand(sinks, Shape::new([batch, kv_heads, group, seq, 1]));
            let weights = softmax_last::<B>(B::float_cat(vec![scores, sinks], 4));
            B::float_slice(weights, &[0..batch, 0..kv_heads, 0..group, 0..seq, 0..length].map(Slice::from))
        }
    };
    (B::float_reshape(weights, Shape::new([batch, kv_heads, queries, length])), slopes)
}

/// 0 where a query sees a key, a number far below any score elsewhere; `[batch, 1, 1, seq, length]`.
fn mask<B: Backend>(starts: &[usize], seq: usize, length: usize, window: Option<usize>, device: &Device<B>) -> FloatTensor<B> {
    let mut values = Vec::with_capacity(starts.len() * seq * length);
    for start in starts {
        for position in *start..start + seq {
            let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
            values.extend((0..length).map(|key| if (first..=position).contains(&key) { 0.0f32 } else { -1e30 }));
        }
    }
    B::float_from_data(TensorData::new(values, [starts.len(), 1, 1, seq, length]), device)
}

/// exp(x − max) / Σ over the last dimension.
fn softmax_last<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let last = x.rank() - 1;
    let max = B::float_detach(B::float_max_dim(x.clone(), last));
    let exp = B::float_exp(B::float_sub(x, max));
    let sum = B::float_sum_dim(exp.clone(), last);
    B::float_div(exp, sum)
}
