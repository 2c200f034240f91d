//! Matrices times the same activations, in one pass over all of them on all threads.
//!
//! Dense weights are read as they are in memory; for quantized ones the activations become integers of 8 bits by blocks first, once
//! for all that take the same. What comes out for a row of `x` is the same bits whatever rows are beside it, and however many
//! threads there are.
#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use crate::Activation;
use crate::ops::gated::activate;
use crate::ops::simd::tiles::{self, Activations, Packed, product};
use crate::ops::simd::{Floats, Target, products};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::{InputTensor, QuantParts, QuantTensor, WeightTensor, ahead, rms_norm, threads};

/// Multiply-adds below which waking the pool costs more than it gives.
const SMALL: usize = 64 * 1024;
/// Rows of activations that stay in the cache through all pieces.
const FEW: usize = 16;
/// A piece of work has a multiple of this many weight rows.
const ROWS: usize = tiles::ROWS;

/// x · wᵀ for dense weights.
pub fn cpu<B: CpuBackend>(x: FloatTensor<B>, weight: FloatTensor<B>) -> FloatTensor<B> {
    let [out] = each::<B, 1>("linear", InputTensor::Plain(x), [WeightTensor::Dense(weight)], &[]);
    out
}

/// x · wᵀ for quantized weights.
pub fn quant_cpu<B: CpuBackend>(x: FloatTensor<B>, weight: QuantTensor<B>) -> FloatTensor<B> {
    let [out] = each::<B, 1>("quant_linear", InputTensor::Plain(x), [WeightTensor::Quantized(weight)], &[]);
    out
}

/// residual + x · wᵀ.
pub fn onto_cpu<B: CpuBackend>(residual: FloatTensor<B>, x: FloatTensor<B>, weight: WeightTensor<B>) -> FloatTensor<B> {
    let [out] = B::with_f32(&residual, |residual| each::<B, 1>("linear_onto", InputTensor::Plain(x), [weight], residual));
    out
}

/// x · wᵀ for three matrices of any kind.
pub fn three_cpu<B: CpuBackend>(x: InputTensor<B>, weights: [WeightTensor<B>; 3]) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    each::<B, 3>("linear_three", x, weights, &[]).into()
}

/// act(x · gateᵀ) · (x · upᵀ).
pub fn gated_cpu<B: CpuBackend>(x: InputTensor<B>, weights: [WeightTensor<B>; 2], activation: Activation) -> FloatTensor<B> {
    let (width, shape) = sizes::<B>(&x);
    let weights = weights.map(contiguous::<B>);
    let matrices = weights.each_ref().map(Matrix::of::<B>);
    let outputs = matrices[0].rows(width);
    let out = read::<B, _>(x, |x| gated_numbers::<B>(x, width, matrices, activation));
    B::from_vec(out, with_last(shape, outputs))
}

/// The same for numbers, rows of `width`.
pub fn gated_numbers<B: CpuBackend>(x: &[f32], width: usize, [gate, up]: [Matrix; 2], activation: Activation) -> Vec<f32> {
    let (rows, outputs) = (x.len() / width, gate.rows(width));
    assert_eq!(outputs, up.rows(width), "gate and up are of one size");
    let piece = piece(rows, 2 * width * outputs, outputs);
    let mut out = Vec::<f32>::with_capacity(rows * outputs);
    let start = AtomicPtr::new(out.as_mut_ptr());
    let inputs = Inputs::new::<B>("gated_linear", x, width, &[gate, up]);
    share_out(rows, outputs.div_ceil(piece), |run| {
        let (start, range) = (start.load(Relaxed), run.start * piece..(run.end * piece).min(outputs));
        ahead::reading(gate.start(), gate.row(range.start, width));
        let mut right = Vec::<f32>::with_capacity(rows * range.len());
        let right = right.as_mut_ptr();
        // SAFETY: `out` has room for each output of every row, and pieces are disjoint; `right` has room for those of the range,
        // and begins with the first. What is written is then read as numbers.
        unsafe {
            inputs.multiply(&gate, range.clone(), start, outputs);
            inputs.multiply(&up, range.clone(), right.wrapping_sub(range.start), range.len());
            for row in 0..rows {
                let left = std::slice::from_raw_parts_mut(start.add(row * outputs + range.start), range.len());
                activate(left, std::slice::from_raw_parts(right.add(row * range.len()), range.len()), activation);
            }
        }
    });
    // SAFETY: the pieces covered all outputs of every row.
    unsafe { out.set_len(rows * outputs) };
    out
}

/// The products with each matrix; what `residual` holds, if it is not empty, is added to them.
fn each<B: CpuBackend, const N: usize>(
    op: &'static str,
    x: InputTensor<B>,
    weights: [WeightTensor<B>; N],
    residual: &[f32],
) -> [FloatTensor<B>; N] {
    let (width, shape) = sizes::<B>(&x);
    let weights = weights.map(contiguous::<B>);
    let matrices = weights.each_ref().map(Matrix::of::<B>);
    let outs = read::<B, _>(x, |x| numbers::<B, N>(op, x, width, matrices, residual));
    let mut matrices = matrices.iter();
    outs.map(|out| B::from_vec(out, with_last(shape.clone(), matrices.next().map_or(0, |matrix| matrix.rows(width)))))
}

/// The same for numbers, rows of `width`.
pub fn numbers<B: CpuBackend, const N: usize>(
    op: &'static str,
    x: &[f32],
    width: usize,
    matrices: [Matrix; N],
    residual: &[f32],
) -> [Vec<f32>; N] {
    let rows = x.len() / width;
    let outputs = matrices.map(|matrix| matrix.rows(width));
    let all = outputs.iter().sum();
    assert!(residual.is_empty() || residual.len() == rows * all, "a residual of {} numbers for {rows} x {all}", residual.len());
    let piece = piece(rows, width * all, all);
    let pieces = outputs.map(|outputs| outputs.div_ceil(piece));
    let mut outs = outputs.map(|outputs| Vec::<f32>::with_capacity(rows * outputs));
    let starts = outs.each_mut().map(|out| AtomicPtr::new(out.as_mut_ptr()));
    let inputs = Inputs::new::<B>(op, x, width, &matrices);
    share_out(rows, pieces.iter().sum(), |run| {
        let mut first = 0;
        for (index, matrix) in matrices.iter().enumerate() {
            // What of the run is of this matrix, in rows.
            let [from, to] = [run.start, run.end].map(|at| (at.saturating_sub(first) * piece).min(outputs[index]));
            first += pieces[index];
            if from == to {
                continue;
            }
            ahead::reading(matrices[0].start(), matrix.row(from, width));
            let start = starts[index].load(Relaxed);
            // SAFETY: there is room for each output of every row, and pieces are disjoint; what is written is then read as numbers.
            unsafe {
                inputs.multiply(matrix, from..to, start, outputs[index]);
                for (row, residual) in residual.chunks_exact(outputs[index]).enumerate() {
                    let out = std::slice::from_raw_parts_mut(start.add(row * outputs[index] + from), to - from);
                    out.iter_mut().zip(&residual[from..to]).for_each(|(out, residual)| *out += residual);
                }
            }
        }
    });
    for (out, outputs) in outs.iter_mut().zip(outputs) {
        // SAFETY: the pieces covered all outputs of every row.
        unsafe { out.set_len(rows * outputs) };
    }
    outs
}

/// Runs `work` on all threads: on runs of pieces where memory is what is waited for, else on one after the other.
fn share_out(rows: usize, pieces: usize, work: impl Fn(Range<usize>) + Sync) {
    if rows <= FEW { threads::for_each_run(pieces, work) } else { threads::for_each(pieces, |piece| work(piece..piece + 1)) }
}

/// Width of the rows of `x`, and its shape.
fn sizes<B: CpuBackend>(x: &InputTensor<B>) -> (usize, Shape) {
    let (InputTensor::Plain(x) | InputTensor::Normed { x, .. }) = x;
    let shape = x.shape();
    (shape[shape.num_dims() - 1], shape)
}

/// `shape` with `outputs` as its last dimension.
fn with_last(mut shape: Shape, outputs: usize) -> Shape {
    let last = shape.num_dims() - 1;
    shape[last] = outputs;
    shape
}

/// Calls `then` with the numbers of `x`, normed if they are to be.
fn read<B: CpuBackend, R>(x: InputTensor<B>, then: impl FnOnce(&[f32]) -> R) -> R {
    match x {
        InputTensor::Plain(x) => B::with_f32(&x, then),
        InputTensor::Normed { x, gamma, eps } => B::with_f32(&x, |x| then(&rms_norm::numbers::<B>(x, &gamma, eps))),
    }
}

/// Outputs of a piece of work with `rows` activations, `multiply_adds` for each of these: all if they are few, else so many that each
/// thread gets several. The more, the less a thread waits for the last one; but each piece reads all activations.
fn piece(rows: usize, multiply_adds: usize, outputs: usize) -> usize {
    let all = outputs.next_multiple_of(ROWS).max(ROWS);
    let pieces = if rows <= FEW { 16 } else { 8 };
    if rows * multiply_adds < SMALL { all } else { outputs.div_ceil(pieces * threads::count()).next_multiple_of(ROWS).min(all) }
}

/// A matrix as it lies in memory.
#[derive(Clone, Copy)]
pub enum Matrix<'a> {
    Dense(Floats<'a>),
    Packed(Packed<'a>),
}

impl Matrix<'_> {
    fn rows(&self, width: usize) -> usize {
        match self {
            Self::Dense(floats) => floats.len() / width,
            Self::Packed(packed) => packed.rows,
        }
    }

    /// Where it begins.
    fn start(&self) -> *const u8 {
        match self {
            Self::Dense(floats) => floats.start(),
            Self::Packed(packed) => packed.values.as_ptr().cast(),
        }
    }

    /// Where `row`, a multiple of [`ROWS`], begins.
    fn row(&self, row: usize, width: usize) -> *const u8 {
        match self {
            Self::Dense(floats) => floats.range(row * width, 0).start(),
            Self::Packed(packed) => packed.values[row / ROWS * packed.words_of_strip()..].as_ptr().cast(),
        }
    }
}

/// Activations in all the forms that some matrices want.
struct Inputs<'a> {
    x: &'a [f32],
    width: usize,
    /// By the value of the weights that stands for 0.
    quantized: Vec<(i32, Activations)>,
}

impl<'a> Inputs<'a> {
    fn new<B: CpuBackend>(op: &'static str, x: &'a [f32], width: usize, matrices: &[Matrix]) -> Self {
        let mut quantized: Vec<(i32, Activations)> = Vec::new();
        for matrix in matrices {
            let Matrix::Packed(packed) = matrix else {
                trace::<B>(op, "products");
                continue;
            };
            let kernel = packed.kernel();
            trace::<B>(op, kernel.name());
            if !quantized.iter().any(|(zero, x)| *zero == packed.zero && x.kernel() == kernel) {
                quantized.push((packed.zero, Activations::quantize(x, width, packed.zero, kernel)));
            }
        }
        Self { x, width, quantized }
    }

    /// The outputs `range` of all rows: `out[row · stride + output]`.
    ///
    /// # Safety
    /// These can be written, and nobody else touches them; the range begins with a multiple of [`ROWS`].
    unsafe fn multiply(&self, matrix: &Matrix, range: Range<usize>, out: *mut f32, stride: usize) {
        match matrix {
            Matrix::Dense(floats) => {
                // SAFETY: as the caller promises.
                let mut target = unsafe { Target::columns(out.wrapping_add(range.start), range.len(), stride) };
                let rows = floats.range(range.start * self.width, range.len() * self.width);
                let tile = products::ROWS * self.width;
                let to_next = if rows.len() > tile { rows.way_to(rows.range(tile, 0)) } else { 0 };
                products(self.x, self.width, rows, to_next, &mut target);
            }
            Matrix::Packed(packed) => {
                let kernel = packed.kernel();
                let Some((_, x)) = self.quantized.iter().find(|(zero, x)| *zero == packed.zero && x.kernel() == kernel) else { return };
                let strips = range.start / ROWS..range.end.div_ceil(ROWS);
                // SAFETY: as the caller promises.
                unsafe { product(packed, strips, x, tiles::Target { start: out, stride }) }
            }
        }
    }
}

impl<'a> Matrix<'a> {
    /// A packed matrix.
    pub fn quantized<B: CpuBackend>(weight: &'a QuantTensor<B>) -> Self {
        Self::Packed(packed::<B>(weight))
    }

    /// The matrix behind a contiguous `weight`.
    fn of<B: CpuBackend>(weight: &'a WeightTensor<B>) -> Self {
        match weight {
            WeightTensor::Dense(weight) => Self::Dense(B::floats(weight)),
            WeightTensor::Quantized(weight) => Self::quantized::<B>(weight),
        }
    }
}

fn contiguous<B: CpuBackend>(weight: WeightTensor<B>) -> WeightTensor<B> {
    match weight {
        WeightTensor::Dense(weight) if !B::is_contiguous(&weight) => WeightTensor::Dense(B::contiguous(&weight)),
        other => other,
    }
}

/// The tiles of `weight`.
fn packed<B: CpuBackend>(weight: &QuantTensor<B>) -> Packed<'_> {
    let QuantParts { values, factors, shape } = &**weight;
    let format = shape.format;
    Packed {
        bits: format.bits(),
        table: format.table(),
        zero: i32::from(format.zero()),
        rows: shape.rows,
        blocks: shape.blocks(),
        values: B::words(values),
        minima: format.has_minima(),
        steps: format.steps(),
        factors: B::floats(factors),
    }
}
