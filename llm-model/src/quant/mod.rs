//! Quantized weights: what the numbers mean, whatever backend multiplies them.
//!
//! Each row of a matrix is cut into blocks of 32 inputs. A block has a scale, and in the asymmetric formats a minimum; each weight
//! is a small unsigned integer. In the formats of ggml's K types a superblock of eight blocks has these factors, and each block has steps,
//! by which they are multiplied. In formats with a [`Table`] the integer is the place of a number there. [`QuantMatrix`] is this logical form; [`StoredMatrix`] is how files hold it, [`tiles`] how it lies in
//! memory.

mod exponent;
mod format;
mod matrix;
mod rows;
mod stored;
pub mod tiles;

pub use format::QuantFormat;
pub use matrix::QuantMatrix;
pub use rows::RowsMut;
pub use stored::{Flaw, StoredMatrix, check_values, get_planes};

pub use crate::ops::simd::tiles::{BLOCKS, Steps, Table};

use crate::ops::simd::rounding;

/// Scales that [`QuantFormat::fits`] tries at once.
pub const CANDIDATES: usize = rounding::CANDIDATES;

/// Inputs that share a scale.
pub const BLOCK: usize = 32;

/// What `quantization_config.quant_method` of a `config.json` says where the weights are quantized in these formats.
pub const METHOD: &str = "llm-blocks";

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
    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.width.div_ceil(BLOCK)
    }

    /// Scales of a row, each for a block or a superblock.
    pub fn scales(&self) -> usize {
        self.width.div_ceil(self.format.sharing() * BLOCK)
    }

    /// The shapes of the packed values, `[strips, tiles, lines, 16]`, and factors, `[strips, tiles, factors, 16]`.
    pub fn dims(&self) -> [[usize; 4]; 2] {
        let (strips, tiles) = (self.rows.div_ceil(tiles::ROWS), self.scales());
        [tiles::lines(self.format), self.format.factors()].map(|parts| [strips, tiles, parts, tiles::ROWS])
    }
}

/// The bits of a value of `bits` bits are kept in planes: how far each is shifted, and how many bits it has.
pub fn planes(bits: usize) -> &'static [(usize, usize)] {
    match bits {
        2 => &[(0, 2)],
        3 => &[(0, 2), (2, 1)],
        4 => &[(0, 4)],
        5 => &[(0, 4), (4, 1)],
        6 => &[(0, 4), (4, 2)],
        _ => &[(0, 8)],
    }
}
