//! The definition, on Burn's primitives: take the weights out of their tiles, then multiply.

use burn::backend::{
    Backend, TensorMetadata,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{DType, FloatDType, Shape, Slice};

use crate::ops::QuantTensor;
use crate::quant::{BLOCK, tiles::ROWS};

/// x · wᵀ.
pub fn reference<B: Backend>(x: FloatTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    let shape = weight.shape;
    let rows = 0..shape.rows;
    let weights = B::float_slice(dequantize::<B>(weight), &[Slice::from(rows), Slice::from(0..shape.width)]);
    B::float_matmul(x, B::float_transpose(weights))
}

/// The rows of `ids`: their strips are taken out of their tiles, then the rows out of their strips.
pub fn rows_reference<B: Backend>(ids: IntTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    let shape = weight.shape;
    let (count, device) = (ids.shape()[0], ids.device());
    let shift = ROWS.trailing_zeros() as i32;
    let strips = B::bitwise_right_shift_scalar(ids.clone(), shift.into());
    let factors = B::float_select(weight.factors, 0, strips.clone());
    let weights = dequantize::<B>(QuantTensor { values: B::int_select(weight.values, 0, strips), factors, shape });
    let firsts = B::int_mul_scalar(B::int_arange(0..count as i64, &device, ids.dtype().into()), (ROWS as i32).into());
    let places = B::int_add(firsts, B::bitwise_and_scalar(ids, (ROWS as i32 - 1).into()));
    B::float_slice(B::float_select(weights, 0, places), &[Slice::from(0..count), Slice::from(0..shape.width)])
}

/// All weights in f32, padding and all: `[strips · 16, blocks · 32]`.
fn dequantize<B: Backend>(weight: QuantTensor<B>) -> FloatTensor<B> {
    let shape = weight.shape;
    let [strips, blocks, lines, _] = weight.values.shape().dims();
    let (rows, bits) = (strips * ROWS, shape.format.bits());
    let mask = (1 << bits) - 1;
    let input = |index: usize| {
        let word = B::bitwise_right_shift_scalar(weight.values.clone(), ((8 * (index % 4) + 4 * (index / 4)) as i32).into());
        B::int_reshape(B::bitwise_and_scalar(word, mask.into()), Shape::new([strips, blocks, lines, ROWS, 1]))
    };
    let values = B::int_cat((0..32 / bits).map(input).collect(), 4); // [strips, blocks, lines, 16, inputs]
    let values = B::int_reshape(B::int_permute(values, &[0, 3, 1, 2, 4]), Shape::new([rows, blocks, BLOCK]));
    let values = B::float_sub_scalar(B::int_into_float(values, FloatDType::F32), i32::from(shape.format.zero()).into());

    let factors = if weight.factors.dtype() == DType::F32 { weight.factors } else { B::float_cast(weight.factors, FloatDType::F32) };
    let factor = |index: usize| {
        let ranges = [0..strips, 0..blocks, index..index + 1, 0..ROWS].map(Slice::from);
        let part = B::float_reshape(B::float_slice(factors.clone(), &ranges), Shape::new([strips, blocks, ROWS]));
        B::float_reshape(B::float_permute(part, &[0, 2, 1]), Shape::new([rows, blocks, 1]))
    };
    let scaled = B::float_mul(values, factor(0));
    let weights = if shape.format.has_minima() { B::float_add(scaled, factor(1)) } else { scaled };
    B::float_reshape(weights, Shape::new([rows, blocks * BLOCK]))
}
