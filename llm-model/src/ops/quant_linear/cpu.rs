//! Rows out of their tiles. The products are in `ops/linear`, beside those of dense weights.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;

use crate::ops::QuantTensor;
use crate::ops::linear::packed;
use crate::ops::simd::tiles::Packed;
use crate::ops::slices::{CpuBackend, trace};
use crate::quant::{BLOCK, tiles::ROWS};

pub fn rows_cpu<B: CpuBackend>(ids: IntTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    trace::<B>("quant_rows", "scalar");
    let (ids, width) = (B::integers(&ids), weight.shape.width);
    let mut out = vec![0.0; ids.len() * width];
    let packed = packed::<B>(&weight);
    for (id, out) in ids.iter().zip(out.chunks_exact_mut(width)) {
        row(&packed, usize::try_from(*id).unwrap_or(usize::MAX), out);
    }
    B::from_vec(out, Shape::new([ids.len(), width]))
}

fn row(packed: &Packed, row: usize, out: &mut [f32]) {
    assert!(row < packed.rows, "row {row} of {}", packed.rows);
    let (lines, inputs) = (packed.bits, 32 / packed.bits);
    let (mut factors, count) = ([0.0; 2], 1 + usize::from(packed.minima));
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let tile = row / ROWS * packed.blocks + block;
        for (index, factor) in factors[..count].iter_mut().enumerate() {
            packed.factors.range((tile * count + index) * ROWS + row % ROWS, 1).widen(std::slice::from_mut(factor));
        }
        for (input, out) in out.iter_mut().enumerate() {
            let word = packed.values[(tile * lines + input / inputs) * ROWS + row % ROWS] as u32;
            let value = word >> (8 * (input % 4) + 4 * (input % inputs / 4)) & ((1 << packed.bits) - 1);
            *out = (value as i32 - packed.zero) as f32 * factors[0] + factors[1];
        }
    }
}
