//! Keys and values are read in place from the cache, in chunks with a softmax of their own that are then merged (Milakov and
//! Gimelshein, online softmax; Dao et al., FlashAttention): nothing is copied and no score matrix is kept.
//!
//! A chunk holds positions `n · CHUNK .. (n + 1) · CHUNK`, whoever asks. So what a query gives depends neither on the queries beside
//! it nor on the number of threads.
//!
//! Whole numbers are computed with as they are: the factor of a key goes to its score, that of a value to its weight.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use burn::backend::{TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use super::AttentionOptions;
use crate::ops::kv::{KvTensor, Stored, with_stored};
use crate::ops::simd::{Floats, Target, combine, exp, exp_sum, multiply, products, softcap};
use crate::ops::slices::{CpuBackend, trace};
use crate::ops::threads;

/// Positions of a chunk.
const CHUNK: usize = 256;
/// Neighboring positions of one piece of work.
const POSITIONS: usize = 16;
/// From this many queries on, a chunk is widened once for all where that costs anything.
const MANY: usize = 6;
/// Positions whose values are added up together.
const TOGETHER: usize = 4;

/// The sizes that one call works with.
pub(super) struct Sizes {
    pub seq: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub capacity: usize,
    pub dim: usize,
}

impl Sizes {
    /// Of `seq` positions of `heads`, and a cache `[batch, kv_heads, capacity, dim]`.
    pub fn new(seq: usize, heads: usize, cache: &Shape) -> Self {
        Self { seq, heads, kv_heads: cache[1], capacity: cache[2], dim: cache[3] }
    }

    /// Query heads that share a key and value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}

pub fn cpu<B: CpuBackend>(
    q: FloatTensor<B>,
    k: KvTensor<B>,
    v: KvTensor<B>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    attend::<B>(q, k, v, None, starts, options)
}

/// The same with one more score for each head, as [`super::reference_with_sinks`] has it.
pub fn cpu_with_sinks<B: CpuBackend>(
    q: FloatTensor<B>,
    k: KvTensor<B>,
    v: KvTensor<B>,
    sinks: FloatTensor<B>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    B::with_f32(&sinks, |sinks| attend::<B>(q, k, v, Some(sinks), starts, options))
}

fn attend<B: CpuBackend>(
    q: FloatTensor<B>,
    k: KvTensor<B>,
    v: KvTensor<B>,
    sinks: Option<&[f32]>,
    starts: &[usize],
    options: &AttentionOptions,
) -> FloatTensor<B> {
    let out = B::with_f32(&q, |x| numbers::<B>(x, q.shape()[1], [&k, &v], sinks, starts, options));
    B::from_vec(out, q.shape())
}

/// The same for numbers, `[batch, seq, heads, dim]`.
pub fn numbers<B: CpuBackend>(
    q: &[f32],
    seq: usize,
    [k, v]: [&KvTensor<B>; 2],
    sinks: Option<&[f32]>,
    starts: &[usize],
    options: &AttentionOptions,
) -> Vec<f32> {
    trace::<B>("attention", "chunks");
    let cache = k.shape();
    let sizes = Sizes::new(seq, q.len() / starts.len() / seq / cache[3], &cache);
    let mut out = vec![0.0; q.len()];
    with_stored(k, |k| with_stored(v, |v| Attention { q, k, v, sinks, starts, options, sizes }.run(&mut out)));
    out
}

/// What a query has seen so far: the largest score, and relative to it Σ weights beside Σ weights · values.
#[derive(Clone, Copy)]
struct Seen {
    max: f32,
    sum: f32,
}

impl Seen {
    const NOTHING: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    /// Adds what `other` has seen to this, whose values are in `acc` and `values`.
    fn merge(&mut self, acc: &mut [f32], other: Self, values: &[f32]) {
        if self.sum == 0.0 {
            *self = other;
            acc.copy_from_slice(values);
        } else if other.sum > 0.0 {
            let max = self.max.max(other.max);
            let (a, b) = (exp(self.max - max), exp(other.max - max));
            *self = Self { max, sum: self.sum * a + other.sum * b };
            acc.iter_mut().zip(values).for_each(|(acc, value)| *acc = *acc * a + value * b);
        }
    }

    /// Σ weights · values, which is in `acc`, by Σ weights, to which one of score `sink` is added.
    fn finish(self, acc: &mut [f32], sink: Option<f32>) {
        match sink {
            None => acc.iter_mut().for_each(|x| *x /= self.sum),
            Some(sink) => {
                let max = self.max.max(sink);
                let (a, b) = (exp(self.max - max), exp(sink - max));
                let sum = self.sum * a + b;
                acc.iter_mut().for_each(|x| *x = *x * a / sum);
            }
        }
    }
}

/// One call: `q [batch, seq, heads, dim]`, `k` and `v [batch, kv_heads, capacity, dim]`.
struct Attention<'a> {
    q: &'a [f32],
    k: Stored<'a>,
    v: Stored<'a>,
    /// A score for each head.
    sinks: Option<&'a [f32]>,
    starts: &'a [usize],
    options: &'a AttentionOptions,
    sizes: Sizes,
}

/// The queries of one piece of work: all that share a key and value head, at neighboring positions of one sequence.
#[derive(Clone, Copy)]
struct Piece {
    batch: usize,
    kv_head: usize,
    /// First position, counted from the first of this call.
    offset: usize,
    positions: usize,
}

impl Attention<'_> {
    fn run(&self, out: &mut [f32]) {
        let (seq, kv_heads) = (self.sizes.seq, self.sizes.kv_heads);
        let blocks = seq.div_ceil(POSITIONS);
        let pieces = self.starts.len() * kv_heads * blocks;
        let piece = |index: usize| {
            let (head, block) = (index / blocks, index % blocks);
            let offset = block * POSITIONS;
            Piece { batch: head / kv_heads, kv_head: head % kv_heads, offset, positions: POSITIONS.min(seq - offset) }
        };
        let chunks = self.starts.iter().max().map_or(0, |start| (start + seq).div_ceil(CHUNK));
        let start = AtomicPtr::new(out.as_mut_ptr());
        // SAFETY: no two pieces share a query, `out` has a row for each and is borrowed until all are done.
        let row = |query: usize| unsafe { std::slice::from_raw_parts_mut(start.load(Relaxed).add(query * self.sizes.dim), self.sizes.dim) };
        if seq > 1 || chunks < 2 || pieces >= 4 * threads::count() {
            threads::for_each(pieces, |index| self.piece(piece(index), chunks, &row));
        } else {
            self.split(pieces, piece, chunks, &row);
        }
    }

    /// The queries of `piece` over all chunks.
    fn piece<'o>(&self, piece: Piece, chunks: usize, row: &impl Fn(usize) -> &'o mut [f32]) {
        let mut scratch = SCRATCH.take();
        let mut seen = vec![Seen::NOTHING; self.queries(piece).count()];
        for chunk in 0..chunks {
            self.chunk(piece, chunk, &mut scratch, |index, query, found, values| seen[index].merge(row(query), found, values));
        }
        for (query, seen) in self.queries(piece).zip(seen) {
            seen.finish(row(query), self.sink(query));
        }
        SCRATCH.set(scratch);
    }

    /// One token a sequence, and few sequences: the chunks are shared out, too, and merged in order.
    fn split<'o>(
        &self,
        pieces: usize,
        piece: impl Fn(usize) -> Piece + Sync,
        chunks: usize,
        row: &(impl Fn(usize) -> &'o mut [f32] + Sync),
    ) {
        let (group, dim) = (self.sizes.group(), self.sizes.dim);
        // For each piece and chunk, for each query: max, Σ weights, Σ weights · values.
        let length = group * (2 + dim);
        let mut parts = vec![0.0; pieces * chunks * length];
        threads::for_each_piece(&mut parts, length, |index, part| {
            let mut scratch = SCRATCH.take();
            self.chunk(piece(index / chunks), index % chunks, &mut scratch, |index, _, found, values| {
                let part = &mut part[index * (2 + dim)..][..2 + dim];
                part[..2].copy_from_slice(&[found.max, found.sum]);
                part[2..].copy_from_slice(values);
            });
            SCRATCH.set(scratch);
        });
        for (index, parts) in parts.chunks_exact(chunks * length).enumerate() {
            for (at, query) in self.queries(piece(index)).enumerate() {
                let (mut seen, out) = (Seen::NOTHING, row(query));
                for part in parts.chunks_exact(length) {
                    let part = &part[at * (2 + dim)..][..2 + dim];
                    seen.merge(out, Seen { max: part[0], sum: part[1] }, &part[2..]);
                }
                seen.finish(out, self.sink(query));
            }
        }
    }

    /// The score beside those of the keys, for the row `query`.
    fn sink(&self, query: usize) -> Option<f32> {
        self.sinks.map(|sinks| sinks[query % self.sizes.heads])
    }

    /// The rows of `q [batch · seq · heads, dim]` that belong to `piece`.
    fn queries(&self, piece: Piece) -> impl Iterator<Item = usize> {
        let (heads, group) = (self.sizes.heads, self.sizes.group());
        let first = (piece.batch * self.sizes.seq + piece.offset) * heads + piece.kv_head * group;
        (0..piece.positions).flat_map(move |position| (0..group).map(move |member| first + position * heads + member))
    }

    /// Calls `found` with number, row, and what is seen, for each query of `piece` that sees keys of `chunk`.
    fn chunk(&self, piece: Piece, chunk: usize, scratch: &mut Scratch, mut found: impl FnMut(usize, usize, Seen, &[f32])) {
        let dim = self.sizes.dim;
        let first = self.starts[piece.batch] + piece.offset;
        let begin = |position: usize| self.options.window.map_or(0, |window| (position + 1).saturating_sub(window));
        let chunk = (chunk * CHUNK).max(begin(first))..((chunk + 1) * CHUNK).min(first + piece.positions);
        if chunk.is_empty() {
            return;
        }
        let base = (piece.batch * self.sizes.kv_heads + piece.kv_head) * self.sizes.capacity;
        let [mut k, mut v] = [self.k, self.v].map(|all| all.numbers.range((base + chunk.start) * dim, chunk.len() * dim));
        let [k_scales, v_scales] = [self.k, self.v].map(|all| all.scales.map(|all| &all[base + chunk.start..][..chunk.len()]));
        let Scratch { queries, scores, values, sums, wide: [wide_k, wide_v] } = scratch;
        queries.clear();
        let scale = self.options.scale as f32;
        self.queries(piece).for_each(|row| queries.extend(self.q[row * dim..][..dim].iter().map(|x| x * scale)));
        let (count, length) = (queries.len() / dim, chunk.len());
        let widen = count >= MANY && !k.free_to_widen();
        // Where one position reads keys, these are read for it alone: while they are multiplied their values are fetched.
        let to_values = if piece.positions == 1 && !widen { k.way_to(v) } else { 0 };
        if widen {
            (k, v) = (Floats::F32(k.widened(wide_k)), Floats::F32(v.widened(wide_v)));
        }
        scores.resize(count * length, 0.0);
        products(queries, dim, k, to_values, &mut Target::rows(scores, length));
        values.clear();
        values.resize(count * dim, 0.0);

        // Queries of one position see the same keys; those that four positions have in common are added up for all of them.
        let group = self.sizes.group();
        let seen_by = |position: usize| {
            let keys = begin(first + position).max(chunk.start)..(first + position + 1).min(chunk.end);
            keys.start.saturating_sub(chunk.start)..keys.end.max(chunk.start) - chunk.start
        };
        sums.clear();
        sums.resize(count, Seen::NOTHING);
        for (index, scores) in scores.chunks_exact_mut(length).enumerate() {
            let keys = seen_by(index / group);
            if keys.is_empty() {
                continue;
            }
            let scores = &mut scores[keys.clone()];
            if let Some(scales) = k_scales {
                multiply(scores, &scales[keys.clone()]);
            }
            if let Some(cap) = self.options.softcap {
                softcap(scores, cap as f32);
            }
            let (max, sum) = exp_sum(scores);
            sums[index] = Seen { max, sum };
            if let Some(scales) = v_scales {
                multiply(scores, &scales[keys]);
            }
        }
        let mut add = |positions: Range<usize>, keys: Range<usize>| {
            if !keys.is_empty() {
                let queries = positions.start * group..positions.end * group;
                let weights = &scores[queries.start * length + keys.start..];
                let v = v.range(keys.start * dim, keys.len() * dim);
                combine(&mut values[queries.start * dim..queries.end * dim], dim, weights, length, v);
            }
        };
        for from in (0..piece.positions).step_by(TOGETHER) {
            let positions = from..(from + TOGETHER).min(piece.positions);
            let common = seen_by(positions.end - 1).start..seen_by(from).end;
            if common.is_empty() {
                positions.for_each(|position| add(position..position + 1, seen_by(position)));
                continue;
            }
            positions.clone().for_each(|position| add(position..position + 1, seen_by(position).start..common.start));
            add(positions.clone(), common.clone());
            positions.for_each(|position| add(position..position + 1, common.end..seen_by(position).end));
        }
        for ((index, row), values) in self.queries(piece).enumerate().zip(values.chunks_exact(dim)) {
            if sums[index].sum > 0.0 {
                found(index, row, sums[index], values);
            }
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Memory of one piece of work, which a thread keeps for the next.
#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    values: Vec<f32>,
    sums: Vec<Seen>,
    /// Keys and values of a chunk in f32.
    wide: [Vec<f32>; 2],
}
