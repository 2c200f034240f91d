//! The definition, on Burn's primitives: take the weights out of their tiles, then multiply.

use burn::backend::{
    Backend, TensorMetadata,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{DType, FloatDType, Shape, Slice, TensorData};

use crate::ops::{QuantParts, QuantTensor};
use crate::quant::{BLOCK, BLOCKS, QuantFormat, QuantShape, Steps, Table, planes, tiles::ROWS};

/// x · wᵀ.
pub fn reference<B: Backend>(x: FloatTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    let shape = weight.shape;
    let rows = 0..shape.rows;
    let weights = B::float_slice(dequantize::<B>(&weight), &[Slice::from(rows), Slice::from(0..shape.width)]);
    B::float_matmul(x, B::float_transpose(weights))
}

/// The rows of `ids`: their strips are taken out of their tiles, then the rows out of their strips.
pub fn rows_reference<B: Backend>(ids: IntTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    let shape = weight.shape;
    let (count, device) = (ids.shape()[0], ids.device());
    let shift = ROWS.trailing_zeros() as i32;
    let strips = B::bitwise_right_shift_scalar(ids.clone(), shift.into());
    let factors = B::float_select(weight.factors.clone(), 0, strips.clone());
    let weights = dequantize::<B>(&QuantParts { values: B::int_select(weight.values.clone(), 0, strips), factors, shape });
    let firsts = B::int_mul_scalar(B::int_arange(0..count as i64, &device, ids.dtype().into()), (ROWS as i32).into());
    let places = B::int_add(firsts, B::bitwise_and_scalar(ids, (ROWS as i32 - 1).into()));
    B::float_slice(B::float_select(weights, 0, places), &[Slice::from(0..count), Slice::from(0..shape.width)])
}

/// All weights in f32, padding and all: `[strips · 16, tiles · inputs of a tile]`.
fn dequantize<B: Backend>(weight: &QuantParts<B>) -> FloatTensor<B> {
    let QuantParts { values, factors, shape: QuantShape { format, .. } } = weight.clone();
    let [strips, tiles, ..] = values.shape().dims::<4>();
    let (rows, blocks, bits) = (strips * ROWS, tiles * format.sharing(), format.bits());
    let lines = part::<B>(values.clone(), 2, 0..format.sharing() * bits);
    let lines = B::int_reshape(lines, Shape::new([strips, blocks, bits, ROWS]));
    let (mut inputs, mut first) = (None, 0);
    for &(shift, bits) in planes(bits) {
        let plane = fields::<B>(part::<B>(lines.clone(), 2, first..first + bits), bits);
        let plane = B::int_reshape(B::int_permute(plane, &[0, 3, 1, 2, 4]), Shape::new([rows, blocks, BLOCK]));
        let plane = B::bitwise_left_shift_scalar(plane, (shift as i32).into());
        inputs = Some(inputs.map_or(plane.clone(), |inputs| B::int_add(inputs, plane)));
        first += bits;
    }
    let Some(inputs) = inputs else { unreachable!("values have planes") };
    let inputs = match format.table() {
        Some(table) => looked_up::<B>(inputs, table),
        None => B::float_sub_scalar(B::int_into_float(inputs, FloatDType::F32), i32::from(format.zero()).into()),
    };

    // Every factor for each half of a block, where blocks or superblocks share them.
    let factors = if factors.dtype() == DType::F32 { factors } else { B::float_cast(factors, FloatDType::F32) };
    let halves = Shape::new([rows, tiles, 2 * format.sharing()]);
    let steps = format.steps().map(|kind| steps::<B>(values, format, kind));
    let factor = |kind: usize| {
        let ranges = [0..strips, 0..tiles, kind..kind + 1, 0..ROWS].map(Slice::from);
        let shared = B::float_reshape(B::float_slice(factors.clone(), &ranges), Shape::new([strips, tiles, ROWS]));
        let shared = B::float_reshape(B::float_permute(shared, &[0, 2, 1]), Shape::new([rows, tiles, 1]));
        let all = B::float_expand(shared, halves.clone());
        let all = if let Some(steps) = &steps { B::float_mul(all, steps[kind].clone()) } else { all };
        B::float_reshape(all, Shape::new([rows, 2 * blocks, 1]))
    };
    let scaled = B::float_mul(B::float_reshape(inputs, Shape::new([rows, 2 * blocks, BLOCK / 2])), factor(0));
    let weights = if format.has_minima() { B::float_add(scaled, factor(1)) } else { scaled };
    B::float_reshape(weights, Shape::new([rows, blocks * BLOCK]))
}

/// The numbers that `values` stand for.
fn looked_up<B: Backend>(values: IntTensor<B>, table: Table) -> FloatTensor<B> {
    let shape = values.shape();
    let numbers = B::float_from_data(TensorData::new(table.numbers().map(f32::from).to_vec(), [16]), &values.device());
    let places = B::int_reshape(values, Shape::new([shape.num_elements()]));
    B::float_reshape(B::float_select(numbers, 0, places), shape)
}

/// How many times its superblock's scale and minimum are those of each half of a block, `[rows, superblocks, halves]`.
fn steps<B: Backend>(values: IntTensor<B>, format: QuantFormat, kind: Steps) -> [FloatTensor<B>; 2] {
    let [strips, tiles, lines, _] = values.shape().dims();
    let behind = part::<B>(values, 2, BLOCKS * format.bits()..lines);
    // Sixteen rows in four words, for each block and both steps.
    let bytes = fields::<B>(B::int_reshape(behind, Shape::new([strips, tiles, BLOCKS * 2, ROWS / 4])), 8);
    let bytes = B::int_permute(B::int_reshape(bytes, Shape::new([strips, tiles, BLOCKS * 2, ROWS])), &[0, 3, 1, 2]);
    let bytes = B::int_reshape(bytes, Shape::new([strips * ROWS, tiles, BLOCKS, 2]));
    let all = Shape::new([strips * ROWS, tiles, 2 * BLOCKS]);
    let float = |steps| B::float_reshape(B::int_into_float(steps, FloatDType::F32), all.clone());
    let whole = |which: usize| float(B::int_expand(part::<B>(bytes.clone(), 3, which..which + 1), bytes.shape()));
    match kind {
        Steps::Both => [whole(0), whole(1)],
        Steps::Halves => {
            // The byte 128 + n with a sign is n − 128.
            let flipped = B::bitwise_xor_scalar(bytes, 128.into());
            let signed = B::float_sub_scalar(float(flipped), 128.into());
            [signed.clone(), signed]
        }
        Steps::Nibbles => [float(B::bitwise_and_scalar(bytes.clone(), 15.into())), float(B::bitwise_right_shift_scalar(bytes, 4.into()))],
    }
}

/// A range of one dimension.
fn part<B: Backend>(values: IntTensor<B>, dim: usize, range: std::ops::Range<usize>) -> IntTensor<B> {
    let dims = values.shape();
    let ranges: Vec<Slice> = (0..4).map(|at| Slice::from(if at == dim { range.clone() } else { 0..dims[at] })).collect();
    B::int_slice(values, &ranges)
}

/// The fields of `bits` bits of each word, those of its bytes side by side, in a dimension behind the four of `words`.
fn fields<B: Backend>(words: IntTensor<B>, bits: usize) -> IntTensor<B> {
    let [a, b, c, d] = words.shape().dims();
    let field = |index: usize| {
        let moved = B::bitwise_right_shift_scalar(words.clone(), ((8 * (index % 4) + bits * (index / 4)) as i32).into());
        B::int_reshape(B::bitwise_and_scalar(moved, ((1 << bits) - 1).into()), Shape::new([a, b, c, d, 1]))
    };
    B::int_cat((0..32 / bits).map(field).collect(), 4)
}
