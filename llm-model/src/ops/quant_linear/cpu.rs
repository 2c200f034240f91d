//! Activations as integers of 8 bits, then integer products with the tiles as they are in memory.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use burn::backend::{
    TensorMetadata,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::Shape;

use crate::ops::QuantTensor;
use crate::ops::simd::Floats;
use crate::ops::simd::tiles::{Activations, Kernel, Packed, Target, product};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;
use crate::quant::{BLOCK, QuantShape, tiles::ROWS};

/// Multiply-adds below which waking the pool costs more than it gives.
const SMALL: usize = 64 * 1024;

pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, weight: QuantTensor<B>, shape: QuantShape) -> FloatTensor<B> {
    let tokens = x.shape()[0];
    let kernel = Kernel::best(shape.format.bits());
    trace::<B>("quant_linear", kernel.name());
    let mut out = vec![0.0; tokens * shape.rows];
    B::with_f32(&x, |x| with_packed::<B, _>(&weight, shape, |packed| multiply(x, &packed, shape.width, kernel, &mut out)));
    B::from_vec(out, Shape::new([tokens, shape.rows]))
}

fn multiply(x: &[f32], packed: &Packed, width: usize, kernel: Kernel, out: &mut [f32]) {
    let x = Activations::quantize(x, width, packed.zero, kernel);
    let (strips, start) = (packed.strips(), AtomicPtr::new(out.as_mut_ptr()));
    let chunk = if out.len() * width < SMALL { strips } else { strips.div_ceil(8 * threads::count()) };
    threads::for_each(strips.div_ceil(chunk.max(1)), |index| {
        let range = index * chunk..((index + 1) * chunk).min(strips);
        // SAFETY: `out` has a number for each row of every token and is borrowed until all are done; the ranges are disjoint.
        unsafe { product(packed, range, &x, Target { start: start.load(Relaxed), stride: packed.rows }) }
    });
}

/// Rows of an embedding, read out of their tiles.
pub fn rows_cpu<B: CpuBackend>(ids: IntTensor<B>, weight: QuantTensor<B>, shape: QuantShape) -> FloatTensor<B> {
    trace::<B>("quant_rows", "scalar");
    let ids = B::integers(&ids);
    let mut out = vec![0.0; ids.len() * shape.width];
    with_packed::<B, _>(&weight, shape, |packed| {
        for (id, out) in ids.iter().zip(out.chunks_exact_mut(shape.width)) {
            row(&packed, usize::try_from(*id).unwrap_or(usize::MAX), out);
        }
    });
    B::from_vec(out, Shape::new([ids.len(), shape.width]))
}

fn row(packed: &Packed, row: usize, out: &mut [f32]) {
    assert!(row < packed.rows, "row {row} of {}", packed.rows);
    let (lines, inputs) = (packed.bits, 32 / packed.bits);
    let (mut factors, count) = ([0.0; 2], 1 + usize::from(packed.minima));
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let tile = row / ROWS * packed.blocks + block;
        for (index, factor) in factors[..count].iter_mut().enumerate() {
            packed.factors.range((tile * count + index) * ROWS + row % ROWS, 1).widen(std::slice::from_mut(factor));
        }
        for (input, out) in out.iter_mut().enumerate() {
            let word = packed.values[(tile * lines + input / inputs) * ROWS + row % ROWS] as u32;
            let value = word >> (8 * (input % 4) + 4 * (input % inputs / 4)) & ((1 << packed.bits) - 1);
            *out = (value as i32 - packed.zero) as f32 * factors[0] + factors[1];
        }
    }
}

fn with_packed<B: CpuBackend, R>(weight: &QuantTensor<B>, shape: QuantShape, read: impl FnOnce(Packed) -> R) -> R {
    B::with_words(&weight.values, |values| {
        B::with_floats(&weight.factors, |factors: Floats| {
            let (bits, zero, minima) = (shape.format.bits(), i32::from(shape.format.zero()), shape.format.has_minima());
            read(Packed { bits, zero, minima, rows: shape.rows, blocks: shape.width.div_ceil(BLOCK), values, factors })
        })
    })
}
