//! Activations as the tiles read them: integers of 8 bits with one scale for each token and block of 32 inputs.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use super::kernel::{Correction, Group, Panel, Tile};
use super::{BLOCK, Kernel};
use crate::ops::threads;

/// Most panels that a thread takes at once.
const PANELS: usize = 4;

/// 1.5 · 2²³: added to a number below 2²², it leaves the nearest integer in the low bits.
pub const ROUND: f32 = 12_582_912.0;

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
        let (per_panel, parts, correction) = (panel * blocks, kernel.parts(), kernel.correction(zero));
        corrections.resize(count * parts, 0);
        sums.resize(count * parts, 0.0);
        let all = values.chunks_mut(per_panel * BLOCK * group.words()).zip(scales.chunks_mut(per_panel));
        let all = all.zip(corrections.chunks_mut(per_panel * parts)).zip(sums.chunks_mut(per_panel * parts));
        let panels = x.chunks(panel * width).zip(all.map(|(((values, scales), corrections), sums)| PanelMut {
            group,
            parts,
            correction,
            values,
            scales,
            corrections,
            sums,
        }));
        if tokens == 1 {
            panels.for_each(|(x, panel)| fill(x, width, panel));
        } else {
            let panels: Vec<_> = panels.map(|panel| Mutex::new(Some(panel))).collect();
            let count = panels.len().div_ceil(threads::count()).clamp(1, PANELS);
            threads::for_each(panels.len().div_ceil(count), |index| {
                for panel in &panels[index * count..((index + 1) * count).min(panels.len())] {
                    if let Some((x, panel)) = panel.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        fill(x, width, panel);
                    }
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
    /// Fills a panel with the tokens `x`, in rows of `width` numbers.
    fn fill(x: &[f32], width: usize, panel: PanelMut) {
        // SAFETY: processors that fuse have AVX2, if they are of x86-64.
        unsafe { if panel.parts == 1 { panel.fill::<1, FUSED>(x, width) } else { panel.fill::<2, FUSED>(x, width) } }
    }
}

/// A panel that is filled.
struct PanelMut<'a> {
    group: Group,
    parts: usize,
    correction: Correction,
    values: &'a mut [u8],
    scales: &'a mut [f32],
    corrections: &'a mut [i32],
    sums: &'a mut [f32],
}

impl PanelMut<'_> {
    /// # Safety
    /// As [`Quantized::of`].
    #[inline(always)]
    unsafe fn fill<const PARTS: usize, const SIMD: bool>(mut self, x: &[f32], width: usize) {
        let size = x.len() / width;
        for (token, row) in x.chunks_exact(width).enumerate() {
            let (blocks, rest) = row.as_chunks();
            for (block, x) in blocks.iter().enumerate() {
                // SAFETY: as the caller promises.
                self.put::<PARTS>(block, token, size, &unsafe { Quantized::of::<SIMD>(x) });
            }
            if !rest.is_empty() {
                let mut padded = [0.0; BLOCK];
                padded[..rest.len()].copy_from_slice(rest);
                // SAFETY: as the caller promises.
                self.put::<PARTS>(blocks.len(), token, size, &unsafe { Quantized::of::<SIMD>(&padded) });
            }
        }
    }

    /// What a block of a token became, in a panel of `size` tokens.
    #[inline(always)]
    fn put<const PARTS: usize>(&mut self, block: usize, token: usize, size: usize, done: &Quantized) {
        let scale = done.largest / 127.0;
        self.scales[block * size + token] = scale;
        let [first, second] = done.pairs;
        let parts = if PARTS == 1 { [[first[0] + second[0], first[1] + second[1]], second] } else { [first, second] };
        for (part, pairs) in parts[..PARTS].iter().enumerate() {
            let place = (block * PARTS + part) * size + token;
            self.corrections[place] = self.correction.of(*pairs);
            self.sums[place] = scale * (pairs[0] + pairs[1]) as f32;
        }
        let values = &mut self.values[4 * (block * size * BLOCK / 4 * self.group.words() + token)..];
        match self.group {
            Group::Bytes => put(&done.integers, values, size),
            Group::Pairs => put(in_pairs(&done.integers).as_flattened(), values, size),
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
fn in_pairs(integers: &[u8; BLOCK]) -> [[u8; 4]; BLOCK / 2] {
    let mut pairs = [[0; 4]; BLOCK / 2];
    for (pairs, four) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(integers.as_chunks::<4>().0) {
        for (place, pair) in pairs.iter_mut().enumerate() {
            let [even, odd] = [four[place], four[place + 2]].map(|byte| i32::from(byte.cast_signed()));
            *pair = (even & 0xffff | odd << 16).to_ne_bytes();
        }
    }
    pairs
}

/// The activations of a block as integers.
pub struct Quantized {
    /// With a sign, as bytes.
    pub integers: [u8; BLOCK],
    /// For each half of the block, the sums over the inputs 0 and 1, and 2 and 3, of all groups of four.
    pub pairs: [[i32; 2]; 2],
    /// The largest magnitude, which became 127. A NaN or an infinity is the largest, so that no output that it reaches looks like a number.
    pub largest: f32,
}

impl Quantized {
    /// Rounded to nearest.
    ///
    /// # Safety
    /// With `SIMD`, a processor of x86-64 has AVX2.
    #[inline(always)]
    unsafe fn of<const SIMD: bool>(x: &[f32; BLOCK]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if SIMD {
            // SAFETY: as the caller promises.
            return unsafe { super::avx2::quantize(x) };
        }
        Self::plain(x)
    }

    #[inline(always)]
    fn plain(x: &[f32; BLOCK]) -> Self {
        // As integers, magnitudes have the order that they have as floats, and NaN is above all.
        let mut lanes = [0; 8];
        for part in x.as_chunks::<8>().0 {
            for (lane, x) in lanes.iter_mut().zip(part) {
                *lane = (x.to_bits() & 0x7fff_ffff).max(*lane);
            }
        }
        let largest = f32::from_bits(lanes.into_iter().max().unwrap_or(0));
        let (mut integers, mut pairs, inverse) = ([0; BLOCK], [[0; 2]; 2], inverse(largest));
        // What is no number gives any byte.
        integers.iter_mut().zip(x).for_each(|(integer, x)| *integer = (x * inverse + ROUND).to_bits() as u8);
        for (pairs, half) in pairs.iter_mut().zip(integers.as_chunks::<{ BLOCK / 2 }>().0) {
            let mut lanes = [0; 4];
            for four in half.as_chunks::<4>().0 {
                lanes.iter_mut().zip(four).for_each(|(lane, integer)| *lane += i32::from(integer.cast_signed()));
            }
            *pairs = [lanes[0] + lanes[1], lanes[2] + lanes[3]];
        }
        Self { integers, pairs, largest }
    }
}

/// By what activations are multiplied of which this is the largest.
#[inline(always)]
pub fn inverse(largest: f32) -> f32 {
    if largest > 0.0 { 127.0 / largest } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn avx2_gives_the_same_as_plain_code() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let mut next = super::super::tests::random(5);
        let mut blocks: Vec<[f32; BLOCK]> = (0..64).map(|_| std::array::from_fn(|_| (next() % 20_001) as f32 / 1000.0 - 10.0)).collect();
        let mut strange = [0.0; BLOCK];
        blocks.push(strange);
        for (place, x) in [f32::NAN, f32::INFINITY, -3e38, 1e-45, -0.0, f32::MIN_POSITIVE].into_iter().enumerate() {
            strange[5 * place] = x;
            blocks.push(strange);
            blocks.push([x; BLOCK]);
        }
        for x in &blocks {
            // SAFETY: there is AVX2.
            let [plain, simd] =
                [Quantized::plain(x), unsafe { Quantized::of::<true>(x) }].map(|q| (q.integers, q.pairs, q.largest.to_bits()));
            assert_eq!(plain, simd, "{x:?}");
        }
    }
}
