//! Quantized tensors by rows: how they get from a file into tiles, strip by strip on all threads, without standing anywhere whole.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use llm_model::ops::threads;
use llm_model::quant::{Flaw, QuantMatrix, QuantShape, RowsMut, StoredMatrix, tiles};

use crate::{Error, Result};

/// Weights of the strips between two calls of a `step`: some milliseconds where they are read, and tens where they are rounded.
const STEP: usize = 4 << 20;

/// The rows of a quantized tensor, which any thread may read in any order.
pub trait QuantRows: Send + Sync {
    /// Format, outputs and inputs.
    fn shape(&self) -> QuantShape;

    /// Reads the rows from `first` on into `out`, as many as it has; `bytes` is memory to use on the way.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, one that changed since it was opened, and values or factors that the format does not have.
    fn read(&self, first: usize, out: RowsMut, bytes: &mut Vec<u8>) -> Result<()>;
}

impl QuantRows for StoredMatrix {
    fn shape(&self) -> QuantShape {
        self.shape
    }

    fn read(&self, first: usize, out: RowsMut, _: &mut Vec<u8>) -> Result<()> {
        StoredMatrix::read(self, first, out);
        Ok(())
    }
}

/// What a thread has for a strip.
pub struct Strip {
    /// Its rows, which hold what another strip had.
    pub rows: QuantMatrix,
    /// Memory to use.
    pub bytes: Vec<u8>,
}

/// Calls `work` for each of `strips` of a matrix with its first row, on all threads.
///
/// # Errors
///
/// That of the first strip for which `work` failed.
pub fn for_each_strip(shape: QuantShape, strips: Range<usize>, work: impl Fn(usize, &mut Strip) -> Result<()> + Sync) -> Result<()> {
    let (next, failure) = (AtomicUsize::new(strips.start), Mutex::new(None::<(usize, Error)>));
    let of = |rows| Strip { rows: QuantMatrix::zeros(QuantShape { rows, ..shape }), bytes: Vec::new() };
    threads::for_each(threads::count().min(strips.len()), |_| {
        let mut strip = of(0);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= strips.end {
                return;
            }
            let first = index * tiles::ROWS;
            let rows = tiles::ROWS.min(shape.rows - first);
            if strip.rows.rows != rows {
                strip = of(rows);
            }
            if let Err(error) = work(first, &mut strip) {
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    *failure = Some((index, error));
                }
                return;
            }
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}

/// As [`for_each_strip`] for all strips; `step` is told now and then how many rows are done, and may end it.
///
/// # Errors
///
/// As [`for_each_strip`], and what `step` says.
pub fn for_all_strips(
    shape: QuantShape,
    mut step: impl FnMut(usize) -> Result<()>,
    work: impl Fn(usize, &mut Strip) -> Result<()> + Sync,
) -> Result<()> {
    let strips = shape.rows.div_ceil(tiles::ROWS);
    let at_once = (STEP / (tiles::ROWS * shape.width).max(1)).max(1);
    for from in (0..strips).step_by(at_once) {
        step(from * tiles::ROWS)?;
        for_each_strip(shape, from..strips.min(from + at_once), &work)?;
    }
    Ok(())
}

/// All `rows` as a file of ours holds them.
///
/// # Errors
///
/// As [`QuantRows::read`].
pub fn stored(rows: &dyn QuantRows) -> Result<StoredMatrix> {
    let shape = rows.shape();
    let all = Mutex::new(StoredMatrix::zeros(shape));
    for_each_strip(shape, 0..shape.rows.div_ceil(tiles::ROWS), |first, strip| {
        rows.read(first, strip.rows.rows_mut(), &mut strip.bytes)?;
        let some = StoredMatrix::from(&strip.rows);
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let part = |of_row: usize| first * of_row..(first + some.shape.rows) * of_row;
        all.values[part(shape.row_bytes())].copy_from_slice(&some.values);
        all.scales.get_mut(part(shape.scales())).unwrap_or_default().copy_from_slice(&some.scales);
        all.exponents.get_mut(part(shape.scales())).unwrap_or_default().copy_from_slice(&some.exponents);
        all.minima.get_mut(part(shape.scales())).unwrap_or_default().copy_from_slice(&some.minima);
        all.steps.get_mut(part(shape.blocks())).unwrap_or_default().copy_from_slice(&some.steps);
        Ok(())
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The error of a flaw in rows that begin at `first`, as `error` makes it.
pub fn sound(found: std::result::Result<(), Flaw>, first: usize, error: impl FnOnce(Flaw) -> Error) -> Result<()> {
    found.map_err(|flaw| error(Flaw { row: first + flaw.row, ..flaw }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use llm_model::quant::QuantFormat;

    use super::*;

    #[test]
    fn strips_of_all_threads_are_the_matrix() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(1, 33), (16, 256), (100, 64)] {
                let matrix = StoredMatrix::from(&QuantMatrix::random(QuantShape { format, rows, width }));
                assert_eq!(stored(&matrix).unwrap(), matrix, "{format} {rows} x {width}");
            }
        }
    }

    #[test]
    fn the_first_failure_is_told() {
        let shape = QuantShape { format: QuantFormat::Int8, rows: 160, width: 32 };
        let failing = |first: usize, _: &mut Strip| match first {
            0..48 => Ok(()),
            row => Err(Error::invalid(Path::new("m"), format!("row {row}"), "nothing", "a row")),
        };
        assert!(for_each_strip(shape, 0..3, failing).is_ok());
        for _ in 0..20 {
            let message = for_each_strip(shape, 0..10, failing).unwrap_err().to_string();
            assert!(message.starts_with("m: row 48:"), "{message}");
        }
    }
}
