//! The definition, on Burn's primitives.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::{DType, FloatDType, IntDType, Shape, Slice};

use super::KvTensor;

/// Writes `x [batch, seq, kv_heads, d]` to positions `starts[b] ..` of each row of `kv`, in its type.
pub fn reference<B: Backend>(x: FloatTensor<B>, kv: KvTensor<B>, starts: &[usize]) -> KvTensor<B> {
    let x = B::float_permute(x, &[0, 2, 1, 3]); // [b, h, s, d]
    let shape = x.shape();
    let (heads, seq, dim) = (shape[1], shape[2], shape[3]);
    let place = |row: usize, start: usize| [row..row + 1, 0..heads, start..start + seq, 0..dim].map(Slice::from);
    match kv {
        KvTensor::Floats(mut all) => {
            let dtype = float_dtype(all.dtype());
            let x = if x.dtype() == all.dtype() { x } else { B::float_cast(x, dtype) };
            for (row, &start) in starts.iter().enumerate() {
                let part = B::float_slice(x.clone(), &place(row, 0));
                all = B::float_slice_assign(all, &place(row, start), part);
            }
            KvTensor::Floats(all)
        }
        KvTensor::Int8 { mut values, mut scales } => {
            let (new, factors) = quantize::<B>(x);
            for (row, &start) in starts.iter().enumerate() {
                values = B::int_slice_assign(values, &place(row, start), B::int_slice(new.clone(), &place(row, 0)));
                scales = B::float_slice_assign(scales, &place(row, start)[..3], B::float_slice(factors.clone(), &place(row, 0)[..3]));
            }
            KvTensor::Int8 { values, scales }
        }
    }
}

/// scale = max |x| / 127 and round(x / scale) for each vector of `x [b, h, s, d]`; values `[b, h, s, d]` and scales `[b, h, s]`.
fn quantize<B: Backend>(x: FloatTensor<B>) -> (burn::backend::tensor::IntTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let scales = B::float_div_scalar(B::float_max_abs_dim(x.clone(), 3), 127.0.into());
    // Nothing is divided by 0, and 0 stays 0.
    let divisors = B::float_clamp_min(scales.clone(), f32::MIN_POSITIVE.into());
    let values = B::float_into_int(B::float_round(B::float_div(x, divisors)), IntDType::I8);
    (values, B::float_reshape(scales, Shape::new([shape[0], shape[1], shape[2]])))
}

/// The first `length` positions in floats: as they are kept, or f32 for whole numbers.
pub fn dequantize<B: Backend>(kv: KvTensor<B>, length: usize) -> FloatTensor<B> {
    let shape = kv.shape();
    let seen = [0..shape[0], 0..shape[1], 0..length, 0..shape[3]].map(Slice::from);
    match kv {
        KvTensor::Floats(all) if shape[2] == length => all,
        KvTensor::Floats(all) => B::float_slice(all, &seen),
        KvTensor::Int8 { values, scales } => {
            let values = B::int_into_float(B::int_slice(values, &seen), FloatDType::F32);
            let scales = B::float_slice(scales, &seen[..3]);
            B::float_mul(values, B::float_reshape(scales, Shape::new([shape[0], shape[1], length, 1])))
        }
    }
}

fn float_dtype(dtype: DType) -> FloatDType {
    match dtype {
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        _ => FloatDType::F32,
    }
}
