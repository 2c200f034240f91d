//! Packed matrices as the floats that they mean, a strip of rows at a time, so that none stands in two forms whole.

use std::sync::{Mutex, PoisonError};

use burn::tensor::DType;
use llm_model::quant::tiles;

use super::convert::put;
use super::rows::{QuantRows, for_all_strips};
use super::source::TensorInfo;
use crate::Result;

/// Puts the weights of `rows`, of the tensor `info`, into `room` as `dtype`, a type of floats; `step` is told now and then how many rows
/// are done, and may end it.
///
/// # Errors
/// Rows that cannot be read, a weight that `dtype` cannot hold, and what `step` says.
pub fn widen_rows(
    rows: &dyn QuantRows,
    info: &TensorInfo,
    dtype: DType,
    room: &mut [u8],
    step: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    let shape = rows.shape();
    let pieces: Vec<_> = room.chunks_mut((tiles::ROWS * shape.width * dtype.size()).max(1)).map(Mutex::new).collect();
    for_all_strips(shape, step, |first, strip| {
        rows.read(first, strip.rows.rows_mut(), &mut strip.bytes)?;
        let mut piece = pieces[first / tiles::ROWS].lock().unwrap_or_else(PoisonError::into_inner);
        put(&strip.rows.dequantize(), first * shape.width, info, dtype, &mut piece)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use half::f16;
    use llm_model::quant::{QuantFormat, QuantMatrix, QuantShape, StoredMatrix};

    use super::*;

    fn info(shape: QuantShape) -> TensorInfo {
        TensorInfo {
            name: "w".to_owned(),
            dtype: DType::U8,
            format: Some(shape.format),
            packing: None,
            shape: vec![shape.rows, shape.width],
            bytes: 0,
            file: Path::new("m").into(),
        }
    }

    #[test]
    fn strips_are_the_weights_of_the_whole_matrix() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(1, 33), (16, 256), (100, 64)] {
                let shape = QuantShape { format, rows, width };
                let matrix = QuantMatrix::random(shape);
                let (stored, weights) = (StoredMatrix::from(&matrix), matrix.dequantize());
                let mut room = vec![0; 4 * weights.len()];
                widen_rows(&stored, &info(shape), DType::F32, &mut room, |_| Ok(())).unwrap();
                let floats = room.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes).to_bits());
                assert!(floats.eq(weights.iter().map(|weight| weight.to_bits())), "{format} {rows} x {width}");
                let mut room = vec![0; 2 * weights.len()];
                widen_rows(&stored, &info(shape), DType::F16, &mut room, |_| Ok(())).unwrap();
                let halves = room.as_chunks().0.iter().map(|bytes| u16::from_ne_bytes(*bytes));
                assert!(halves.eq(weights.iter().map(|weight| f16::from_f32(*weight).to_bits())), "{format} {rows} x {width}");
            }
        }
    }

    #[test]
    fn a_weight_that_is_too_large_is_named() {
        let shape = QuantShape { format: QuantFormat::Mxfp4, rows: 20, width: 64 };
        let mut matrix = QuantMatrix { values: vec![1; 20 * 64], exponents: vec![128; 40], ..QuantMatrix::random(shape) };
        // The number 1 of the second block of row 17, 2^16.
        matrix.exponents[35] = 144;
        let stored = StoredMatrix::from(&matrix);
        let widen = |dtype: DType| widen_rows(&stored, &info(shape), dtype, &mut vec![0; 20 * 64 * dtype.size()], |_| Ok(()));
        let message = widen(DType::F16).unwrap_err().to_string();
        assert_eq!(message, "m: tensor `w` at [17, 32]: got `6.5536e4`, expected a value that f16 can hold");
        assert!(widen(DType::BF16).is_ok() && widen(DType::F32).is_ok());
    }
}
