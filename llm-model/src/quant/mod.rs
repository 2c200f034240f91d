//! Quantized weights: what the numbers mean, whatever backend multiplies them.
//!
//! Each row of a matrix is cut into blocks of 32 inputs. A block has a scale, and in the asymmetric formats a minimum; each weight
//! is a small unsigned integer. [`QuantMatrix`] is this logical form; [`StoredMatrix`] is how files hold it, [`tiles`] how it lies in
//! memory.

mod int4;
mod int8;
mod stored;
pub mod tiles;

use std::fmt;

use half::f16;

pub use stored::{Flaw, StoredMatrix};

use crate::ops::simd::rounding;

/// Scales that [`QuantFormat::fits`] tries at once.
pub const CANDIDATES: usize = rounding::CANDIDATES;

/// Inputs that share a scale.
pub const BLOCK: usize = 32;

/// What `quantization_config.quant_method` of a `config.json` says where the weights are quantized in these formats.
pub const METHOD: &str = "llm-blocks";

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuantFormat {
    /// w = scale · (q − 8), q in 0 ..= 15: 4.5 bits a weight.
    Int4,
    /// w = scale · q + minimum, q in 0 ..= 15: 5 bits a weight.
    Int4Asymmetric,
    /// w = scale · (q − 128), q in 0 ..= 255, of which rounding leaves out 0: 8.5 bits a weight.
    Int8,
    /// w = scale · q + minimum, q in 0 ..= 255: 9 bits a weight.
    Int8Asymmetric,
}

impl QuantFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Int4, Self::Int4Asymmetric, Self::Int8, Self::Int8Asymmetric];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int4Asymmetric => "int4-asymmetric",
            Self::Int8 => "int8",
            Self::Int8Asymmetric => "int8-asymmetric",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Bits of a value: 4 or 8.
    pub fn bits(self) -> usize {
        match self {
            Self::Int4 | Self::Int4Asymmetric => int4::BITS,
            Self::Int8 | Self::Int8Asymmetric => int8::BITS,
        }
    }

    /// The value that is taken off each; 0 where a minimum is added instead.
    pub fn zero(self) -> u8 {
        match self {
            Self::Int4 => int4::ZERO,
            Self::Int8 => int8::ZERO,
            Self::Int4Asymmetric | Self::Int8Asymmetric => 0,
        }
    }

    /// The smallest and the largest value that rounding gives.
    pub fn range(self) -> (u8, u8) {
        match self {
            Self::Int4 | Self::Int4Asymmetric => (0, 15),
            Self::Int8 => (1, 255),
            Self::Int8Asymmetric => (0, 255),
        }
    }

    /// Factors of a block: a scale, and perhaps a minimum.
    pub fn factors(self) -> usize {
        1 + usize::from(self.has_minima())
    }

    /// Whether blocks have a minimum beside the scale.
    pub fn has_minima(self) -> bool {
        matches!(self, Self::Int4Asymmetric | Self::Int8Asymmetric)
    }

    /// Bits that a weight takes, its share of the scales counted in.
    pub fn bits_per_weight(self) -> f64 {
        (self.bits() * BLOCK + 16 * self.factors()) as f64 / BLOCK as f64
    }

    /// Bytes of a matrix in memory, padding counted in.
    pub fn bytes(self, rows: usize, width: usize) -> usize {
        let weights = rows.next_multiple_of(tiles::ROWS) * width.next_multiple_of(BLOCK);
        weights * self.bits() / 8 + weights / BLOCK * 2 * self.factors()
    }

    /// Scale, minimum and values that come nearest to `weights` when the largest decides the scale.
    pub fn nearest(self, weights: &[f32], values: &mut [u8]) -> (f16, f16) {
        let (scale, minimum) = self.span(weights);
        self.round(weights, scale, minimum, values);
        (scale, minimum)
    }

    /// The scale and minimum with which `weights` just fit.
    pub fn span(self, weights: &[f32]) -> (f16, f16) {
        let (low, high) = rounding::extremes(weights);
        match self {
            // The number of the largest magnitude becomes −8, the end of the range that reaches furthest.
            Self::Int4 => (f16::from_f32(if high > -low { high } else { low } / -8.0), f16::ZERO),
            Self::Int8 => (f16::from_f32(high.max(-low) / 127.0), f16::ZERO),
            Self::Int4Asymmetric => (f16::from_f32((high - low) / 15.0), f16::from_f32(low)),
            Self::Int8Asymmetric => (f16::from_f32((high - low) / 255.0), f16::from_f32(low)),
        }
    }

    /// The values that come nearest to `weights` with this scale and minimum.
    pub fn round(self, weights: &[f32], scale: f16, minimum: f16, values: &mut [u8]) {
        let (scale, offset) = (scale.to_f32(), minimum.to_f32());
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        rounding::round(weights, offset, inverse, self.zero(), self.bounds(), values);
    }

    /// The smallest and the largest value, less [`QuantFormat::zero`].
    pub fn bounds(self) -> (f32, f32) {
        let ((low, high), zero) = (self.range(), f32::from(self.zero()));
        (f32::from(low) - zero, f32::from(high) - zero)
    }

    /// Σ i·w·q and Σ i·q² over the `weights` w of a block, whose errors count `importance` i each, when each is divided by one of eight
    /// scales, of which `inverses` are given, and rounded to an integer q of this format; with these bits on every processor.
    pub fn fits(self, weights: &[f32; BLOCK], importance: &[f32; BLOCK], inverses: &[f32; CANDIDATES]) -> [[f32; CANDIDATES]; 2] {
        rounding::fits(weights, importance, inverses, self.bounds())
    }

    /// The weight that `value` stands for.
    pub fn weight(self, value: u8, scale: f16, minimum: f16) -> f32 {
        scale.to_f32() * (f32::from(value) - f32::from(self.zero())) + minimum.to_f32()
    }
}

impl fmt::Display for QuantFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What a packed matrix was before it was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantShape {
    /// How to read it.
    pub format: QuantFormat,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub width: usize,
}

impl QuantShape {
    /// The shapes of the packed values, `[strips, blocks, lines, 16]`, and factors, `[strips, blocks, factors, 16]`.
    pub fn dims(&self) -> [[usize; 4]; 2] {
        let (strips, blocks) = (self.rows.div_ceil(tiles::ROWS), self.width.div_ceil(BLOCK));
        [tiles::lines(self.format), self.format.factors()].map(|parts| [strips, blocks, parts, tiles::ROWS])
    }
}

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
    /// `[rows, blocks]`.
    pub scales: Vec<f16>,
    /// `[rows, blocks]`, empty where the format has none.
    pub minima: Vec<f16>,
}

impl QuantMatrix {
    /// Rounds `weights [rows, width]` block by block with `round`, which fills the values of a block and returns scale and minimum.
    ///
    /// # Panics
    /// When `weights` are no rows of `width` numbers.
    pub fn quantize(format: QuantFormat, weights: &[f32], width: usize, mut round: impl FnMut(&[f32], &mut [u8]) -> (f16, f16)) -> Self {
        assert!(width > 0 && weights.len().is_multiple_of(width), "{} weights in rows of {width}", weights.len());
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
        Self { format, rows, width, values, scales, minima }
    }

    /// Round to nearest, with the scales that the largest number of each block asks for.
    ///
    /// # Panics
    /// As [`QuantMatrix::quantize`].
    pub fn nearest(format: QuantFormat, weights: &[f32], width: usize) -> Self {
        Self::quantize(format, weights, width, |weights, values| format.nearest(weights, values))
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.width.div_ceil(BLOCK)
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
        for (block, values) in self.values[row * self.width..(row + 1) * self.width].chunks(BLOCK).enumerate() {
            let at = row * self.blocks() + block;
            let minimum = self.minima.get(at).copied().unwrap_or(f16::ZERO);
            weights.extend(values.iter().map(|value| self.format.weight(*value, self.scales[at], minimum)));
        }
        weights
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
    fn bits_and_bytes_count_the_scales() {
        assert_eq!(QuantFormat::ALL.map(QuantFormat::bits_per_weight), [4.5, 5.0, 8.5, 9.0]);
        assert_eq!(QuantFormat::Int4.bytes(16, 64), 16 * 64 / 2 + 16 * 2 * 2);
        assert_eq!(QuantFormat::Int8.bytes(17, 33), QuantFormat::Int8.bytes(32, 64));
        assert!(QuantFormat::ALL.into_iter().all(|format| QuantFormat::from_name(format.name()) == Some(format)));
    }
}
