//! Tensors of ggml's blocks: packed where a format of ours has their numbers exactly, in f32 elsewhere.

use llm_model::ops::threads;
use llm_model::quant::{Flaw, QuantFormat, QuantShape, RowsMut};

use super::super::rows::{QuantRows, sound};
use super::super::source::Blob;
use super::dequantize::dequantize;
use super::header::Entry;
use super::types::GgmlType;
use super::unpack;
use crate::{Error, Result};

/// Numbers that one thread widens at a time: whole blocks of every type.
const PIECE: usize = 1 << 16;

/// The format of ours that has exactly the numbers of a matrix; `None` where there is none.
pub fn format(entry: &Entry) -> Option<QuantFormat> {
    unpack::format(entry.kind).filter(|_| entry.shape.len() == 2)
}

/// The name of its type where no format of ours has its numbers.
pub fn packing(entry: &Entry) -> Option<&'static str> {
    (format(entry).is_none() && entry.kind.dtype().is_none()).then(|| entry.kind.lowercase())
}

/// A matrix whose blocks of `kind` lie in `blob` from `begin` on, and whose format [`format`] gave.
pub struct BlockRows<'a> {
    pub name: String,
    pub blob: &'a Blob,
    pub kind: GgmlType,
    pub begin: u64,
    pub shape: QuantShape,
}

impl QuantRows for BlockRows<'_> {
    fn shape(&self) -> QuantShape {
        self.shape
    }

    fn read(&self, first: usize, mut out: RowsMut, bytes: &mut Vec<u8>) -> Result<()> {
        let of_row = self.shape.width / self.kind.block() * self.kind.block_bytes();
        bytes.resize(out.shape.rows * of_row, 0);
        self.blob.read_exact_at(self.begin + (first * of_row) as u64, bytes)?;
        unpack::unpack(self.kind, bytes, out.part(0..out.shape.rows));
        sound(out.check(), first, |Flaw { part, row, place, got, expected }| {
            let field = format!("tensor `{}`: {part} at [{row}, {place}]", self.name);
            Error::invalid(self.blob.path(), field, format!("`{got}`"), expected).with_hint("the file is damaged: download it again")
        })
    }
}

/// The matrix of these blocks of `kind`, whose format [`format`] gave.
#[cfg(test)]
pub fn stored(kind: GgmlType, shape: QuantShape, blocks: &[u8]) -> llm_model::quant::StoredMatrix {
    let mut matrix = llm_model::quant::QuantMatrix::zeros(shape);
    unpack::unpack(kind, blocks, matrix.rows_mut());
    (&matrix).into()
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
    fn packed_blocks_are_the_numbers_that_ggml_has() {
        for kind in GgmlType::all() {
            let (rows, width) = (35, 512);
            let bytes = kind.bytes((rows * width) as u64).unwrap();
            let entry = Entry { name: "w".to_owned(), shape: vec![rows, width], kind, begin: 0, bytes };
            let Some(format) = format(&entry) else { continue };
            let mut state = 7_u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            let mut blocks: Vec<u8> = (0..bytes).map(|_| next()).collect();
            // Factors that are numbers: their high bytes have no exponent of ones.
            let halves: &[usize] = match kind {
                GgmlType::Q2K => &[80, 82],
                GgmlType::Q3K => &[108],
                GgmlType::Q6K => &[208],
                GgmlType::Q4_1 | GgmlType::Q5_1 | GgmlType::Q4K | GgmlType::Q5K => &[0, 2],
                GgmlType::Mxfp4 => &[],
                _ => &[0],
            };
            for block in blocks.chunks_exact_mut(kind.block_bytes()) {
                halves.iter().for_each(|at| block[at + 1] &= 0xbb);
            }
            if kind == GgmlType::Mxfp4 {
                // Every exponent but the one that is none.
                blocks.chunks_exact_mut(kind.block_bytes()).enumerate().for_each(|(at, block)| block[0] = (at % 255) as u8);
            }
            let stored = stored(kind, QuantShape { format, rows, width }, &blocks);
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
