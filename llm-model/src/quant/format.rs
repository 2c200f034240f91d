//! The formats: what a small whole number and the factors of its block mean.

use std::fmt;

use burn::tensor::DType;
use half::f16;

use super::{BLOCK, BLOCKS, CANDIDATES, Steps, Table, tiles};
use crate::ops::simd::rounding;

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
    /// w = scale · (q − 16), q in 0 ..= 31: 5.5 bits a weight.
    Int5,
    /// w = scale · q + minimum, q in 0 ..= 31: 6 bits a weight.
    Int5Asymmetric,
    /// w = scale · (q − 32), q in 0 ..= 63: 6.5 bits a weight.
    Int6,
    /// w = scale · q + minimum, q in 0 ..= 3, [`Steps::Nibbles`]: 2.625 bits a weight.
    Q2K,
    /// w = scale · (q − 4), q in 0 ..= 7, [`Steps::Halves`]: 3.5625 bits a weight.
    Q3K,
    /// w = scale · q + minimum, q in 0 ..= 15, [`Steps::Both`]: 4.625 bits a weight.
    Q4K,
    /// w = scale · q + minimum, q in 0 ..= 31, [`Steps::Both`]: 5.625 bits a weight.
    Q5K,
    /// w = scale · (q − 32), q in 0 ..= 63, [`Steps::Halves`]: 6.5625 bits a weight.
    Q6K,
    /// w = scale · n, n one of the sixteen numbers of [`Table::Mxfp4`], scale = 2^(exponent − 128): 4.25 bits a weight in a file, where an
    /// exponent has 8 bits, 4.5 in memory.
    Mxfp4,
    /// w = scale · n, n one of the sixteen numbers of [`Table::Iq4Nl`]: 4.5 bits a weight.
    Iq4Nl,
}

impl QuantFormat {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Int4,
        Self::Int4Asymmetric,
        Self::Int8,
        Self::Int8Asymmetric,
        Self::Int5,
        Self::Int5Asymmetric,
        Self::Int6,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Mxfp4,
        Self::Iq4Nl,
    ];

    /// Those that weights are rounded to; the others are read from files.
    pub const ROUNDED: [Self; 5] = [Self::Int4, Self::Int4Asymmetric, Self::Int6, Self::Int8, Self::Int8Asymmetric];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int4Asymmetric => "int4-asymmetric",
            Self::Int8 => "int8",
            Self::Int8Asymmetric => "int8-asymmetric",
            Self::Int5 => "int5",
            Self::Int5Asymmetric => "int5-asymmetric",
            Self::Int6 => "int6",
            Self::Q2K => "q2_k",
            Self::Q3K => "q3_k",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
            Self::Mxfp4 => "mxfp4",
            Self::Iq4Nl => "iq4_nl",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Bits of a value.
    pub fn bits(self) -> usize {
        match self {
            Self::Q2K => 2,
            Self::Q3K => 3,
            Self::Int4 | Self::Int4Asymmetric | Self::Q4K | Self::Mxfp4 | Self::Iq4Nl => 4,
            Self::Int5 | Self::Int5Asymmetric | Self::Q5K => 5,
            Self::Int6 | Self::Q6K => 6,
            Self::Int8 | Self::Int8Asymmetric => 8,
        }
    }

    /// The numbers that values stand for, where these are not the numbers themselves.
    pub fn table(self) -> Option<Table> {
        match self {
            Self::Mxfp4 => Some(Table::Mxfp4),
            Self::Iq4Nl => Some(Table::Iq4Nl),
            _ => None,
        }
    }

    /// The number that `value` stands for, before [`QuantFormat::zero`] is taken off.
    fn number(self, value: u8) -> u8 {
        self.table().map_or(value, |table| table.raised()[usize::from(value)])
    }

    /// The number that is taken off each; 0 where a minimum is added instead.
    pub fn zero(self) -> u8 {
        match self.table() {
            Some(table) => table.zero(),
            None if self.has_minima() => 0,
            None => 1 << (self.bits() - 1),
        }
    }

    /// The value of what is no weight: one that stands for 0, where there is one.
    pub fn padding(self) -> u8 {
        if self.table().is_some() { 0 } else { self.zero() }
    }

    /// The smallest and the largest value that rounding gives.
    pub fn range(self) -> (u8, u8) {
        (u8::from(self == Self::Int8), (u8::MAX) >> (8 - self.bits()))
    }

    /// Factors of a block, or a superblock: a scale, and perhaps a minimum.
    pub fn factors(self) -> usize {
        1 + usize::from(self.has_minima())
    }

    /// Whether blocks have a minimum beside the scale.
    pub fn has_minima(self) -> bool {
        matches!(self, Self::Int4Asymmetric | Self::Int5Asymmetric | Self::Int8Asymmetric | Self::Q2K | Self::Q4K | Self::Q5K)
    }

    /// Whether scales are powers of two, by exponents of 8 bits in files and in [`super::QuantMatrix::exponents`].
    pub fn has_exponents(self) -> bool {
        self == Self::Mxfp4
    }

    /// The type of factors in memory, which holds all of them exactly: f16, and bf16 for powers of two.
    pub fn factor_dtype(self) -> DType {
        if self.has_exponents() { DType::BF16 } else { DType::F16 }
    }

    /// What the steps of a block mean; `None` where each block has factors of its own.
    pub fn steps(self) -> Option<Steps> {
        match self {
            Self::Q2K => Some(Steps::Nibbles),
            Self::Q3K | Self::Q6K => Some(Steps::Halves),
            Self::Q4K | Self::Q5K => Some(Steps::Both),
            _ => None,
        }
    }

    /// Blocks that share factors: those of a superblock where they have steps.
    pub fn sharing(self) -> usize {
        if self.steps().is_some() { BLOCKS } else { 1 }
    }

    /// Bits that a weight takes in memory, its share of the factors counted in.
    pub fn bits_per_weight(self) -> f64 {
        let steps = if self.steps().is_some() { 16 } else { 0 };
        self.bits() as f64 + f64::from(steps) / BLOCK as f64 + (16 * self.factors()) as f64 / (self.sharing() * BLOCK) as f64
    }

    /// Bytes of a matrix in memory, padding counted in.
    pub fn bytes(self, rows: usize, width: usize) -> usize {
        let tiles = rows.div_ceil(tiles::ROWS) * width.div_ceil(self.sharing() * BLOCK);
        tiles * 4 * tiles::ROWS * (tiles::lines(self) + self.factors().div_ceil(2)) - tiles * 2 * tiles::ROWS * (self.factors() % 2)
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
        let largest = f32::from(self.range().1);
        match self {
            _ if self.has_minima() => (f16::from_f32((high - low) / largest), f16::from_f32(low)),
            Self::Int8 => (f16::from_f32(high.max(-low) / 127.0), f16::ZERO),
            // The number of the largest magnitude becomes the end of the range that reaches furthest.
            _ => (f16::from_f32(if high > -low { high } else { low } / -f32::from(self.zero())), f16::ZERO),
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
    pub fn weight(self, value: u8, scale: impl Into<f32>, minimum: impl Into<f32>) -> f32 {
        scale.into() * (f32::from(self.number(value)) - f32::from(self.zero())) + minimum.into()
    }
}

impl fmt::Display for QuantFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_bytes_count_the_factors() {
        let bits = QuantFormat::ALL.map(QuantFormat::bits_per_weight);
        assert_eq!(bits, [4.5, 5.0, 8.5, 9.0, 5.5, 6.0, 6.5, 2.625, 3.5625, 4.625, 5.625, 6.5625, 4.5, 4.5]);
        assert_eq!(QuantFormat::Int4.bytes(16, 64), 16 * 64 / 2 + 16 * 2 * 2);
        assert_eq!(QuantFormat::Int8.bytes(17, 33), QuantFormat::Int8.bytes(32, 64));
        for format in QuantFormat::ALL {
            assert_eq!(QuantFormat::from_name(format.name()), Some(format));
            assert_eq!(format.bytes(32, 512) as f64, 32.0 * 512.0 / 8.0 * format.bits_per_weight(), "{format}");
        }
    }
}
