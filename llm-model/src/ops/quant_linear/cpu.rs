//! Rows out of their tiles. The products are in `ops/linear`, beside those of dense weights.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;

use crate::ops::QuantTensor;
use crate::ops::simd::Floats;
use crate::ops::slices::{CpuBackend, trace};
use crate::quant::{BLOCK, QuantShape, tiles};

pub fn rows_cpu<B: CpuBackend>(ids: IntTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    trace::<B>("quant_rows", "scalar");
    let (ids, values, factors, shape) = (B::integers(&ids), B::words(&weight.values), B::floats(&weight.factors), weight.shape);
    let mut out = vec![0.0; ids.len() * shape.width];
    for (id, out) in ids.iter().zip(out.chunks_exact_mut(shape.width)) {
        row(values, factors, shape, usize::try_from(*id).unwrap_or(usize::MAX), out);
    }
    B::from_vec(out, Shape::new([ids.len(), shape.width]))
}

fn row(values: &[i32], factors: Floats, shape: QuantShape, row: usize, out: &mut [f32]) {
    assert!(row < shape.rows, "row {row} of {}", shape.rows);
    let format = shape.format;
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut shared = [0.0; 2];
        for (kind, factor) in shared[..format.factors()].iter_mut().enumerate() {
            let at = tiles::factor_at(shape, row, block / format.sharing(), kind);
            factors.range(at, 1).widen(std::slice::from_mut(factor));
        }
        let inputs = tiles::block_values(values, shape, row, block);
        for (half, (inputs, out)) in inputs.chunks(BLOCK / 2).zip(out.chunks_mut(BLOCK / 2)).enumerate() {
            let [scale, minimum] = match format.steps() {
                Some(steps) => {
                    let times = steps.factors(tiles::block_steps(values, shape, row, block), half);
                    [shared[0] * times[0], shared[1] * times[1]]
                }
                None => shared,
            };
            out.iter_mut().zip(inputs).for_each(|(out, value)| *out = format.weight(*value, scale, minimum));
        }
    }
}
