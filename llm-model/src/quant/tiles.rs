//! How quantized weights lie in memory: tiles of sixteen rows and 32 inputs.
//!
//! Rows stand in strips of sixteen. A strip holds, block after block, lines of sixteen words, one for each row: a word has four
//! inputs in its bytes (int8), or eight (int4, the first four in the low halves). So sixteen 32-bit lanes of a vector, or sixteen
//! threads of a card, read neighbouring words of sixteen rows against the same inputs. The factors, scales and perhaps
//! minima, stand apart, sixteen of each for every strip and block. Missing rows and inputs are padded with what multiplies to 0.

use half::f16;

use super::int4::Int4;
use super::int8::Int8;
use super::{BLOCK, QuantFormat, QuantMatrix};

/// Rows of a strip.
pub const ROWS: usize = 16;

/// How the values of a row stand in a line.
pub(super) trait Lines {
    /// Inputs of a line.
    const INPUTS: usize;

    /// The bytes of a row for [`Lines::INPUTS`] values.
    fn pack(values: &[u8]) -> [u8; 4];

    /// The values of a row.
    fn unpack(bytes: [u8; 4], values: &mut [u8]);
}

/// A packed matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiles {
    /// `[strips, blocks, lines, 16]`.
    pub values: Vec<i32>,
    /// `[strips, blocks, factors, 16]`: the scales, and behind those of each block its minima, where the format has them.
    pub factors: Vec<f16>,
}

/// Lines of a tile.
pub fn lines(format: QuantFormat) -> usize {
    BLOCK * format.bits() / 32
}

/// The tiles of `matrix`.
pub fn pack(matrix: &QuantMatrix) -> Tiles {
    let values = match matrix.format.bits() {
        4 => pack_values::<Int4>(matrix),
        _ => pack_values::<Int8>(matrix),
    };
    let mut factors = Vec::with_capacity(matrix.rows.next_multiple_of(ROWS) * matrix.blocks() * matrix.format.factors());
    for first in (0..matrix.rows).step_by(ROWS) {
        for block in 0..matrix.blocks() {
            for all in [&matrix.scales, &matrix.minima].into_iter().take(matrix.format.factors()) {
                factors.extend((first..first + ROWS).map(|row| all.get(row * matrix.blocks() + block).copied().unwrap_or(f16::ZERO)));
            }
        }
    }
    Tiles { values, factors }
}

/// The matrix that `tiles` were packed of.
///
/// # Panics
/// When the tiles are not those of such a matrix.
pub fn unpack(tiles: &Tiles, format: QuantFormat, rows: usize, width: usize) -> QuantMatrix {
    let values = match format.bits() {
        4 => unpack_values::<Int4>(tiles, format, rows, width),
        _ => unpack_values::<Int8>(tiles, format, rows, width),
    };
    let (blocks, count) = (width.div_ceil(BLOCK), format.factors());
    let at = |row: usize, block: usize, factor: usize| tiles.factors[((row / ROWS * blocks + block) * count + factor) * ROWS + row % ROWS];
    let all = |factor: usize| (0..rows * blocks).map(|place| at(place / blocks, place % blocks, factor)).collect::<Vec<_>>();
    let minima = if format.has_minima() { all(1) } else { Vec::new() };
    QuantMatrix { format, rows, width, values, scales: all(0), minima }
}

fn pack_values<L: Lines>(matrix: &QuantMatrix) -> Vec<i32> {
    let (lines, zero) = (lines(matrix.format), matrix.format.zero());
    let padded = matrix.blocks() * BLOCK;
    let mut all = vec![i32::from_le_bytes(L::pack(&[zero; 8])); matrix.rows.next_multiple_of(ROWS) * matrix.blocks() * lines];
    let mut row = vec![zero; padded];
    for (index, values) in matrix.values.chunks_exact(matrix.width).enumerate() {
        row[..matrix.width].copy_from_slice(values);
        let strip = index / ROWS * matrix.blocks() * lines;
        for (line, values) in row.chunks_exact(L::INPUTS).enumerate() {
            all[(strip + line) * ROWS + index % ROWS] = i32::from_le_bytes(L::pack(values));
        }
    }
    all
}

fn unpack_values<L: Lines>(tiles: &Tiles, format: QuantFormat, rows: usize, width: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(rows * width);
    let (lines, blocks) = (lines(format), width.div_ceil(BLOCK));
    let mut row = vec![0; blocks * BLOCK];
    for index in 0..rows {
        let strip = index / ROWS * blocks * lines;
        for (line, values) in row.chunks_exact_mut(L::INPUTS).enumerate() {
            L::unpack(tiles.values[(strip + line) * ROWS + index % ROWS].to_le_bytes(), values);
        }
        all.extend_from_slice(&row[..width]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_gives_back_what_was_packed() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(1, 1), (3, 32), (16, 172), (17, 64), (33, 31)] {
                let weights: Vec<f32> = (0..rows * width).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
                let matrix = QuantMatrix::nearest(format, &weights, width);
                let tiles = pack(&matrix);
                assert_eq!(4 * tiles.values.len() + 2 * tiles.factors.len(), format.bytes(rows, width));
                assert_eq!(unpack(&tiles, format, rows, width), matrix, "{format} {rows} x {width}");
            }
        }
    }

    #[test]
    fn a_word_has_the_inputs_of_one_row() {
        let values: Vec<u8> = (0..64).map(|i| (i % 16) as u8).collect();
        let scales = vec![f16::ONE; 2];
        let matrix = QuantMatrix { format: QuantFormat::Int4, rows: 2, width: 32, values, scales, minima: Vec::new() };
        let tiles = pack(&matrix);
        // Row 0: inputs 0 to 3 low, 4 to 7 high; row 1 the same; a padding row is all zeros, that is eights.
        assert_eq!(tiles.values[..3], [0x7362_5140, 0x7362_5140, 0x8888_8888_u32 as i32]);
        assert_eq!(tiles.values[ROWS], 0xfbea_d9c8_u32 as i32);
    }
}
