//! Numbers as ggml's blocks: ours with their bits in ggml's order, floats rounded as ggml's reference rounds them.

use std::sync::Mutex;

use half::f16;
use llm_model::ops::threads;
use llm_model::quant::{BLOCK, QuantFormat, StoredMatrix, get_planes};

use super::types::GgmlType;

/// Blocks that one thread rounds at a time.
const PIECE: usize = 1 << 11;

/// The type that has exactly the numbers of `format`; `None` where there is none.
pub fn kind_of(format: QuantFormat) -> Option<GgmlType> {
    match format {
        // ggml has no blocks of 32 with six bits; eight have the same numbers.
        QuantFormat::Int6 | QuantFormat::Int8 => Some(GgmlType::Q8_0),
        QuantFormat::Int4 => Some(GgmlType::Q4_0),
        QuantFormat::Int4Asymmetric => Some(GgmlType::Q4_1),
        QuantFormat::Int5 => Some(GgmlType::Q5_0),
        QuantFormat::Int5Asymmetric => Some(GgmlType::Q5_1),
        QuantFormat::Mxfp4 => Some(GgmlType::Mxfp4),
        QuantFormat::Iq4Nl => Some(GgmlType::Iq4Nl),
        _ => None,
    }
}

/// The blocks of a matrix whose format [`kind_of`] knows and whose rows are whole blocks.
pub fn blocks(stored: &StoredMatrix) -> Vec<u8> {
    let (shape, format) = (stored.shape, stored.shape.format);
    let mut blocks = Vec::with_capacity(shape.stored_bytes());
    let mut row = vec![0; shape.width];
    for (index, bytes) in stored.values.chunks_exact(shape.row_bytes()).enumerate() {
        get_planes(format.bits(), bytes, &mut row);
        for (block, values) in row.as_chunks::<BLOCK>().0.iter().enumerate() {
            let at = index * shape.blocks() + block;
            match stored.exponents.get(at) {
                Some(exponent) => blocks.push(*exponent),
                None => blocks.extend(stored.scales[at].to_le_bytes()),
            }
            if format.has_minima() {
                blocks.extend(stored.minima[at].to_le_bytes());
            }
            put_values(format, values, &mut blocks);
        }
    }
    blocks
}

/// The values of a block as ggml has them: bytes with a sign, or fifth bits, where there are five, and then halves of bytes.
fn put_values(format: QuantFormat, values: &[u8; BLOCK], out: &mut Vec<u8>) {
    if matches!(format.bits(), 6 | 8) {
        return out.extend(values.map(|value| value.wrapping_sub(format.zero())));
    }
    if format.bits() == 5 {
        let fifth = values.iter().enumerate().fold(0, |all, (input, value)| all | u32::from(value >> 4) << input);
        out.extend(fifth.to_le_bytes());
    }
    let (first, second) = values.split_at(BLOCK / 2);
    out.extend(first.iter().zip(second).map(|(first, second)| first & 15 | second << 4));
}

/// The blocks of `kind`, Q8_0 or Q4_0, that come nearest to `numbers`, which are whole blocks; by all threads.
pub fn rounded(kind: GgmlType, numbers: &[f32]) -> Vec<u8> {
    let round: fn(&[f32], &mut [u8]) = if kind == GgmlType::Q8_0 { q8_0 } else { q4_0 };
    let bytes = kind.block_bytes();
    let mut blocks = vec![0; numbers.len() / BLOCK * bytes];
    let pieces: Vec<_> = blocks.chunks_mut(PIECE * bytes).map(Mutex::new).collect();
    threads::for_each(pieces.len(), |index| {
        let mut piece = pieces[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let numbers = numbers[index * PIECE * BLOCK..].chunks_exact(BLOCK);
        piece.chunks_exact_mut(bytes).zip(numbers).for_each(|(block, numbers)| round(numbers, block));
    });
    drop(pieces);
    blocks
}

/// The number of the largest magnitude, the first of several.
fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0_f32, |most, number| if number.abs() > most.abs() { *number } else { most })
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// The largest becomes 127; halves are rounded away from 0.
fn q8_0(numbers: &[f32], block: &mut [u8]) {
    let scale = largest(numbers).abs() / 127.0;
    let inverse = inverse(scale);
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    block[2..].iter_mut().zip(numbers).for_each(|(byte, number)| *byte = (number * inverse).round() as i8 as u8);
}

/// The number of the largest magnitude becomes −8. Product and sum are exact here, as in ggml where the processor adds to products
/// without rounding them.
fn q4_0(numbers: &[f32], block: &mut [u8]) {
    let scale = largest(numbers) / -8.0;
    let inverse = f64::from(inverse(scale));
    block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
    let value = |number: f32| (f64::from(number) * inverse + 8.5).min(15.0) as u8;
    for (i, byte) in block[2..].iter_mut().enumerate() {
        *byte = value(numbers[i]) | value(numbers[i + BLOCK / 2]) << 4;
    }
}

#[cfg(test)]
mod tests {
    use llm_model::quant::{QuantMatrix, QuantShape};

    use super::super::blocks::{stored, widened};
    use super::*;

    #[test]
    fn our_blocks_come_back() {
        for format in QuantFormat::ALL {
            let Some(kind) = kind_of(format) else { continue };
            let ours = StoredMatrix::from(&QuantMatrix::random(QuantShape { format, rows: 3, width: 64 }));
            let blocks = blocks(&ours);
            if format != QuantFormat::Int6 {
                assert_eq!(stored(kind, ours.shape, &blocks), ours);
            }
            assert_eq!(widened(kind, &blocks), ours.matrix().dequantize());
        }
    }

    #[test]
    fn known_numbers_have_their_known_blocks() {
        let mut numbers = [0.0; BLOCK];
        (numbers[0], numbers[1], numbers[16], numbers[17]) = (-8.0, 7.0, 0.5, -0.4);
        let block = rounded(GgmlType::Q4_0, &numbers);
        // 0.5 + 8.5 is 9, −0.4 + 8.5 is 8.1.
        assert_eq!(block[..4], [0x00, 0x3c, 0x90, 0x8f]);
        numbers[0] = -127.0;
        let block = rounded(GgmlType::Q8_0, &numbers);
        assert_eq!((&block[..4], block[18] as i8, block[19] as i8), ([0x00, 0x3c, 0x81, 7].as_slice(), 1, 0));
        assert_eq!(rounded(GgmlType::Q4_0, &[0.0; BLOCK])[2..], [0x88; 16]);
    }
}
