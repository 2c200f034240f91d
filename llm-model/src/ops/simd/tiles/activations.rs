//! Activations as the tiles read them: integers of 8 bits with one scale for each token and block of 32 inputs.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use super::kernel::{Group, Panel, Tile};
use super::{BLOCK, Kernel};
use crate::ops::threads;

/// Most panels that a thread takes at once.
const PANELS: usize = 4;

/// 1.5 · 2²³: added to a number below 2²², it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Quantized activations, side by side in panels of as many tokens as a kernel takes at once.
pub struct Activations {
    kernel: Kernel,
    tokens: usize,
    blocks: usize,
    /// Tokens of every panel but the last, which may have fewer.
    panel: usize,
    memory: Memory,
}

/// Where activations are. It stays with the thread that quantizes, for the next ones.
#[derive(Default)]
struct Memory {
    values: Vec<u8>,
    scales: Vec<f32>,
    corrections: Vec<i32>,
    sums: Vec<f32>,
}

thread_local! {
    static KEPT: RefCell<Memory> = RefCell::default();
}

impl Activations {
    /// Quantizes `x`, rows of `width` numbers, for `kernel`, on all threads; `zero` is the value of the weights that stands for 0.
    pub fn quantize(x: &[f32], width: usize, zero: i32, kernel: Kernel) -> Self {
        let (tokens, blocks) = (x.len() / width, width.div_ceil(BLOCK));
        let panel = tokens.div_ceil(tokens.div_ceil(kernel.tokens()).max(1)).max(1);
        let (count, group) = (tokens * blocks, kernel.group());
        // All that is read of it is written first.
        let mut memory = KEPT.take();
        let Memory { values, scales, corrections, sums } = &mut memory;
        values.resize(count * BLOCK * group.words(), 0);
        scales.resize(count, 0.0);
        corrections.resize(count * kernel.parts(), 0);
        sums.resize(count * kernel.parts(), 0.0);
        let per_panel = panel * blocks;
        let parts = x.chunks(panel * width).zip(values.chunks_mut(per_panel * BLOCK * group.words()));
        let parts = parts
            .zip(scales.chunks_mut(per_panel))
            .zip(corrections.chunks_mut(per_panel * kernel.parts()))
            .zip(sums.chunks_mut(per_panel * kernel.parts()));
        if tokens == 1 {
            parts.for_each(|((((x, values), scales), corrections), sums)| {
                fill(x, width, zero, kernel, values, scales, corrections, sums);
            });
        } else {
            let parts: Vec<_> = parts.map(|part| Mutex::new(Some(part))).collect();
            let panels = parts.len().div_ceil(threads::count()).clamp(1, PANELS);
            threads::for_each(parts.len().div_ceil(panels), |index| {
                for part in &parts[index * panels..((index + 1) * panels).min(parts.len())] {
                    let part = part.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some(((((x, values), scales), corrections), sums)) = part else { continue };
                    fill(x, width, zero, kernel, values, scales, corrections, sums);
                }
            });
        }
        Self { kernel, tokens, blocks, panel, memory }
    }

    /// The kernel they were made for.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Blocks of a token.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// How many panels there are.
    pub fn panels(&self) -> usize {
        self.tokens.div_ceil(self.panel)
    }

    /// The first token of a panel, and how many tokens it has.
    pub fn place(&self, panel: usize) -> (usize, usize) {
        let first = panel * self.panel;
        (first, self.panel.min(self.tokens - first))
    }

    /// The panel that begins with token `first`, for tiles of [`Activations::kernel`].
    #[inline(always)]
    pub(super) fn panel<T: Tile>(&self, first: usize) -> Panel {
        let (at, Memory { values, scales, corrections, sums }) = (first * self.blocks, &self.memory);
        assert!(at < scales.len(), "token {first} of {}", self.tokens);
        Panel {
            values: values.as_ptr().wrapping_add(BLOCK * T::GROUP.words() * at),
            scales: scales.as_ptr().wrapping_add(at),
            corrections: corrections.as_ptr().wrapping_add(T::PARTS * at),
            sums: sums.as_ptr().wrapping_add(T::PARTS * at),
        }
    }
}

impl Drop for Activations {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.memory));
    }
}

vectorized! {
    /// Fills one panel with the tokens `x`, in rows of `width` numbers.
    #[expect(clippy::too_many_arguments, reason = "the four memories of a panel are filled in one pass")]
    fn fill(x: &[f32], width: usize, zero: i32, kernel: Kernel, values: &mut [u8], scales: &mut [f32], corrections: &mut [i32], sums: &mut [f32]) {
        let (size, group, parts, correct) = (x.len() / width, kernel.group(), kernel.parts(), kernel.correction());
        for (token, row) in x.chunks_exact(width).enumerate() {
            for (block, x) in row.chunks(BLOCK).enumerate() {
                let mut padded = [0.0; BLOCK];
                let x = match x.as_array::<BLOCK>() {
                    Some(x) => x,
                    None => {
                        padded[..x.len()].copy_from_slice(x);
                        &padded
                    }
                };
                let place = block * size + token;
                let (integers, scale) = quantize_block(x);
                scales[place] = scale;
                for (part, integers) in integers.chunks_exact(BLOCK / parts).enumerate() {
                    let (place, pairs) = ((block * parts + part) * size + token, sums_of_pairs(integers));
                    corrections[place] = correct(pairs, zero);
                    sums[place] = scale * (pairs[0] + pairs[1]) as f32;
                }
                let first = 4 * (block * size * BLOCK / 4 * group.words() + token);
                match group {
                    Group::Bytes => put(&integers.map(|q| q as u8), &mut values[first..], size),
                    Group::Pairs => put(in_pairs(&integers).as_flattened(), &mut values[first..], size),
                }
            }
        }
    }
}

/// Copies the words of a block, four bytes each, to `out`, where they are `size` words apart.
#[inline(always)]
fn put(words: &[u8], out: &mut [u8], size: usize) {
    if size == 1 {
        out[..words.len()].copy_from_slice(words);
    } else {
        let out = &mut out[..(words.len() / 4 - 1) * 4 * size + 4];
        for (index, word) in words.chunks_exact(4).enumerate() {
            out[index * 4 * size..][..4].copy_from_slice(word);
        }
    }
}

/// [`Group::Pairs`] of all groups of a block.
#[inline(always)]
fn in_pairs(integers: &[i32; BLOCK]) -> [[u8; 4]; BLOCK / 2] {
    let mut pairs = [[0; 4]; BLOCK / 2];
    for (pairs, four) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(integers.as_chunks::<4>().0) {
        for (place, pair) in pairs.iter_mut().enumerate() {
            *pair = (four[place] & 0xffff | four[place + 2] << 16).to_ne_bytes();
        }
    }
    pairs
}

/// Round to nearest with the scale that gives the largest number 127; a NaN or an infinity becomes the scale, so that no
/// output that it reaches looks like a number.
#[inline(always)]
fn quantize_block(x: &[f32; BLOCK]) -> ([i32; BLOCK], f32) {
    // As integers, magnitudes have the order that they have as floats, and NaN is above all.
    let mut lanes = [0; 8];
    for part in x.as_chunks::<8>().0 {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane = (x.to_bits() & 0x7fff_ffff).max(*lane);
        }
    }
    let largest = f32::from_bits(lanes.into_iter().max().unwrap_or(0));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut integers = [0; BLOCK];
    for (integer, x) in integers.iter_mut().zip(x) {
        // What is no number gives any byte.
        *integer = ((x * inverse + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i8 as i32;
    }
    (integers, largest / 127.0)
}

/// The sums over the inputs 0 and 1, and 2 and 3, of all groups of four.
#[inline(always)]
fn sums_of_pairs(integers: &[i32]) -> [i32; 2] {
    let mut lanes = [0; 8];
    for part in integers.as_chunks::<8>().0 {
        for (lane, q) in lanes.iter_mut().zip(part) {
            *lane += q;
        }
    }
    [lanes[0] + lanes[1] + lanes[4] + lanes[5], lanes[2] + lanes[3] + lanes[6] + lanes[7]]
}
