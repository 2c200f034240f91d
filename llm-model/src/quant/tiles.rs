//! How quantized weights lie in memory: tiles of sixteen rows.
//!
//! Rows stand in strips of sixteen. A strip holds, block after block, lines of sixteen words, one for each row. Values of eight bits
//! take eight lines a block: a word has four inputs in its bytes. Of four bits a word has eight inputs, the first four in the low halves
//! of its bytes, and of two bits sixteen. Values of other widths have planes of these, see [`super::planes`]: behind the four lines of low
//! bits, a format of five bits has a line with the fifth bits. So sixteen 32-bit lanes of a vector, or sixteen threads of a card, read
//! neighbouring words of sixteen rows against the same inputs. Behind the eight blocks of a superblock four lines hold their steps: for
//! each block sixteen first bytes, then sixteen second ones. The factors, scales and perhaps minima, stand apart, sixteen of each for
//! every strip and block or superblock. Missing rows and inputs are padded with what multiplies to 0.

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};

use super::{BLOCK, BLOCKS, QuantFormat, QuantMatrix, QuantShape, exponent, planes};
use crate::ops::simd::strip;

/// Rows of a strip.
pub const ROWS: usize = 16;

/// Lines that hold the steps of a superblock.
const STEP_LINES: usize = BLOCKS * 2 * ROWS / 64;

/// A packed matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiles {
    /// `[strips, tiles, lines, 16]`, where a tile is a block, or a superblock with its steps.
    pub values: Vec<i32>,
    /// `[strips, tiles, factors, 16]`: the scales, and behind those of each tile its minima, where the format has them. The 16 bits of each,
    /// of which [`QuantFormat::factor_dtype`] says what they are.
    pub factors: Vec<u16>,
}

/// Packed values and factors as tensors of the shapes of [`QuantShape::dims`].
pub fn tensors(tiles: Tiles, shape: QuantShape) -> [TensorData; 2] {
    let [values, dims] = shape.dims();
    let factors = tiles.factors.into_iter();
    let factors = match shape.format.factor_dtype() {
        DType::BF16 => TensorData::new(factors.map(bf16::from_bits).collect(), dims),
        _ => TensorData::new(factors.map(f16::from_bits).collect(), dims),
    };
    [TensorData::new(tiles.values, values), factors]
}

/// Lines of a tile.
pub fn lines(format: QuantFormat) -> usize {
    format.sharing() * format.bits() + if format.steps().is_some() { STEP_LINES } else { 0 }
}

/// The tiles of `matrix`.
pub fn pack(matrix: &QuantMatrix) -> Tiles {
    let (shape, format) = (matrix.shape(), matrix.format);
    let [values, factors] = shape.dims();
    let mut values = vec![0; values.iter().product()];
    let mut row = vec![format.padding(); shape.scales() * format.sharing() * BLOCK];
    for index in 0..shape.rows.next_multiple_of(ROWS) {
        row.fill(format.padding());
        if let Some(filled) = matrix.values.get(index * shape.width..(index + 1) * shape.width) {
            row[..shape.width].copy_from_slice(filled);
        }
        for (block, inputs) in row.as_chunks::<BLOCK>().0.iter().enumerate() {
            pack_block(&mut values[block_at(shape, index, block)..], format.bits(), inputs);
        }
    }
    if format.steps().is_some() {
        for (at, steps) in matrix.steps.iter().enumerate() {
            for (which, step) in steps.iter().enumerate() {
                let (word, byte) = step_at(shape, at / shape.blocks(), at % shape.blocks(), which);
                values[word] |= i32::from_le_bytes([*step, 0, 0, 0]) << (8 * byte);
            }
        }
    }
    let mut all = Vec::with_capacity(factors.iter().product());
    let powers: Vec<u16> = matrix.exponents.iter().map(|exponent| exponent::scale(*exponent).to_bits()).collect();
    let [scales, minima] = [&matrix.scales, &matrix.minima].map(|all| all.iter().map(|factor| factor.to_bits()).collect::<Vec<_>>());
    let scales = if format.has_exponents() { powers } else { scales };
    for first in (0..shape.rows).step_by(ROWS) {
        for tile in 0..shape.scales() {
            for kind in [&scales, &minima].into_iter().take(format.factors()) {
                all.extend((first..first + ROWS).map(|row| kind.get(row * shape.scales() + tile).copied().unwrap_or(0)));
            }
        }
    }
    Tiles { values, factors: all }
}

/// Puts `matrix`, the rows of one strip, into its tiles in memory: `values` as [`QuantShape::dims`] says, and `factors`, which are zeros.
///
/// The same as [`pack`], quickly where the strip is whole.
///
/// # Panics
/// When these are not the bytes of one strip.
pub fn pack_strip(matrix: &QuantMatrix, values: &mut [u8], factors: &mut [u8]) {
    let (shape, format) = (matrix.shape(), matrix.format);
    let (words, factors) = (values.as_chunks_mut::<4>().0, factors.as_chunks_mut::<2>().0);
    if shape.rows != ROWS || !shape.width.is_multiple_of(format.sharing() * BLOCK) {
        let tiles = pack(matrix);
        words.iter_mut().zip(&tiles.values).for_each(|(word, packed)| *word = packed.to_ne_bytes());
        factors.iter_mut().zip(&tiles.factors).for_each(|(factor, packed)| *factor = packed.to_ne_bytes());
        return;
    }
    let (lines, of_tile, of_blocks) = (words.as_chunks_mut().0, lines(format), format.sharing() * format.bits());
    strip::pack(&matrix.values, shape.width, planes(format.bits()), format.sharing(), of_tile, lines);
    if format.steps().is_some() {
        for (tile, lines) in lines.chunks_exact_mut(of_tile).enumerate() {
            let bytes = lines[of_blocks..].as_flattened_mut().as_flattened_mut();
            for row in 0..ROWS {
                let steps = &matrix.steps[row * shape.blocks() + tile * BLOCKS..][..BLOCKS];
                steps.as_flattened().iter().enumerate().for_each(|(place, step)| bytes[place * ROWS + row] = *step);
            }
        }
    }
    let kinds = format.factors();
    let mut put = |at: usize, kind: usize, factor: u16| {
        let (row, tile) = (at / shape.scales(), at % shape.scales());
        factors[(tile * kinds + kind) * ROWS + row] = factor.to_ne_bytes();
    };
    matrix.scales.iter().enumerate().for_each(|(at, scale)| put(at, 0, scale.to_bits()));
    matrix.exponents.iter().enumerate().for_each(|(at, exponent)| put(at, 0, exponent::scale(*exponent).to_bits()));
    matrix.minima.iter().enumerate().for_each(|(at, minimum)| put(at, 1, minimum.to_bits()));
}

/// The matrix that `tiles` were packed of.
///
/// # Panics
/// When the tiles are not those of such a matrix.
pub fn unpack(tiles: &Tiles, shape: QuantShape) -> QuantMatrix {
    let QuantShape { format, rows, width } = shape;
    let mut values = Vec::with_capacity(rows * width);
    for row in 0..rows {
        for block in 0..shape.blocks() {
            values.extend_from_slice(&block_values(&tiles.values, shape, row, block)[..BLOCK.min(width - block * BLOCK)]);
        }
    }
    let all = |kind: usize| {
        let places = (0..rows * shape.scales()).map(|at| (at / shape.scales(), at % shape.scales()));
        places.map(|(row, tile)| tiles.factors[factor_at(shape, row, tile, kind)]).collect::<Vec<_>>()
    };
    let halves = |kind: usize| all(kind).into_iter().map(f16::from_bits).collect();
    let powers = || all(0).into_iter().map(|bits| exponent::of(bf16::from_bits(bits))).collect();
    let (scales, exponents) = if format.has_exponents() { (Vec::new(), powers()) } else { (halves(0), Vec::new()) };
    let minima = if format.has_minima() { halves(1) } else { Vec::new() };
    let places = (0..rows * shape.blocks()).map(|at| (at / shape.blocks(), at % shape.blocks()));
    let steps = format.steps().map(|_| places.map(|(row, block)| block_steps(&tiles.values, shape, row, block)).collect());
    QuantMatrix { format, rows, width, values, scales, exponents, minima, steps: steps.unwrap_or_default() }
}

/// The values of a block of a row among packed `values`.
pub fn block_values(values: &[i32], shape: QuantShape, row: usize, block: usize) -> [u8; BLOCK] {
    let (mut inputs, mut first) = ([0; BLOCK], block_at(shape, row, block));
    for &(shift, bits) in planes(shape.format.bits()) {
        let mask = mask(bits);
        for (line, groups) in inputs.as_chunks_mut::<4>().0.chunks_exact_mut(8 / bits).enumerate() {
            let word = values[first + line * ROWS].cast_unsigned();
            for (place, four) in groups.iter_mut().enumerate() {
                *four = (u32::from_le_bytes(*four) | (word >> (place * bits) & mask) << shift).to_le_bytes();
            }
        }
        first += bits * ROWS;
    }
    inputs
}

/// The steps of a block of a row among packed `values`, where the format has them.
pub fn block_steps(values: &[i32], shape: QuantShape, row: usize, block: usize) -> [u8; 2] {
    [0, 1].map(|which| {
        let (word, byte) = step_at(shape, row, block, which);
        values[word].to_le_bytes()[byte]
    })
}

/// Where the factor `kind`, 0 the scale and 1 the minimum, of a block or superblock of a row stands.
pub fn factor_at(shape: QuantShape, row: usize, tile: usize, kind: usize) -> usize {
    ((row / ROWS * shape.scales() + tile) * shape.format.factors() + kind) * ROWS + row % ROWS
}

/// Where the first word of a block of a row stands.
fn block_at(shape: QuantShape, row: usize, block: usize) -> usize {
    let format = shape.format;
    let tile = row / ROWS * shape.scales() + block / format.sharing();
    (tile * lines(format) + block % format.sharing() * format.bits()) * ROWS + row % ROWS
}

/// The word, and its byte, with a step of a block of a row.
fn step_at(shape: QuantShape, row: usize, block: usize, which: usize) -> (usize, usize) {
    let tile = row / ROWS * shape.scales() + block / BLOCKS;
    let byte = (block % BLOCKS * 2 + which) * ROWS + row % ROWS;
    ((tile * lines(shape.format) + BLOCKS * shape.format.bits()) * ROWS + byte / 4, byte % 4)
}

/// Puts the values of a block into the words of one row, which begin `words` and stand sixteen apart.
fn pack_block(words: &mut [i32], bits: usize, inputs: &[u8; BLOCK]) {
    let (groups, mut first) = (inputs.as_chunks::<4>().0, 0);
    for &(shift, bits) in planes(bits) {
        let mask = mask(bits);
        for (line, groups) in groups.chunks_exact(8 / bits).enumerate() {
            let field = |(place, four): (usize, &[u8; 4])| (u32::from_le_bytes(*four) >> shift & mask) << (place * bits);
            words[first + line * ROWS] = groups.iter().enumerate().map(field).fold(0, |word, field| word | field).cast_signed();
        }
        first += bits * ROWS;
    }
}

/// The lowest `bits` bits of four bytes.
fn mask(bits: usize) -> u32 {
    u32::from_ne_bytes([u8::MAX >> (8 - bits); 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpack_gives_back_what_was_packed() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(1, 1), (3, 32), (16, 172), (17, 64), (33, 31), (5, 300)] {
                let shape = QuantShape { format, rows, width };
                let matrix = QuantMatrix::random(shape);
                let tiles = pack(&matrix);
                assert_eq!(4 * tiles.values.len() + 2 * tiles.factors.len(), format.bytes(rows, width));
                assert_eq!(unpack(&tiles, shape), matrix, "{format} {rows} x {width}");
            }
        }
    }

    #[test]
    fn strips_are_those_of_the_whole_matrix() {
        for format in QuantFormat::ALL {
            for (rows, width) in [(16, 32), (16, 256), (16, 1024), (48, 512), (16, 300), (20, 256), (3, 31)] {
                let matrix = QuantMatrix::random(QuantShape { format, rows, width });
                let tiles = pack(&matrix);
                let strips = rows.div_ceil(ROWS);
                let (mut values, mut factors) = (vec![0; 4 * tiles.values.len()], vec![0; 2 * tiles.factors.len()]);
                let pieces = values.chunks_exact_mut(4 * tiles.values.len() / strips);
                for (index, (values, factors)) in pieces.zip(factors.chunks_exact_mut(2 * tiles.factors.len() / strips)).enumerate() {
                    let rows = ROWS.min(rows - index * ROWS);
                    let mut strip = QuantMatrix::zeros(QuantShape { format, rows, width });
                    crate::quant::StoredMatrix::from(&matrix).read(index * ROWS, strip.rows_mut());
                    pack_strip(&strip, values, factors);
                }
                let want: Vec<u8> = tiles.values.iter().flat_map(|word| word.to_ne_bytes()).collect();
                assert!(values == want, "{format} {rows} x {width}");
                let want: Vec<u8> = tiles.factors.iter().flat_map(|factor| factor.to_ne_bytes()).collect();
                assert!(factors == want, "factors of {format} {rows} x {width}");
            }
        }
    }

    #[test]
    fn a_word_has_the_inputs_of_one_row() {
        let values: Vec<u8> = (0..64).map(|i| (i % 16) as u8).collect();
        let matrix = QuantMatrix { values, ..QuantMatrix::random(QuantShape { format: QuantFormat::Int4, rows: 2, width: 32 }) };
        let tiles = pack(&matrix);
        // Row 0: inputs 0 to 3 low, 4 to 7 high; row 1 the same; a padding row is all zeros, that is eights.
        assert_eq!(tiles.values[..3], [0x7362_5140, 0x7362_5140, 0x8888_8888_u32 as i32]);
        assert_eq!(tiles.values[ROWS], 0xfbea_d9c8_u32 as i32);
    }

    #[test]
    fn fifth_bits_have_a_line_of_their_own() {
        let mut values = vec![0; 32];
        (values[0], values[1], values[4], values[31]) = (0x10, 0x1f, 0x10, 0x10);
        let matrix = QuantMatrix { values, ..QuantMatrix::random(QuantShape { format: QuantFormat::Int5, rows: 1, width: 32 }) };
        let tiles = pack(&matrix);
        assert_eq!([0, 1, 2, 3, 4].map(|line| tiles.values[line * ROWS] as u32), [0x0000_0f00, 0, 0, 0, 0x8000_0103]);
    }
}
