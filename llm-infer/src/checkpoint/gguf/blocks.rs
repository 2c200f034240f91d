//! Tensors of ggml's blocks: packed where a format of ours has their numbers exactly, in f32 elsewhere.

use std::sync::{Mutex, PoisonError};

use half::f16;
use llm_model::ops::memory::use_huge_pages;
use llm_model::ops::threads;
use llm_model::quant::{QuantFormat, QuantShape, StoredMatrix, put_planes};

use super::dequantize::dequantize;
use super::header::Entry;
use super::types::GgmlType;
use super::unpack;

/// Numbers that one thread widens at a time: whole blocks of every type.
const PIECE: usize = 1 << 16;

/// Rows that one thread unpacks at a time.
const ROWS: usize = 16;

/// The format of ours that has exactly the numbers of a matrix; `None` where there is none.
pub fn format(entry: &Entry) -> Option<QuantFormat> {
    unpack::format(entry.kind).filter(|_| entry.shape.len() == 2)
}

/// The name of its type where no format of ours has its numbers.
pub fn packing(entry: &Entry) -> Option<&'static str> {
    (format(entry).is_none() && entry.kind.dtype().is_none()).then(|| entry.kind.lowercase())
}

/// The matrix of these blocks of `kind`, whose format [`format`] gave, by all threads.
pub fn stored(kind: GgmlType, shape: QuantShape, blocks: &[u8]) -> StoredMatrix {
    let (rows, per_row, minima) = (shape.rows, shape.scales(), shape.format.has_minima());
    let steps_of_row = if shape.format.steps().is_some() { shape.blocks() } else { 0 };
    let mut values = vec![0; rows * shape.row_bytes()];
    use_huge_pages(values.as_ptr(), values.len());
    let mut factors = vec![[f16::ZERO; 2]; rows * per_row];
    let mut steps = vec![[0; 2]; rows * steps_of_row];
    let mut rest = steps.as_mut_slice();
    let mut jobs = Vec::with_capacity(rows.div_ceil(ROWS));
    let parts = values.chunks_mut(ROWS * shape.row_bytes()).zip(factors.chunks_mut(ROWS * per_row));
    for ((values, factors), blocks) in parts.zip(blocks.chunks(ROWS * per_row * kind.block_bytes())) {
        let steps = rest.split_off_mut(..factors.len() / per_row * steps_of_row).unwrap_or_default();
        jobs.push(Mutex::new((values, factors, steps, blocks)));
    }
    threads::for_each(jobs.len(), |index| {
        let mut job = jobs[index].lock().unwrap_or_else(PoisonError::into_inner);
        let (values, factors, steps, blocks) = &mut *job;
        let mut row = vec![0; shape.width];
        for (at, values) in values.chunks_exact_mut(shape.row_bytes()).enumerate() {
            let blocks = blocks[at * per_row * kind.block_bytes()..].chunks_exact(kind.block_bytes());
            let places = row.chunks_exact_mut(kind.block()).zip(&mut factors[at * per_row..]).zip(blocks).enumerate();
            for (block, ((row, factors), bytes)) in places {
                let first = at * steps_of_row + block * steps_of_row / per_row;
                *factors = unpack::unpack(kind, bytes, row, &mut steps[first..first + steps_of_row / per_row]);
            }
            put_planes(shape.format.bits(), &row, values);
        }
    });
    drop(jobs);
    let (mut scales, mut exponents) = (Vec::new(), Vec::new());
    if shape.format.has_exponents() {
        exponents = blocks.iter().step_by(kind.block_bytes()).copied().collect();
    } else {
        scales = factors.iter().map(|[scale, _]| *scale).collect();
    }
    let minima = if minima { factors.iter().map(|[_, minimum]| *minimum).collect() } else { Vec::new() };
    StoredMatrix { shape, values, scales, exponents, minima, steps }
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
