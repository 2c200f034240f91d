//! Keys and values are written straight to their places: nothing is turned around or copied on the way.

use burn::backend::{TensorMetadata, tensor::FloatTensor};

use super::KvTensor;
use crate::ops::simd::{Floats, round_to_i8};
use crate::ops::slices::{CpuBackend, trace};

/// Keys or values as slices, `[batch, kv_heads, capacity, dim]`, and a factor for each vector where they are whole numbers.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    pub numbers: Floats<'a>,
    pub scales: Option<&'a [f32]>,
}

/// Calls `read` with what `kv` holds; nothing is copied.
pub fn with_stored<B: CpuBackend, R>(kv: &KvTensor<B>, read: impl FnOnce(Stored) -> R) -> R {
    match kv {
        KvTensor::Floats(all) => B::with_floats(all, |numbers| read(Stored { numbers, scales: None })),
        KvTensor::Int8 { values, scales } => {
            B::with_f32(scales, |scales| read(Stored { numbers: Floats::I8(B::bytes(values)), scales: Some(scales) }))
        }
    }
}

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, kv: KvTensor<B>, starts: &[usize]) -> KvTensor<B> {
    let seq = x.shape()[1];
    B::with_f32(&x, |x| write::<B>(x, seq, kv, starts))
}

/// The same for numbers, `[batch, seq, kv_heads, dim]`.
pub fn write<B: CpuBackend>(x: &[f32], seq: usize, kv: KvTensor<B>, starts: &[usize]) -> KvTensor<B> {
    trace::<B>("append", "in place");
    let shape = kv.shape();
    let [heads, capacity, dim] = [shape[1], shape[2], shape[3]];
    let last = starts.iter().max().map_or(0, |start| start + seq);
    assert!(last <= capacity, "room for {capacity} positions, and {last} to hold");
    // The place of each vector of `x` among those of `kv`.
    let place = |index: usize| {
        let (row, offset, head) = (index / heads / seq, index / heads % seq, index % heads);
        (row * heads + head) * capacity + starts[row] + offset
    };
    match kv {
        KvTensor::Floats(mut all) => {
            let mut numbers = B::floats_mut(&mut all);
            x.chunks_exact(dim).enumerate().for_each(|(index, vector)| numbers.write(place(index) * dim, vector));
            KvTensor::Floats(all)
        }
        KvTensor::Int8 { mut values, mut scales } => {
            let (numbers, mut factors) = (B::bytes_mut(&mut values), B::floats_mut(&mut scales));
            for (index, vector) in x.chunks_exact(dim).enumerate() {
                let scale = round_to_i8(vector, &mut numbers[place(index) * dim..][..dim]);
                factors.write(place(index), &[scale]);
            }
            KvTensor::Int8 { values, scales }
        }
    }
}
