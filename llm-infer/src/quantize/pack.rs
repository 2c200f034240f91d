//! A matrix into its tiles, a strip of sixteen rows at a time, so that neither a copy in f32 nor one of a byte per weight exists.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, TensorData};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use llm_model::quant::{QuantFormat, QuantMatrix, QuantShape, tiles};

use crate::Result;
use crate::checkpoint::rows::{QuantRows, Strip, for_all_strips};

/// Where the tiles of a matrix go: bytes of values and of factors, as many as [`QuantShape::dims`] says, which are zeros.
pub struct Room<'a> {
    pub values: &'a mut [u8],
    pub factors: &'a mut [u8],
}

/// Packs `data [rows, width]`, which holds floats, as `format` into `room`; `round` fills the values of a block and returns scale
/// and minimum, and is called on all threads. `step` is told now and then how many rows are done, and may end it.
///
/// # Errors
/// What `step` says.
pub fn pack(
    data: &TensorData,
    format: QuantFormat,
    room: Room,
    round: impl Fn(&[f32], &mut [u8]) -> (f16, f16) + Sync,
    step: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let (rows, width) = (data.shape()[0], data.shape()[1]);
    let fill = |first: usize, strip: &mut Strip| {
        strip.rows = QuantMatrix::quantize(format, &widened(data, first * width, strip.rows.rows * width), width, &round);
        Ok(())
    };
    pack_strips(QuantShape { format, rows, width }, room, fill, step)
}

/// Packs a matrix that is quantized already, by its rows, into `room`; `step` as for [`pack`].
///
/// # Errors
/// Rows that cannot be read, and what `step` says.
pub fn pack_rows(rows: &dyn QuantRows, room: Room, step: impl FnMut(usize) -> Result<()>) -> Result<()> {
    pack_strips(rows.shape(), room, |first, strip| rows.read(first, strip.rows.rows_mut(), &mut strip.bytes), step)
}

/// `fill` makes the rows of a strip from its first one on, and is called on all threads.
fn pack_strips(
    shape: QuantShape,
    room: Room,
    fill: impl Fn(usize, &mut Strip) -> Result<()> + Sync,
    step: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let strips = shape.rows.div_ceil(tiles::ROWS);
    let (values, factors) = (room.values.len() / strips.max(1), room.factors.len() / strips.max(1));
    let pieces: Vec<_> =
        room.values.chunks_exact_mut(values.max(1)).zip(room.factors.chunks_exact_mut(factors.max(1))).map(Mutex::new).collect();
    for_all_strips(shape, step, |first, strip| {
        fill(first, strip)?;
        let mut piece = pieces[first / tiles::ROWS].lock().unwrap_or_else(PoisonError::into_inner);
        let (values, factors) = &mut *piece;
        tiles::pack_strip(&strip.rows, values, factors);
        Ok(())
    })
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

#[cfg(test)]
mod tests {
    use llm_model::quant::StoredMatrix;

    use super::*;

    #[test]
    fn tiles_are_those_of_the_readable_path() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(16, 256), (40, 512), (33, 300), (1, 32)] {
                let shape = QuantShape { format, rows, width };
                let (matrix, [values, factors]) = (QuantMatrix::random(shape), shape.dims().map(|dims| dims.iter().product::<usize>()));
                let (mut values, mut factors) = (vec![0; 4 * values], vec![0; 2 * factors]);
                let mut told = Vec::new();
                let step = |rows| {
                    told.push(rows);
                    Ok(())
                };
                pack_rows(&StoredMatrix::from(&matrix), Room { values: &mut values, factors: &mut factors }, step).unwrap();
                let tiles = tiles::pack(&matrix);
                assert!(values.as_chunks().0.iter().map(|word| i32::from_ne_bytes(*word)).eq(tiles.values), "{format} {rows} x {width}");
                assert!(factors.as_chunks().0.iter().map(|half| u16::from_ne_bytes(*half)).eq(tiles.factors), "{format} {rows} x {width}");
                assert_eq!(told, [0]);
            }
        }
    }
}
