//! Rows of a quantized matrix that someone fills.

use std::ops::Range;

use half::f16;

use super::stored::check_factors;
use super::{Flaw, QuantMatrix, QuantShape};

/// Values, a byte each, and factors of some rows, to be filled.
#[derive(Debug)]
pub struct RowsMut<'a> {
    /// Format, inputs, and how many rows these are.
    pub shape: QuantShape,
    /// `[rows, width]`.
    pub values: &'a mut [u8],
    /// `[rows, scales of a row]`, see [`QuantShape::scales`]; empty where the format has exponents.
    pub scales: &'a mut [f16],
    /// As the scales; empty where the format has none.
    pub exponents: &'a mut [u8],
    /// As the scales; empty where the format has none.
    pub minima: &'a mut [f16],
    /// `[rows, blocks]`; empty where the format has none.
    pub steps: &'a mut [[u8; 2]],
}

impl RowsMut<'_> {
    /// Some of them.
    ///
    /// # Panics
    /// When there are no such rows.
    pub fn part(&mut self, rows: Range<usize>) -> RowsMut<'_> {
        let part = |of_row: usize| rows.start * of_row..rows.end * of_row;
        let shape = QuantShape { rows: rows.len(), ..self.shape };
        RowsMut {
            shape,
            values: &mut self.values[part(shape.width)],
            scales: self.scales.get_mut(part(shape.scales())).unwrap_or_default(),
            exponents: self.exponents.get_mut(part(shape.scales())).unwrap_or_default(),
            minima: self.minima.get_mut(part(shape.scales())).unwrap_or_default(),
            steps: self.steps.get_mut(part(shape.blocks())).unwrap_or_default(),
        }
    }

    /// The first factor that is no number.
    ///
    /// # Errors
    /// The [`Flaw`].
    pub fn check(&self) -> Result<(), Flaw> {
        check_factors(self.shape, self.scales, self.exponents, self.minima)
    }
}

impl QuantMatrix {
    /// A matrix of zeros, to be filled.
    pub fn zeros(shape: QuantShape) -> Self {
        let QuantShape { format, rows, width } = shape;
        let factors = rows * shape.scales();
        let (scales, exponents) = if format.has_exponents() { (0, factors) } else { (factors, 0) };
        let minima = if format.has_minima() { vec![f16::ZERO; factors] } else { Vec::new() };
        let steps = if format.steps().is_some() { vec![[0; 2]; rows * shape.blocks()] } else { Vec::new() };
        let (values, scales, exponents) = (vec![0; rows * width], vec![f16::ZERO; scales], vec![0; exponents]);
        Self { format, rows, width, values, scales, exponents, minima, steps }
    }

    /// All its rows.
    pub fn rows_mut(&mut self) -> RowsMut<'_> {
        RowsMut {
            shape: self.shape(),
            values: &mut self.values,
            scales: &mut self.scales,
            exponents: &mut self.exponents,
            minima: &mut self.minima,
            steps: &mut self.steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::QuantFormat;
    use super::*;

    #[test]
    fn a_part_is_the_rows_it_says() {
        for format in QuantFormat::ALL {
            let whole = QuantMatrix::random(QuantShape { format, rows: 5, width: 300 });
            let mut copy = whole.clone();
            let part = copy.rows_mut().part(1..3).values.to_vec();
            assert_eq!(part, whole.values[300..900]);
            let mut rows = copy.rows_mut();
            let RowsMut { scales, exponents, minima, steps, .. } = rows.part(4..5);
            scales.fill(f16::ONE);
            exponents.fill(130);
            minima.fill(f16::ONE);
            steps.fill([1, 1]);
            assert_eq!([0, 1, 2, 3].map(|row| copy.row(row)), [0, 1, 2, 3].map(|row| whole.row(row)), "{format}");
            assert_ne!(copy.row(4), whole.row(4));
        }
    }

    #[test]
    fn f22_a_factor_that_is_no_number_is_found() {
        let mut matrix = QuantMatrix::zeros(QuantShape { format: QuantFormat::Int4Asymmetric, rows: 2, width: 64 });
        assert_eq!(matrix.rows_mut().check(), Ok(()));
        matrix.minima[3] = f16::INFINITY;
        let flaw = matrix.rows_mut().check().unwrap_err();
        assert_eq!((flaw.part, flaw.row, flaw.place), ("minima", 1, 1));
    }
}
