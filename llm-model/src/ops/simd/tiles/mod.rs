//! Products with quantized weights in tiles of sixteen rows and 32 inputs.
//!
//! The layout is that of `quant::tiles`: a line of 64 bytes has four bytes for each of sixteen rows. So one 512-bit register of
//! weights meets one broadcast group of four activations, and two 256-bit or four 128-bit registers do the same for eight and
//! four rows each.

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod processor;
mod scalar;
mod steps;
mod table;
#[cfg(test)]
mod tests;
mod unpacked;

use std::mem::MaybeUninit;
use std::ops::Range;

pub use activations::Activations;
use kernel::{Factors, Strip, Tile, multiply};
pub use processor::Kernel;
pub use steps::{BLOCKS, Steps};
pub use table::Table;

use super::Floats;

/// Inputs that share a scale.
pub const BLOCK: usize = 32;
/// Rows of a strip.
pub const ROWS: usize = 16;
/// Words that hold the steps of a superblock.
const STEP_WORDS: usize = BLOCKS * 2 * ROWS / 4;
/// How far ahead weights are asked for that are read for one panel only, in bytes.
const AHEAD: usize = 6144;
/// Bytes of activations that stay in the cache beside the weights of a strip.
const RESIDENT: usize = 192 * 1024;

/// Packed weights of one matrix.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// Bits of a value: 2 to 6, or 8.
    pub bits: usize,
    /// The numbers that values stand for, where these are not the numbers themselves.
    pub table: Option<Table>,
    /// The number that stands for 0.
    pub zero: i32,
    /// Rows without padding.
    pub rows: usize,
    /// Blocks of a row.
    pub blocks: usize,
    /// `[strips, tiles, lines, 16]`.
    pub values: &'a [i32],
    /// Whether there is a minimum behind each scale.
    pub minima: bool,
    /// What the steps of a block mean, where tiles are superblocks.
    pub steps: Option<Steps>,
    /// `[strips, tiles, factors, 16]`, floats of any type.
    pub factors: Floats<'a>,
}

impl Packed<'_> {
    /// Strips of sixteen rows, the last perhaps padded.
    pub fn strips(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// What multiplies them on this machine.
    pub fn kernel(&self) -> Kernel {
        Kernel::best(self.bits, self.table, self.steps)
    }

    fn strip(&self, index: usize) -> Strip {
        let (words, count) = (self.words_of_strip(), self.factors_of_strip());
        Strip {
            values: self.values[index * words..][..words].as_ptr().cast(),
            factors: match self.factors.range(index * count, count) {
                Floats::F16(all) => Factors::F16(all.as_ptr()),
                Floats::Bf16(all) => Factors::Bf16(all.as_ptr()),
                Floats::F32(all) => Factors::F32(all.as_ptr()),
                Floats::I8(_) => unreachable!("factors are floats"),
            },
            minima: self.minima,
            steps: self.steps,
            blocks: self.blocks,
            ahead: 0,
        }
    }

    /// Blocks, or superblocks where there are steps.
    fn tiles(&self) -> usize {
        if self.steps.is_some() { self.blocks.div_ceil(BLOCKS) } else { self.blocks }
    }

    /// Words of [`Packed::values`] that a strip has.
    pub fn words_of_strip(&self) -> usize {
        let block = ROWS * BLOCK * self.bits / 32;
        self.tiles() * if self.steps.is_some() { BLOCKS * block + STEP_WORDS } else { block }
    }

    fn factors_of_strip(&self) -> usize {
        self.tiles() * ROWS * (1 + usize::from(self.minima))
    }

    fn check(&self) {
        assert_eq!(self.values.len(), self.strips() * self.words_of_strip(), "values of {} rows and {} blocks", self.rows, self.blocks);
        assert_eq!(self.factors.len(), self.strips() * self.factors_of_strip(), "factors of {} rows and {} blocks", self.rows, self.blocks);
    }
}

/// Where the products of some strips go: `out[token · stride + row]`.
#[derive(Clone, Copy)]
pub struct Target {
    /// The output of token 0 and row 0.
    pub start: *mut f32,
    /// From a token to the next.
    pub stride: usize,
}

/// The outputs of `strips` for all tokens, on the calling thread.
///
/// # Safety
/// The rows of `strips` of every token can be written in `out`, and nobody else touches them meanwhile.
pub unsafe fn product(packed: &Packed, strips: Range<usize>, x: &Activations, out: Target) {
    packed.check();
    assert!(strips.end <= packed.strips() && x.blocks() == packed.blocks, "strips {strips:?} of {} blocks", packed.blocks);
    let job = Job { packed, strips, x, out };
    // SAFETY: the kernel was found on this machine; the rest was checked, or is promised by the caller.
    unsafe { x.kernel().run(&job) }
}

/// The outputs of a strip with padding. With this on it the whole stack of a product is aligned: sums that find no register lie on lines
/// of their own, where else some would lie across two, or two pages, as the callers happen to leave the stack.
#[repr(align(64))]
struct Padded([MaybeUninit<f32>; 12 * ROWS]);

/// A product on one thread.
struct Job<'a> {
    packed: &'a Packed<'a>,
    strips: Range<usize>,
    x: &'a Activations,
    out: Target,
}

impl Job<'_> {
    /// As many panels at a time as stay in the cache; against these every strip.
    ///
    /// # Safety
    /// The processor has the features of `T`, and `out` can be written.
    #[inline(always)]
    unsafe fn run<T: Tile>(&self) {
        let panels = self.x.panels();
        let bytes = self.x.place(0).1 * self.x.blocks() * (BLOCK * T::GROUP.words() + 8);
        let together = (RESIDENT / bytes.max(1)).max(1);
        let mut memory = unpacked::Memory::default();
        for from in (0..panels).step_by(together) {
            let panels = from..(from + together).min(panels);
            let unpacks = panels.len() >= unpacked::panels(self.packed);
            for index in self.strips.clone() {
                let strip = self.packed.strip(index);
                // What is read for the first panel comes from memory, and those after it take their time.
                let next = if panels.len() == 1 { AHEAD } else { 4 * self.packed.words_of_strip() };
                // SAFETY: as the caller promises.
                unsafe {
                    if unpacks {
                        let strip = memory.unpack::<T>(Strip { ahead: next, ..strip });
                        for panel in panels.clone() {
                            self.panel::<T::Unpacked>(index, strip, panel);
                        }
                    } else {
                        for panel in panels.clone() {
                            let ahead = if panel == panels.start { next } else { 0 };
                            self.panel::<T>(index, Strip { ahead, ..strip }, panel);
                        }
                    }
                }
            }
        }
    }

    /// One strip and one panel.
    ///
    /// # Safety
    /// As [`Job::run`].
    #[inline(always)]
    unsafe fn panel<T: Tile>(&self, index: usize, strip: Strip, panel: usize) {
        let (first, tokens) = self.x.place(panel);
        let (panel, stride) = (self.x.panel::<T>(first), self.out.stride);
        let kept = ROWS.min(self.packed.rows - index * ROWS);
        let mut whole = Padded([const { MaybeUninit::uninit() }; 12 * ROWS]);
        // SAFETY: the strip's rows of these tokens can be written; a strip with padding goes through memory of its own.
        unsafe {
            let out = self.out.start.add(first * stride + index * ROWS);
            let (to, step) = if kept == ROWS { (out, stride) } else { (whole.0.as_mut_ptr().cast(), ROWS) };
            match tokens {
                1 => multiply::<T, 1>(strip, panel, to, step),
                2 => multiply::<T, 2>(strip, panel, to, step),
                3 => multiply::<T, 3>(strip, panel, to, step),
                4 => multiply::<T, 4>(strip, panel, to, step),
                5 if const { T::TOKENS >= 5 } => multiply::<T, 5>(strip, panel, to, step),
                6 if const { T::TOKENS >= 6 } => multiply::<T, 6>(strip, panel, to, step),
                7 if const { T::TOKENS >= 7 } => multiply::<T, 7>(strip, panel, to, step),
                8 if const { T::TOKENS >= 8 } => multiply::<T, 8>(strip, panel, to, step),
                9 if const { T::TOKENS >= 9 } => multiply::<T, 9>(strip, panel, to, step),
                10 if const { T::TOKENS >= 10 } => multiply::<T, 10>(strip, panel, to, step),
                11 if const { T::TOKENS >= 11 } => multiply::<T, 11>(strip, panel, to, step),
                12 if const { T::TOKENS >= 12 } => multiply::<T, 12>(strip, panel, to, step),
                _ => unreachable!("a panel of {} has at most {} tokens", T::BITS, T::TOKENS),
            }
            if kept < ROWS {
                for token in 0..tokens {
                    std::ptr::copy_nonoverlapping(whole.0.as_ptr().add(token * ROWS).cast(), out.add(token * stride), kept);
                }
            }
        }
    }
}
