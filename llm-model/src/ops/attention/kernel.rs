//! Attention on CubeCL: one cube for each query head, its units sharing the keys; nothing of the cache is copied.

use cubecl::{cube, prelude::*};

/// Online softmax over blocks of as many keys as the cube has units.
///
/// `q` and `out [batch, seq, heads, dim]`, `k` and `v [batch, kv_heads, capacity, dim]`, `starts [batch]`. A unit scores one key
/// of the block, then adds up the values for its share of the head's numbers.
#[cube(launch)]
pub fn attention_kernel<F: Float, K: Float>(
    q: &Tensor<F>,
    k: &Tensor<K>,
    v: &Tensor<K>,
    starts: &Tensor<i32>,
    out: &mut Tensor<F>,
    scale: f32,
    cap: f32,
    window: u32,
    #[comptime] units: usize,
    #[comptime] dim: usize,
    #[comptime] shares: usize,
    #[comptime] capped: bool,
    #[define(F)] _float: ElemType,
    #[define(K)] _cache: ElemType,
) {
    let head = CUBE_POS_X as usize;
    let offset = CUBE_POS_Y as usize;
    let batch = CUBE_POS_Z as usize;
    let unit = UNIT_POS_X as usize;
    let heads = q.shape(2);
    let kv_heads = k.shape(1);
    let capacity = k.shape(2);

    let last = starts[batch] as usize + offset;
    let mut first = 0usize;
    if window as usize <= last {
        first = last + 1 - window as usize;
    }
    let row = ((batch * q.shape(1) + offset) * heads + head) * dim;
    let base = (batch * kv_heads + head / (heads / kv_heads)) * capacity * dim;

    let mut query = Shared::<[F]>::new_slice(dim);
    let mut weights = Shared::<[F]>::new_slice(units);
    for share in 0..shares {
        let at = share * units + unit;
        if at < dim {
            query[at] = q[row + at] * F::cast_from(scale);
        }
    }
    let mut sums = Array::<F>::new(shares);
    for share in 0..shares {
        sums[share] = F::new(0.0_f32);
    }
    let mut highest = F::new(-1.0e30_f32);
    let mut total = F::new(0.0_f32);
    sync_cube();

    let count = last + 1 - first;
    for block in 0..count.div_ceil(units) {
        let key = first + block * units + unit;
        let mut score = F::new(-1.0e30_f32);
        if key <= last {
            score = F::new(0.0_f32);
            for i in 0..dim {
                score += query[i] * F::cast_from(k[base + key * dim + i]);
            }
            if capped {
                // cap · tanh(score / cap), so that no large score overflows.
                let small = F::exp(F::new(-2.0_f32) * F::abs(score) / F::cast_from(cap));
                let size = F::cast_from(cap) * (F::new(1.0_f32) - small) / (F::new(1.0_f32) + small);
                if score < F::new(0.0_f32) {
                    score = F::new(0.0_f32) - size;
                } else {
                    score = size;
                }
            }
        }
        weights[unit] = score;
        sync_cube();
        let mut top = highest;
        for i in 0..units {
            top = F::max(top, weights[i]);
        }
        sync_cube();
        let mut weight = F::new(0.0_f32);
        if key <= last {
            weight = F::exp(score - top);
        }
        weights[unit] = weight;
        sync_cube();
        let shrink = F::exp(highest - top);
        highest = top;
        total *= shrink;
        for i in 0..units {
            total += weights[i];
        }
        for share in 0..shares {
            let at = share * units + unit;
            if at < dim {
                let mut sum = sums[share] * shrink;
                for i in 0..units {
                    let key = first + block * units + i;
                    if key <= last {
                        sum += weights[i] * F::cast_from(v[base + key * dim + at]);
                    }
                }
                sums[share] = sum;
            }
        }
        sync_cube();
    }
    for share in 0..shares {
        let at = share * units + unit;
        if at < dim {
            out[row + at] = sums[share] / total;
        }
    }
}
