//! How quantized weights lie in files: row by row, the same on every machine.
//!
//! The values of a row lie in planes, one after the other: of int4 there is one, a byte for two inputs, input 2i in the low half and 2i + 1
//! in the high half; of a format of five bits the low four lie like this, then the fifth bits, input 8i + j in bit j of byte i. What
//! fills up the last byte of a plane is 0. Scales, and minima where the format has them, are `[rows, scales of a row]` in f16, steps
//! `[rows, blocks]` of two bytes. A format with exponents has these, `[rows, blocks]` of a byte, in place of scales.

use half::f16;

use super::{QuantMatrix, QuantShape, RowsMut, exponent, planes};

/// `$do` for a plane by its constants, which make loops that vectors compute, or `$whole` for one of whole bytes.
macro_rules! with_plane {
    ($shift:expr, $bits:expr, $do:ident($($argument:expr),*), $whole:expr) => {
        match ($shift, $bits) {
            (0, 2) => $do::<0, 2, 4>($($argument),*),
            (0, 4) => $do::<0, 4, 2>($($argument),*),
            (2, 1) => $do::<2, 1, 8>($($argument),*),
            (4, 1) => $do::<4, 1, 8>($($argument),*),
            (4, 2) => $do::<4, 2, 4>($($argument),*),
            (shift, bits) => {
                debug_assert_eq!((shift, bits), (0, 8), "a plane that is not known");
                $whole
            }
        }
    };
}

/// A quantized matrix as a file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMatrix {
    /// Format, outputs and inputs.
    pub shape: QuantShape,
    /// `[rows, bytes of a row]`.
    pub values: Vec<u8>,
    /// `[rows, scales of a row]`, see [`QuantShape::scales`]; empty where the format has exponents.
    pub scales: Vec<f16>,
    /// As the scales, see [`QuantMatrix::exponents`]; empty where the format has none.
    pub exponents: Vec<u8>,
    /// As the scales; empty where the format has none.
    pub minima: Vec<f16>,
    /// `[rows, blocks]`; empty where the format has none.
    pub steps: Vec<[u8; 2]>,
}

/// What is wrong with a [`StoredMatrix`], and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// `values`, `scales`, `exponents` or `minima`.
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
        planes(self.format.bits()).iter().map(|(_, bits)| (self.width * bits).div_ceil(8)).sum()
    }

    /// Bytes of the matrix in a file.
    pub fn stored_bytes(&self) -> usize {
        let steps = if self.format.steps().is_some() { 2 * self.blocks() } else { 0 };
        let factor = if self.format.has_exponents() { 1 } else { 2 };
        self.rows * (self.row_bytes() + factor * self.format.factors() * self.scales() + steps)
    }
}

impl From<&QuantMatrix> for StoredMatrix {
    fn from(matrix: &QuantMatrix) -> Self {
        let shape = matrix.shape();
        let mut values = vec![0; shape.rows * shape.row_bytes()];
        for (row, bytes) in matrix.values.chunks_exact(shape.width).zip(values.chunks_exact_mut(shape.row_bytes())) {
            put_planes(shape.format.bits(), row, bytes);
        }
        let QuantMatrix { scales, exponents, minima, steps, .. } = matrix;
        Self { shape, values, scales: scales.clone(), exponents: exponents.clone(), minima: minima.clone(), steps: steps.clone() }
    }
}

/// Puts the values of a row, of `bits` bits, into its `bytes` in a file.
fn put_planes(bits: usize, values: &[u8], bytes: &mut [u8]) {
    let mut rest = bytes;
    for &(shift, bits) in planes(bits) {
        let plane = rest.split_off_mut(..(values.len() * bits).div_ceil(8)).unwrap_or_default();
        with_plane!(shift, bits, put_plane(values, plane), plane.copy_from_slice(values));
    }
}

/// Takes the values of a row, of `bits` bits, out of its `bytes` in a file.
///
/// # Panics
/// When these are fewer than [`QuantShape::row_bytes`].
pub fn get_planes(bits: usize, bytes: &[u8], values: &mut [u8]) {
    let mut rest = bytes;
    for &(shift, bits) in planes(bits) {
        let (plane, more) = rest.split_at((values.len() * bits).div_ceil(8));
        with_plane!(shift, bits, get_plane(plane, values), values.copy_from_slice(plane));
        rest = more;
    }
}

/// `N` values, `BITS` bits of each from `SHIFT` on, in a byte.
fn put_plane<const SHIFT: usize, const BITS: usize, const N: usize>(values: &[u8], bytes: &mut [u8]) {
    let field = |(place, value): (usize, &u8)| (value >> SHIFT & u8::MAX >> (8 - BITS)) << (place * BITS);
    let (whole, rest) = values.as_chunks::<N>();
    for (byte, values) in bytes.iter_mut().zip(whole) {
        *byte = values.iter().enumerate().map(field).fold(0, |byte, field| byte | field);
    }
    if let Some(byte) = bytes.get_mut(whole.len()) {
        *byte = rest.iter().enumerate().map(field).fold(0, |byte, field| byte | field);
    }
}

/// Takes back the bits that [`put_plane`] put away; those below `SHIFT` are there already.
fn get_plane<const SHIFT: usize, const BITS: usize, const N: usize>(bytes: &[u8], values: &mut [u8]) {
    let below = |value: u8| if SHIFT == 0 { 0 } else { value };
    let field = |byte: u8, place: usize| (byte >> (place * BITS) & u8::MAX >> (8 - BITS)) << SHIFT;
    let (whole, rest) = values.as_chunks_mut::<N>();
    for (values, byte) in whole.iter_mut().zip(bytes) {
        values.iter_mut().enumerate().for_each(|(place, value)| *value = below(*value) | field(*byte, place));
    }
    if let Some(byte) = bytes.get(whole.len()) {
        rest.iter_mut().enumerate().for_each(|(place, value)| *value = below(*value) | field(*byte, place));
    }
}

impl StoredMatrix {
    /// A matrix of zeros, to be filled.
    pub fn zeros(shape: QuantShape) -> Self {
        let values = vec![0; shape.rows * shape.row_bytes()];
        let QuantMatrix { scales, exponents, minima, steps, .. } = QuantMatrix::zeros(shape);
        Self { shape, values, scales, exponents, minima, steps }
    }

    /// Copies the rows from `first` on into `out`, as many as it has.
    ///
    /// # Panics
    /// When there are no such rows.
    pub fn read(&self, first: usize, out: RowsMut) {
        let (shape, rows) = (self.shape, first..first + out.shape.rows);
        let part = |of_row: usize| rows.start * of_row..rows.end * of_row;
        let bytes = self.values[part(shape.row_bytes())].chunks_exact(shape.row_bytes());
        bytes.zip(out.values.chunks_exact_mut(shape.width)).for_each(|(bytes, row)| get_planes(shape.format.bits(), bytes, row));
        out.scales.copy_from_slice(self.scales.get(part(shape.scales())).unwrap_or_default());
        out.exponents.copy_from_slice(self.exponents.get(part(shape.scales())).unwrap_or_default());
        out.minima.copy_from_slice(self.minima.get(part(shape.scales())).unwrap_or_default());
        out.steps.copy_from_slice(self.steps.get(part(shape.blocks())).unwrap_or_default());
    }

    /// The whole matrix.
    pub fn matrix(&self) -> QuantMatrix {
        let mut matrix = QuantMatrix::zeros(self.shape);
        self.read(0, matrix.rows_mut());
        matrix
    }

    /// The first factor that is no number, or rest of a byte that is not 0.
    ///
    /// # Errors
    /// The [`Flaw`].
    pub fn check(&self) -> Result<(), Flaw> {
        check_factors(self.shape, &self.scales, &self.exponents, &self.minima)?;
        check_values(self.shape, &self.values)
    }
}

/// The first of some rows' factors that is no number.
pub(super) fn check_factors(shape: QuantShape, scales: &[f16], exponents: &[u8], minima: &[f16]) -> Result<(), Flaw> {
    let place = |at: usize| (at / shape.scales(), at % shape.scales());
    for (part, factors) in [("scales", scales), ("minima", minima)] {
        if let Some(at) = factors.iter().position(|factor| !factor.is_finite()) {
            let (row, place) = place(at);
            return Err(Flaw { part, row, place, got: factors[at].to_string(), expected: "a finite number".to_owned() });
        }
    }
    if let Some(at) = exponents.iter().position(|exponent| *exponent == exponent::NAN) {
        let (row, place) = place(at);
        let expected = "0 to 254, as this one stands for no number".to_owned();
        return Err(Flaw { part: "exponents", row, place, got: exponent::NAN.to_string(), expected });
    }
    Ok(())
}

/// The first rest of a byte that is not 0 in the `values` of rows as a file holds them, `[rows, bytes of a row]`.
///
/// # Errors
/// The [`Flaw`].
pub fn check_values(shape: QuantShape, values: &[u8]) -> Result<(), Flaw> {
    let (width, mut end) = (shape.width, 0);
    for (_, bits) in planes(shape.format.bits()) {
        end += (width * bits).div_ceil(8);
        let used = width * bits % 8;
        let mut lasts = values.chunks_exact(shape.row_bytes()).map(|row| row[end - 1]);
        if let Some(row) = lasts.position(|last| used > 0 && last >> used != 0) {
            let got = values[row * shape.row_bytes() + end - 1] >> used;
            let expected = "0 after the last input".to_owned();
            return Err(Flaw { part: "values", row, place: width, got: got.to_string(), expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::QuantFormat;
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(1, 1), (2, 33), (17, 172), (5, 64)] {
                let shape = QuantShape { format, rows, width };
                let matrix = QuantMatrix::random(shape);
                let stored = StoredMatrix::from(&matrix);
                let factors = stored.scales.len() + stored.minima.len() + stored.steps.len();
                assert_eq!(stored.values.len() + 2 * factors + stored.exponents.len(), shape.stored_bytes());
                assert_eq!((stored.matrix(), stored.check()), (matrix, Ok(())), "{format} {rows} x {width}");
                let mut last = QuantMatrix::zeros(QuantShape { rows: 1, ..shape });
                stored.read(rows - 1, last.rows_mut());
                assert_eq!(last.dequantize(), stored.matrix().row(rows - 1));
            }
        }
    }

    #[test]
    fn inputs_share_bytes_in_their_order() {
        let shape = QuantShape { format: QuantFormat::Int4, rows: 1, width: 3 };
        let stored = StoredMatrix { values: vec![0x21, 0x03], ..StoredMatrix::from(&QuantMatrix::random(shape)) };
        assert_eq!(stored.matrix().values, [1, 2, 3]);
    }

    #[test]
    fn f22_flaws_are_found_where_they_are() {
        let shape = QuantShape { format: QuantFormat::Int4Asymmetric, rows: 2, width: 33 };
        let good = StoredMatrix { values: vec![0; 34], ..StoredMatrix::from(&QuantMatrix::random(shape)) };
        let place = |bad: StoredMatrix| bad.check().map_err(|flaw| (flaw.part, flaw.row, flaw.place, flaw.got)).unwrap_err();
        let mut bad = good.clone();
        bad.minima[3] = f16::NAN;
        assert_eq!(place(bad), ("minima", 1, 1, "NaN".to_owned()));
        let mut bad = good.clone();
        bad.values[16] = 0x70;
        assert_eq!(place(bad), ("values", 0, 33, "7".to_owned()));
        // Of eight bits every value is one, also that which our own rounding never has.
        let shape = QuantShape { format: QuantFormat::Int8, rows: 1, width: 2 };
        let good = StoredMatrix { values: vec![1, 0], scales: vec![f16::ONE], ..StoredMatrix::from(&QuantMatrix::random(shape)) };
        assert_eq!((good.check(), good.matrix().dequantize()), (Ok(()), vec![-127.0, -128.0]));
        let shape = QuantShape { format: QuantFormat::Mxfp4, rows: 2, width: 33 };
        let good = StoredMatrix { values: vec![0; 34], ..StoredMatrix::from(&QuantMatrix::random(shape)) };
        assert_eq!((good.check(), good.scales.len(), good.exponents.len()), (Ok(()), 0, 4));
        let mut bad = good;
        bad.exponents[2] = 255;
        assert_eq!(place(bad), ("exponents", 1, 0, "255".to_owned()));
    }
}
