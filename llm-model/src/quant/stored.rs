//! How quantized weights lie in files: row by row, the same on every machine.
//!
//! A row of int8 has a byte for each input; a row of int4 has a byte for two, input 2i in the low half and 2i + 1 in the high
//! half, and a last half that no input needs is 0. Scales, and minima where the format has them, are `[rows, blocks]` in f16.

use half::f16;

use super::{BLOCK, QuantMatrix, QuantShape};

/// A quantized matrix as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMatrix {
    /// Format, outputs and inputs.
    pub shape: QuantShape,
    /// `[rows, bytes of a row]`.
    pub values: Vec<u8>,
    /// `[rows, blocks]`.
    pub scales: Vec<f16>,
    /// `[rows, blocks]`, empty where the format has none.
    pub minima: Vec<f16>,
}

/// What is wrong with a [`StoredMatrix`], and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// `values`, `scales` or `minima`.
    pub part: &'static str,
    /// The row.
    pub row: usize,
    /// The block, or the input of a value.
    pub place: usize,
    /// What stands there.
    pub got: String,
    /// What should.
    pub expected: String,
}

impl QuantShape {
    /// Bytes of a row of values in a file.
    pub fn row_bytes(&self) -> usize {
        (self.width * self.format.bits()).div_ceil(8)
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.width.div_ceil(BLOCK)
    }

    /// Bytes of the matrix in a file.
    pub fn stored_bytes(&self) -> usize {
        self.rows * (self.row_bytes() + 2 * self.format.factors() * self.blocks())
    }
}

impl From<&QuantMatrix> for StoredMatrix {
    fn from(matrix: &QuantMatrix) -> Self {
        let QuantMatrix { format, rows, width, .. } = *matrix;
        let shape = QuantShape { format, rows, width };
        let values = match format.bits() {
            4 => matrix
                .values
                .chunks_exact(width)
                .flat_map(|row| row.chunks(2))
                .map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 4)
                .collect(),
            _ => matrix.values.clone(),
        };
        Self { shape, values, scales: matrix.scales.clone(), minima: matrix.minima.clone() }
    }
}

impl StoredMatrix {
    /// The matrix of `count` rows from `first` on.
    ///
    /// # Panics
    /// When there are no such rows.
    pub fn rows(&self, first: usize, count: usize) -> QuantMatrix {
        let QuantShape { format, width, .. } = self.shape;
        let (bytes, blocks) = (self.shape.row_bytes(), self.shape.blocks());
        let stored = &self.values[first * bytes..(first + count) * bytes];
        let values = match format.bits() {
            4 => stored.chunks_exact(bytes).flat_map(|row| row.iter().flat_map(|byte| [byte & 15, byte >> 4]).take(width)).collect(),
            _ => stored.to_vec(),
        };
        let factors = |all: &[f16]| all.get(first * blocks..(first + count) * blocks).unwrap_or_default().to_vec();
        QuantMatrix { format, rows: count, width, values, scales: factors(&self.scales), minima: factors(&self.minima) }
    }

    /// The whole matrix.
    pub fn matrix(&self) -> QuantMatrix {
        self.rows(0, self.shape.rows)
    }

    /// The first factor that is no number, or value that the format does not have.
    ///
    /// # Errors
    /// The [`Flaw`].
    pub fn check(&self) -> Result<(), Flaw> {
        for (part, factors) in [("scales", &self.scales), ("minima", &self.minima)] {
            if let Some(at) = factors.iter().position(|factor| !factor.is_finite()) {
                let (row, place) = (at / self.shape.blocks(), at % self.shape.blocks());
                return Err(Flaw { part, row, place, got: factors[at].to_string(), expected: "a finite number".to_owned() });
            }
        }
        let (width, bytes) = (self.shape.width, self.shape.row_bytes());
        let flaw = |row, place, got: u8, expected| Err(Flaw { part: "values", row, place, got: got.to_string(), expected });
        match self.shape.format.bits() {
            // Of four bits every value is one; only what fills the last byte may be wrong.
            4 if width.is_multiple_of(2) => Ok(()),
            4 => match self.values.chunks_exact(bytes).position(|row| row[bytes - 1] >> 4 != 0) {
                Some(row) => flaw(row, width, self.values[(row + 1) * bytes - 1] >> 4, "0 after the last input".to_owned()),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::QuantFormat;
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(1, 1), (2, 33), (17, 172), (5, 64)] {
                let weights: Vec<f32> = (0..rows * width).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
                let matrix = QuantMatrix::nearest(format, &weights, width);
                let stored = StoredMatrix::from(&matrix);
                assert_eq!(stored.values.len() + 2 * (stored.scales.len() + stored.minima.len()), stored.shape.stored_bytes());
                assert_eq!((stored.matrix(), stored.check()), (matrix, Ok(())), "{format} {rows} x {width}");
                assert_eq!(stored.rows(rows - 1, 1).values, stored.matrix().values[(rows - 1) * width..]);
            }
        }
    }

    #[test]
    fn inputs_share_bytes_in_their_order() {
        let shape = QuantShape { format: QuantFormat::Int4, rows: 1, width: 3 };
        let stored = StoredMatrix { shape, values: vec![0x21, 0x03], scales: vec![f16::ONE], minima: Vec::new() };
        assert_eq!(stored.matrix().values, [1, 2, 3]);
    }

    #[test]
    fn f22_flaws_are_found_where_they_are() {
        let shape = QuantShape { format: QuantFormat::Int4Asymmetric, rows: 2, width: 33 };
        let good = StoredMatrix { shape, values: vec![0; 34], scales: vec![f16::ONE; 4], minima: vec![f16::ZERO; 4] };
        let place = |bad: StoredMatrix| bad.check().map_err(|flaw| (flaw.part, flaw.row, flaw.place, flaw.got)).unwrap_err();
        let mut bad = good.clone();
        bad.minima[3] = f16::NAN;
        assert_eq!(place(bad), ("minima", 1, 1, "NaN".to_owned()));
        let mut bad = good.clone();
        bad.values[16] = 0x70;
        assert_eq!(place(bad), ("values", 0, 33, "7".to_owned()));
        // Of eight bits every value is one, also that which our own rounding never has.
        let shape = QuantShape { format: QuantFormat::Int8, rows: 1, width: 2 };
        let good = StoredMatrix { shape, values: vec![1, 0], scales: vec![f16::ONE], minima: Vec::new() };
        assert_eq!((good.check(), good.matrix().dequantize()), (Ok(()), vec![-127.0, -128.0]));
    }
}
