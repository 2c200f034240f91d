//! The definition, on Burn's primitives.

use burn::backend::{
    Backend, TensorMetadata,
    tensor::{Device, FloatTensor},
};
use burn::tensor::{DType, FloatDType, Shape, Slice, TensorData};

use super::AttentionOptions;

/// softmax(scale · q · kᵀ + mask) · v for grouped heads; only the positions that some query sees are read.
pub fn reference<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    v: FloatTensor<B>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    let (q_shape, k_shape) = (q.shape(), k.shape());
    let [batch, seq, heads, dim] = [q_shape[0], q_shape[1], q_shape[2], q_shape[3]];
    let kv_heads = k_shape[1];
    let length = starts.iter().max().map_or(0, |start| start + seq);
    let group = heads / kv_heads;

    // [b, s, h, d] -> [b, kv, group · s, d]: the queries of a group share their keys.
    let q = B::float_permute(B::float_reshape(q, Shape::new([batch, seq, kv_heads, group, dim])), &[0, 2, 3, 1, 4]);
    let q = B::float_reshape(q, Shape::new([batch, kv_heads, group * seq, dim]));
    let seen = |t: FloatTensor<B>| {
        let ranges = [0..batch, 0..kv_heads, 0..length, 0..dim].map(Slice::from);
        let t = if k_shape[2] == length { t } else { B::float_slice(t, &ranges) };
        if t.dtype() == DType::F32 { t } else { B::float_cast(t, FloatDType::F32) }
    };
    let (k, v) = (seen(k), seen(v));

    let scores = B::float_mul_scalar(B::float_matmul(q, B::float_transpose(k)), options.scale.into());
    let scores = B::float_reshape(scores, Shape::new([batch, kv_heads, group, seq, length]));
    let mask = mask::<B>(starts, seq, length, options.window, &scores.device());
    let scores = B::float_add(scores, mask);
    let weights = softmax_last::<B>(scores);
    let weights = B::float_reshape(weights, Shape::new([batch, kv_heads, group * seq, length]));
    let out = B::float_reshape(B::float_matmul(weights, v), Shape::new([batch, kv_heads, group, seq, dim]));
    let out = B::float_permute(out, &[0, 3, 1, 2, 4]);
    B::float_reshape(out, Shape::new([batch, seq, heads, dim]))
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
