//! Activations as the tiles read them: integers of 8 bits with one scale for each token and block of 32 inputs.

use super::kernel::{Group, Panel};
use super::{BLOCK, Kernel};

/// 1.5 · 2²³: added to a number below 2²², it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Quantized activations, side by side in panels of as many tokens as a kernel takes at once.
pub struct Activations {
    kernel: Kernel,
    tokens: usize,
    blocks: usize,
    /// Tokens of every panel but the last, which may have fewer.
    panel: usize,
    values: Vec<u8>,
    scales: Vec<f32>,
    corrections: Vec<i32>,
    sums: Vec<f32>,
}

impl Activations {
    /// Quantizes `x`, rows of `width` numbers, for `kernel`; `zero` is the value of the weights that stands for 0.
    pub fn quantize(x: &[f32], width: usize, zero: i32, kernel: Kernel) -> Self {
        let (tokens, blocks) = (x.len() / width, width.div_ceil(BLOCK));
        let panel = tokens.div_ceil(tokens.div_ceil(kernel.tokens()).max(1)).max(1);
        let count = tokens * blocks;
        let mut all = Self {
            kernel,
            tokens,
            blocks,
            panel,
            values: vec![0; count * BLOCK / 4 * kernel.group().bytes()],
            scales: vec![0.0; count],
            corrections: vec![0; count],
            sums: vec![0.0; count],
        };
        all.fill(x, width, zero);
        all
    }

    fn fill(&mut self, x: &[f32], width: usize, zero: i32) {
        for (token, row) in x.chunks_exact(width).enumerate() {
            let first = token / self.panel * self.panel;
            let size = self.panel.min(self.tokens - first);
            for (block, x) in row.chunks(BLOCK).enumerate() {
                let mut padded = [0.0; BLOCK];
                padded[..x.len()].copy_from_slice(x);
                let (integers, scale) = quantize_block(&padded);
                let mut sums = [0; 2];
                integers.iter().enumerate().for_each(|(i, q)| sums[i / 2 % 2] += i32::from(*q));
                let place = first * self.blocks + block * size + token - first;
                self.scales[place] = scale;
                self.corrections[place] = self.kernel.correction(sums, zero);
                self.sums[place] = scale * (sums[0] + sums[1]) as f32;
                for (group, four) in integers.as_chunks::<4>().0.iter().enumerate() {
                    let place = first * self.blocks * 8 + (block * 8 + group) * size + token - first;
                    self.write(place, *four);
                }
            }
        }
    }

    fn write(&mut self, place: usize, [a, b, c, d]: [i8; 4]) {
        match self.kernel.group() {
            Group::Bytes => self.values[4 * place..][..4].copy_from_slice(&[a, b, c, d].map(|q| q as u8)),
            Group::Pairs => {
                let pairs = [a, c, b, d].map(|q| i16::from(q).to_ne_bytes());
                self.values[8 * place..][..8].copy_from_slice(pairs.as_flattened());
            }
        }
    }

    /// The kernel they were made for.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Blocks of a token.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The first token of each panel, and how many tokens it has.
    pub fn panels(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.tokens).step_by(self.panel).map(|first| (first, self.panel.min(self.tokens - first)))
    }

    /// The panel that begins with token `first`.
    pub fn panel(&self, first: usize) -> Panel {
        let at = first * self.blocks;
        Panel {
            values: self.values[at * 8 * self.kernel.group().bytes()..].as_ptr(),
            scales: self.scales[at..].as_ptr(),
            corrections: self.corrections[at..].as_ptr(),
            sums: self.sums[at..].as_ptr(),
        }
    }
}

/// Round to nearest with the scale that gives the largest number 127; a NaN or an infinity becomes the scale, so that no
/// output that it reaches looks like a number.
#[inline(always)]
fn quantize_block(x: &[f32; BLOCK]) -> ([i8; BLOCK], f32) {
    let largest = f32::from_bits(x.iter().map(|x| x.to_bits() & 0x7fff_ffff).max().unwrap_or(0));
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let integers = x.map(|x| ((x * inverse + ROUND).to_bits() as i32 - ROUND.to_bits() as i32) as i8);
    (integers, largest / 127.0)
}
