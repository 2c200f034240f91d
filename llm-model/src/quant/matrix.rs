//! A quantized matrix in its logical form.

use half::f16;

use super::{BLOCK, QuantFormat, QuantShape, exponent};

/// A quantized matrix in its logical form.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantMatrix {
    /// How to read it.
    pub format: QuantFormat,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub width: usize,
    /// `[rows, width]`, one value a byte.
    pub values: Vec<u8>,
    /// `[rows, scales of a row]`, see [`QuantShape::scales`]; empty where the format has exponents.
    pub scales: Vec<f16>,
    /// As the scales, which are 2^(exponent − 128); empty where the format has none.
    pub exponents: Vec<u8>,
    /// As the scales; empty where the format has none.
    pub minima: Vec<f16>,
    /// `[rows, blocks]`; empty where the format has none.
    pub steps: Vec<[u8; 2]>,
}

impl QuantMatrix {
    /// Rounds `weights [rows, width]` block by block with `round`, which fills the values of a block and returns scale and minimum.
    ///
    /// # Panics
    /// When `weights` are no rows of `width` numbers, or the blocks of the format share factors or have a table.
    pub fn quantize(format: QuantFormat, weights: &[f32], width: usize, mut round: impl FnMut(&[f32], &mut [u8]) -> (f16, f16)) -> Self {
        assert!(width > 0 && weights.len().is_multiple_of(width), "{} weights in rows of {width}", weights.len());
        assert!(format.steps().is_none() && format.table().is_none(), "weights are not rounded to {format}");
        let (rows, blocks) = (weights.len() / width, width.div_ceil(BLOCK));
        let mut values = vec![0; weights.len()];
        let (mut scales, mut minima) = (Vec::with_capacity(rows * blocks), Vec::new());
        for (weights, values) in weights.chunks_exact(width).zip(values.chunks_exact_mut(width)) {
            for (weights, values) in weights.chunks(BLOCK).zip(values.chunks_mut(BLOCK)) {
                let (scale, minimum) = round(weights, values);
                scales.push(scale);
                if format.has_minima() {
                    minima.push(minimum);
                }
            }
        }
        Self { format, rows, width, values, scales, exponents: Vec::new(), minima, steps: Vec::new() }
    }

    /// Round to nearest, with the scales that the largest number of each block asks for.
    ///
    /// # Panics
    /// As [`QuantMatrix::quantize`].
    pub fn nearest(format: QuantFormat, weights: &[f32], width: usize) -> Self {
        Self::quantize(format, weights, width, |weights, values| format.nearest(weights, values))
    }

    /// A matrix of any format with values, factors and steps that look random, for tests and measurements.
    pub fn random(shape: QuantShape) -> Self {
        let QuantShape { format, rows, width } = shape;
        let mut state = 1_u32;
        // The generator of Numerical Recipes, whose high bits are good enough.
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        let (low, high) = format.range();
        let mut many = |count: usize, bound: u32| (0..count).map(|_| (next() >> 8) % bound).collect::<Vec<u32>>();
        let values = many(rows * width, u32::from(high - low) + 1).into_iter().map(|q| low + q as u8).collect();
        let factors = rows * shape.scales();
        // Weights between -1 and 1, or little beyond.
        let most = if format.steps().is_some() { 64.0 } else { 1.0 };
        let factor = |all: Vec<u32>, most: f32| all.into_iter().map(|x| f16::from_f32((x as f32 - 500.0) / 500.0 / most)).collect();
        let largest = format.table().map_or(high, |table| table.numbers()[0].unsigned_abs());
        let (mut scales, mut exponents) = (Vec::new(), Vec::new());
        if format.has_exponents() {
            exponents = many(factors, 8).into_iter().map(|exponent| 117 + exponent as u8).collect();
        } else {
            scales = factor(many(factors, 1000), most * f32::from(largest));
        }
        let minima = if format.has_minima() { factor(many(factors, 1000), most) } else { Vec::new() };
        let steps = if format.steps().is_some() { many(rows * shape.blocks(), 1 << 16) } else { Vec::new() };
        let steps = steps.into_iter().map(|both| (both as u16).to_le_bytes()).collect();
        Self { format, rows, width, values, scales, exponents, minima, steps }
    }

    /// Format, outputs and inputs.
    pub fn shape(&self) -> QuantShape {
        QuantShape { format: self.format, rows: self.rows, width: self.width }
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.shape().blocks()
    }

    /// The weights that the values stand for, `[rows, width]`.
    pub fn dequantize(&self) -> Vec<f32> {
        (0..self.rows).flat_map(|row| self.row(row)).collect()
    }

    /// The weights that the values of a row stand for, `[width]`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let mut weights = Vec::with_capacity(self.width);
        for (half, values) in self.values[row * self.width..(row + 1) * self.width].chunks(BLOCK / 2).enumerate() {
            let [scale, minimum] = self.factors(row, half);
            weights.extend(values.iter().map(|value| self.format.weight(*value, scale, minimum)));
        }
        weights
    }

    /// Scale and minimum of a half of a block of a row.
    fn factors(&self, row: usize, half: usize) -> [f32; 2] {
        let (shape, block) = (self.shape(), half / 2);
        let at = row * shape.scales() + block / self.format.sharing();
        let [mut scale, minimum] = [&self.scales, &self.minima].map(|all| all.get(at).copied().unwrap_or(f16::ZERO).to_f32());
        if let Some(power) = self.exponents.get(at) {
            scale = exponent::scale(*power).to_f32();
        }
        match self.format.steps() {
            Some(steps) => {
                let [scales, minima] = steps.factors(self.steps[row * shape.blocks() + block], half % 2);
                [scale * scales, minimum * minima]
            }
            None => [scale, minimum],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_blocks_have_their_known_values() {
        let weights = [-8.0, 7.0, 0.0, 1.4, -2.6];
        let int4 = QuantMatrix::nearest(QuantFormat::Int4, &weights, 5);
        assert_eq!((int4.values.as_slice(), int4.scales[0].to_f32()), ([0, 15, 8, 9, 5].as_slice(), 1.0));
        assert_eq!(int4.dequantize(), [-8.0, 7.0, 0.0, 1.0, -3.0]);
        let asymmetric = QuantMatrix::nearest(QuantFormat::Int4Asymmetric, &weights, 5);
        assert_eq!((asymmetric.values.as_slice(), asymmetric.minima[0].to_f32()), ([0, 15, 8, 9, 5].as_slice(), -8.0));
        let int8 = QuantMatrix::nearest(QuantFormat::Int8, &[127.0, -127.0, 0.4, 3.6], 4);
        assert_eq!((int8.values.as_slice(), int8.scales[0].to_f32()), ([255, 1, 128, 132].as_slice(), 1.0));
        assert_eq!(QuantMatrix::nearest(QuantFormat::Int8, &[0.0; 3], 3).dequantize(), [0.0; 3]);
    }

    #[test]
    fn halves_and_superblocks_have_their_factors() {
        let (rows, width) = (1, 9 * BLOCK);
        let mut steps = vec![[1, 2]; 9];
        steps[8] = [0xff, 3];
        let (values, scales) = (vec![33; width], vec![f16::from_f32(0.5), f16::from_f32(2.0)]);
        let (exponents, minima) = (Vec::new(), Vec::new());
        let matrix = QuantMatrix { format: QuantFormat::Q6K, rows, width, values, scales, exponents, minima, steps };
        let row = matrix.row(0);
        assert_eq!([row[0], row[15], row[16], row[255], row[256], row[272]], [0.5, 0.5, 1.0, 1.0, -2.0, 6.0]);
    }

    #[test]
    fn values_of_a_table_have_its_numbers() {
        let (rows, width) = (1, 16);
        let values: Vec<u8> = (0..16).collect();
        let matrix = QuantMatrix {
            format: QuantFormat::Mxfp4,
            rows,
            width,
            values: values.clone(),
            scales: Vec::new(),
            exponents: vec![128],
            minima: Vec::new(),
            steps: Vec::new(),
        };
        let fp4 = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];
        assert_eq!(matrix.dequantize(), [fp4, fp4.map(|x: f32| -x)].concat());
        let (format, scales) = (QuantFormat::Iq4Nl, vec![f16::from_f32(2.0)]);
        let matrix = QuantMatrix { format, scales, exponents: Vec::new(), ..matrix };
        assert_eq!([0, 7, 8, 15].map(|value| matrix.dequantize()[value]), [-254.0, -20.0, 2.0, 226.0]);
    }
}
