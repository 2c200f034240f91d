//! A matrix into its tiles, a strip of sixteen rows at a time, so that neither a copy in f32 nor one of a byte per weight exists.

use std::sync::Mutex;

use burn::tensor::{DType, TensorData};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use llm_model::ops::memory::use_huge_pages;
use llm_model::ops::threads;
use llm_model::quant::{QuantFormat, QuantMatrix, QuantShape, StoredMatrix, tiles};

use crate::Result;

/// Weights that are packed between two calls of `step`: some tens of milliseconds.
const STEP: usize = 4 << 20;

/// Packed values and factors of `data [rows, width]`, which holds floats; `round` fills the values of a block and returns scale
/// and minimum, and is called on all threads. `step` is told now and then how many rows are done, and may end it.
///
/// # Errors
/// What `step` says.
pub fn pack(
    data: &TensorData,
    format: QuantFormat,
    round: impl Fn(&[f32], &mut [u8]) -> (f16, f16) + Sync,
    step: impl FnMut(usize) -> Result<()>,
) -> Result<[TensorData; 2]> {
    let (rows, width) = (data.shape()[0], data.shape()[1]);
    let strip = |from, count| QuantMatrix::quantize(format, &widened(data, from * width, count * width), width, &round);
    pack_strips(QuantShape { format, rows, width }, strip, step)
}

/// Packed values and factors of a matrix as a file holds it; `step` as for [`pack`].
///
/// # Errors
/// What `step` says.
pub fn pack_stored(stored: &StoredMatrix, step: impl FnMut(usize) -> Result<()>) -> Result<[TensorData; 2]> {
    pack_strips(stored.shape, |from, count| stored.rows(from, count), step)
}

/// `strip` gives some rows, the first and how many, and is called on all threads.
fn pack_strips(
    shape: QuantShape,
    strip: impl Fn(usize, usize) -> QuantMatrix + Sync,
    mut step: impl FnMut(usize) -> Result<()>,
) -> Result<[TensorData; 2]> {
    let dims = shape.dims();
    let counts = dims.map(|dims| dims[1..].iter().product::<usize>().max(1));
    let (mut values, mut factors) = (vec![0; dims[0][0] * counts[0]], vec![0_u16; dims[1][0] * counts[1]]);
    // Before they are written, so that they need not be moved.
    use_huge_pages(values.as_ptr().cast(), 4 * values.len());
    let pieces: Vec<_> = values.chunks_mut(counts[0]).zip(factors.chunks_mut(counts[1])).map(Mutex::new).collect();
    let at_once = (STEP / (tiles::ROWS * shape.width).max(1)).max(1);
    for (part, pieces) in pieces.chunks(at_once).enumerate() {
        step((part * at_once * tiles::ROWS).min(shape.rows))?;
        threads::for_each(pieces.len(), |index| {
            let from = (part * at_once + index) * tiles::ROWS;
            let packed = tiles::pack(&strip(from, tiles::ROWS.min(shape.rows - from)));
            let mut piece = pieces[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            piece.0.copy_from_slice(&packed.values);
            piece.1.copy_from_slice(&packed.factors);
        });
    }
    drop(pieces);
    Ok(tiles::tensors(tiles::Tiles { values, factors }, shape))
}

/// `count` numbers from `from` on in f32.
pub fn widened(data: &TensorData, from: usize, count: usize) -> Vec<f32> {
    let part = from..from + count;
    match data.dtype() {
        DType::F32 => data.as_slice::<f32>().map(|all| all[part].to_vec()),
        DType::F16 => data.as_slice::<f16>().map(|all| all[part].to_f32_vec()),
        DType::BF16 => data.as_slice::<bf16>().map(|all| all[part].to_f32_vec()),
        DType::F64 => data.as_slice::<f64>().map(|all| all[part].iter().map(|x| *x as f32).collect()),
        other => unreachable!("weights are floats, got {other:?}"),
    }
    .unwrap_or_default()
}
