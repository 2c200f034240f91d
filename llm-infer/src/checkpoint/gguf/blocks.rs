//! ggml's blocks as our own: those that are alike keep their bits, the others become f32.

use std::sync::{Mutex, PoisonError};

use half::f16;
use llm_model::ops::memory::use_huge_pages;
use llm_model::ops::threads;
use llm_model::quant::{BLOCK, QuantFormat, QuantShape, StoredMatrix};

use super::dequantize::dequantize;
use super::header::Entry;
use super::types::GgmlType;

/// Numbers that one thread widens at a time: whole blocks of every type.
const PIECE: usize = 1 << 16;

/// The format of ours that has exactly the numbers of a matrix; `None` where there is none.
pub fn format(entry: &Entry) -> Option<QuantFormat> {
    let format = match entry.kind {
        GgmlType::Q8_0 => QuantFormat::Int8,
        GgmlType::Q4_0 => QuantFormat::Int4,
        GgmlType::Q4_1 => QuantFormat::Int4Asymmetric,
        _ => return None,
    };
    (entry.shape.len() == 2).then_some(format)
}

/// The matrix of these blocks, which are of the type that [`format`] gave the format for; by all threads.
pub fn stored(shape: QuantShape, blocks: &[u8]) -> StoredMatrix {
    let bytes = BLOCK * shape.format.bits() / 8;
    let count = shape.rows * shape.blocks();
    let mut values = vec![0; count * bytes];
    use_huge_pages(values.as_ptr(), values.len());
    let mut scales = vec![f16::ZERO; count];
    let mut minima = vec![f16::ZERO; if shape.format.has_minima() { count } else { 0 }];
    let at_once = PIECE / BLOCK;
    let block_bytes = 2 * shape.format.factors() + bytes;
    let mut each_minima = minima.chunks_mut(at_once);
    let pieces: Vec<_> = values
        .chunks_mut(at_once * bytes)
        .zip(scales.chunks_mut(at_once))
        .map(|(values, scales)| Mutex::new((values, scales, each_minima.next().unwrap_or_default())))
        .collect();
    threads::for_each(pieces.len(), |index| {
        let mut piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (values, scales, minima) = &mut *piece;
        let blocks = blocks[index * at_once * block_bytes..].chunks_exact(block_bytes);
        for (at, (block, values)) in blocks.zip(values.chunks_exact_mut(bytes)).enumerate() {
            scales[at] = f16::from_le_bytes([block[0], block[1]]);
            if let Some(minimum) = minima.get_mut(at) {
                *minimum = f16::from_le_bytes([block[2], block[3]]);
            }
            let numbers = &block[block_bytes - bytes..];
            match shape.format.bits() {
                4 => neighbours(numbers, values),
                // Signed bytes, where ours stand 128 higher.
                _ => values.iter_mut().zip(numbers).for_each(|(value, byte)| *value = byte ^ 0x80),
            }
        }
    });
    drop(pieces);
    StoredMatrix { shape, values, scales, minima }
}

/// Halves of bytes: ggml has the inputs 0 to 15 in the low ones and 16 to 31 in the high ones, we have neighbours in a byte.
fn neighbours(block: &[u8], values: &mut [u8]) {
    let (first, second) = values.split_at_mut(8);
    for (i, pair) in block.chunks_exact(2).enumerate() {
        first[i] = pair[0] & 15 | pair[1] << 4;
        second[i] = pair[0] >> 4 | pair[1] & 0xf0;
    }
}

/// The numbers of blocks of `kind`, by all threads.
pub fn widened(kind: GgmlType, blocks: &[u8]) -> Vec<f32> {
    let mut numbers = vec![0.0; blocks.len() / kind.block_bytes() * kind.block()];
    let piece_bytes = PIECE / kind.block() * kind.block_bytes();
    threads::for_each_piece(&mut numbers, PIECE, |index, numbers| {
        let blocks = &blocks[index * piece_bytes..];
        dequantize(kind, &blocks[..blocks.len().min(piece_bytes)], numbers);
    });
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_blocks_are_the_numbers_that_ggml_has() {
        for kind in [GgmlType::Q8_0, GgmlType::Q4_0, GgmlType::Q4_1] {
            let entry = Entry { name: "w".to_owned(), shape: vec![3, 64], kind, begin: 0, bytes: kind.bytes(192).unwrap() };
            let mut blocks: Vec<u8> = (0..entry.bytes).map(|i| (i * 89 % 251) as u8).collect();
            // Scales that are numbers, and the value that our own rounding never has.
            blocks.chunks_exact_mut(kind.block_bytes()).for_each(|block| block[1] = 0x2c);
            if kind == GgmlType::Q4_1 {
                blocks.chunks_exact_mut(kind.block_bytes()).for_each(|block| block[3] = 0x90);
            }
            if kind == GgmlType::Q8_0 {
                blocks[5] = 0x80;
            }
            let shape = QuantShape { format: format(&entry).unwrap(), rows: 3, width: 64 };
            let stored = stored(shape, &blocks);
            assert_eq!(stored.check(), Ok(()));
            assert_eq!(stored.matrix().dequantize(), widened(kind, &blocks), "{kind:?}");
        }
    }

    #[test]
    fn pieces_join() {
        let blocks: Vec<u8> = (0..34 * 5000).map(|i| (i % 7) as u8).collect();
        let mut whole = vec![0.0; 32 * 5000];
        dequantize(GgmlType::Q8_0, &blocks, &mut whole);
        assert_eq!(widened(GgmlType::Q8_0, &blocks), whole);
    }
}
