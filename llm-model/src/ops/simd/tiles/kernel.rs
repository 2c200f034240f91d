//! The product itself, written once for all processors and formats.
//!
//! For each output, blocks are added in their order along the width, each as `scale · Σ` with an exact integer Σ: the result of
//! a row and a token depends on nothing else, not on how many tokens are computed together, nor on the processor.

use half::{bf16, f16};

use super::{BLOCKS, Job, STEP_WORDS, Steps};
use crate::ops::memory::{LINE, prefetch};

/// What a processor does with f32, one for each row of a tile or of a part of it.
pub trait Lanes {
    /// The numbers.
    type F: Copy;
    /// How many: a divisor of 16.
    const ROWS: usize;

    /// # Safety
    /// That many f16 can be read.
    unsafe fn f16s(from: *const f16) -> Self::F;
    /// # Safety
    /// That many bf16 can be read.
    unsafe fn bf16s(from: *const bf16) -> Self::F;
    /// # Safety
    /// That many f32 can be read.
    unsafe fn f32s(from: *const f32) -> Self::F;
    /// The same number for each row.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn splat(x: f32) -> Self::F;
    /// x · y.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn mul(x: Self::F, y: Self::F) -> Self::F;
    /// x · y + z, rounded once.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn fma(x: Self::F, y: Self::F, z: Self::F) -> Self::F;
    /// # Safety
    /// That many f32 can be written.
    unsafe fn store(x: Self::F, to: *mut f32);
    /// Numbers of eight bits.
    ///
    /// # Safety
    /// That many bytes can be read.
    unsafe fn bytes(from: *const u8) -> Self::F;
    /// Numbers of eight bits with a sign.
    ///
    /// # Safety
    /// That many bytes can be read.
    unsafe fn signed_bytes(from: *const u8) -> Self::F;
    /// The low halves of bytes, and the high ones.
    ///
    /// # Safety
    /// That many bytes can be read.
    unsafe fn nibbles(from: *const u8) -> [Self::F; 2];
}

/// Groups of four inputs in a block.
pub const GROUPS: usize = 8;

/// How sums begin, so that the number that stands for 0 is taken off every weight.
#[derive(Clone, Copy)]
pub struct Correction {
    pub zero: i32,
    /// [`Tile::APART`].
    pub apart: bool,
}

impl Correction {
    /// For activations with these sums over the inputs 0 and 1, and 2 and 3, of each group. Where they are apart each has 16 bits of its own, so
    /// that what it ends with fits whatever happens on the way.
    #[inline(always)]
    pub fn of(self, sums: [i32; 2]) -> i32 {
        let [first, second] = [-self.zero * sums[0], -self.zero * sums[1]];
        if self.apart { first & 0xffff | second << 16 } else { first + second }
    }
}

/// How a processor multiplies tiles of some values with quantized activations.
pub trait Tile: Sized {
    type Lanes: Lanes;
    /// Sums of integer products of these rows over one part of a block.
    type Sums: Copy;
    /// Bits of a value, which are also the lines of 64 bytes of a block.
    const BITS: usize;
    /// Parts of a block that have sums, and perhaps factors, of their own.
    const PARTS: usize = 1;
    /// Groups that [`Tile::groups`] multiplies.
    const TOGETHER: usize = 2;
    /// Most tokens of a panel, 12 at most.
    const TOKENS: usize = 4;
    /// How activations lie in memory.
    const GROUP: Group;

    /// What is taken off every number before it is multiplied.
    const TAKEN: i32 = 0;
    /// Whether the sums over the inputs 0 and 1, and 2 and 3, of each group are apart, 16 bits each, instead of one of 32.
    const APART: bool = false;

    /// The sums of a part that begins, where [`Correction::of`] said so.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn start(correction: i32) -> Self::Sums;

    /// Adds the products of [`Tile::TOGETHER`] groups of a block, from `first` on, with their activations of `N` tokens, which follow each
    /// other group by group; the lines of the block begin with the words of these rows.
    ///
    /// # Safety
    /// The processor has the features; the lines, and the activations, can be read.
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [Self::Sums; N]);

    /// What multiplies blocks that were unpacked; it reads activations that were made for this.
    type Unpacked: Tile<Lanes = Self::Lanes>;

    /// Writes the numbers of a block as [`Tile::Unpacked`] reads them.
    ///
    /// # Safety
    /// The processor has the features; the lines can be read, and those of an unpacked block written.
    unsafe fn unpack(block: *const u8, to: *mut u8);

    /// The sums as f32.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn finish(sums: Self::Sums) -> <Self::Lanes as Lanes>::F;

    /// [`Job::run`] with the features of the processor, so that all that is inlined uses them.
    ///
    /// # Safety
    /// The processor has them, and `job.out` can be written.
    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { job.run::<Self>() }
    }
}

/// A field of a line: where four inputs of a group have bits of their values.
#[derive(Clone, Copy)]
pub struct Field {
    /// Bytes from the first line of the block.
    pub line: usize,
    /// Bits to the left that make them those of the value; to the right if it is negative.
    pub left: i32,
    /// What of a byte remains then.
    pub mask: i8,
}

impl Field {
    /// The lower bits of the values of `bits` bits of a group of four inputs, and the higher ones, where they lie apart.
    #[inline(always)]
    pub const fn of(bits: usize, group: usize) -> (Self, Option<Self>) {
        let low = if bits < 4 {
            2
        } else if bits < 8 {
            4
        } else {
            8
        };
        let first = Self::in_plane(0, 0, low, group);
        (first, if bits > low { Some(Self::in_plane(low, low, bits - low, group)) } else { None })
    }

    /// In a plane of `bits` bits, behind `lines` lines, whose first bit is bit `shift` of the value.
    #[inline(always)]
    const fn in_plane(lines: usize, shift: usize, bits: usize, group: usize) -> Self {
        let fields = 8 / bits;
        let left = shift as i32 - (group % fields * bits) as i32;
        Self { line: 64 * (lines + group / fields), left, mask: ((0xff >> (8 - bits)) << shift) as u8 as i8 }
    }
}

/// How the activations of a group of four inputs lie in memory: in words of four bytes, the first of all tokens before the second.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// In one: four bytes.
    Bytes,
    /// In two: the first and third in 16 bits each, then the second and fourth.
    Pairs,
}

impl Group {
    /// Words of a group.
    pub const fn words(self) -> usize {
        match self {
            Self::Bytes => 1,
            Self::Pairs => 2,
        }
    }
}

/// Sixteen rows of packed weights.
#[derive(Clone, Copy)]
pub struct Strip {
    /// Per block its lines, and after each superblock the steps of its blocks.
    pub values: *const u8,
    /// Per part of a block, or superblock, sixteen scales, and sixteen minima if there are any.
    pub factors: Factors,
    pub minima: bool,
    pub steps: Option<Steps>,
    pub blocks: usize,
    /// How far ahead values are asked for while these are multiplied, in bytes, unless it is 0.
    pub ahead: usize,
}

impl Strip {
    /// Where the lines of a block of `bits` bits begin.
    ///
    /// # Safety
    /// There is such a block.
    #[inline(always)]
    pub(super) unsafe fn block<const STEPS: bool>(self, bits: usize, block: usize) -> *const u8 {
        let steps = if STEPS { block / BLOCKS * 4 * STEP_WORDS } else { 0 };
        // SAFETY: as the caller promises.
        unsafe { self.values.add(64 * bits * block + steps) }
    }

    /// Scales and minima, zeros where there are none, of the rows from `row` on of a part of a block.
    ///
    /// # Safety
    /// There are such rows and such a block, and the processor has the features.
    #[inline(always)]
    pub(super) unsafe fn factors<T: Tile, const STEPS: bool>(self, block: usize, part: usize, row: usize) -> [Factor<T>; 2] {
        // SAFETY: as the caller promises.
        unsafe {
            let tile = if STEPS { block / BLOCKS } else { block * T::PARTS + part };
            let place = tile * 16 * (1 + usize::from(self.minima)) + row;
            let scale = self.factors.at::<T::Lanes>(place);
            let minimum = if self.minima { self.factors.at::<T::Lanes>(place + 16) } else { T::Lanes::splat(0.0) };
            let Some(steps) = self.steps.filter(|_| STEPS) else { return [scale, minimum] };
            let superblock = self.block::<true>(T::BITS, block / BLOCKS * BLOCKS);
            let behind = superblock.add(BLOCKS * 64 * T::BITS + block % BLOCKS * 32 + row);
            let [scales, minima] = match steps {
                Steps::Both => [T::Lanes::bytes(behind), T::Lanes::bytes(behind.add(16))],
                Steps::Halves => return [T::Lanes::mul(scale, T::Lanes::signed_bytes(behind.add(16 * part))), minimum],
                Steps::Nibbles => T::Lanes::nibbles(behind.add(16 * part)),
            };
            [T::Lanes::mul(scale, scales), T::Lanes::mul(minimum, minima)]
        }
    }
}

/// One factor for each row that a tile multiplies at once.
pub type Factor<T> = <<T as Tile>::Lanes as Lanes>::F;

/// Scales and minima.
#[derive(Clone, Copy)]
pub enum Factors {
    F16(*const f16),
    Bf16(*const bf16),
    F32(*const f32),
}

impl Factors {
    /// # Safety
    /// Sixteen factors can be read at `at`.
    #[inline(always)]
    unsafe fn at<L: Lanes>(self, at: usize) -> L::F {
        // SAFETY: as the caller promises.
        unsafe {
            match self {
                Self::F16(from) => L::f16s(from.add(at)),
                Self::Bf16(from) => L::bf16s(from.add(at)),
                Self::F32(from) => L::f32s(from.add(at)),
            }
        }
    }
}

/// The quantized activations of `N` tokens side by side.
#[derive(Clone, Copy)]
pub struct Panel {
    /// Per block, group, word and token the integers.
    pub values: *const u8,
    /// Per block and token the scale.
    pub scales: *const f32,
    /// Per part of a block and token what [`Correction::of`] says.
    pub corrections: *const i32,
    /// Per part of a block and token scale · Σ integers, read if there are minima.
    pub sums: *const f32,
}

/// Sixteen outputs of `N` tokens, `out[token · stride ..][..16]`, in as many passes as it takes.
///
/// # Safety
/// The processor has the features of `T`; strip and panel hold `strip.blocks` blocks; the outputs can be written.
#[inline(always)]
pub unsafe fn multiply<T: Tile, const N: usize>(strip: Strip, panel: Panel, out: *mut f32, stride: usize) {
    for row in (0..16).step_by(T::Lanes::ROWS) {
        // SAFETY: as the caller promises.
        unsafe {
            if strip.steps.is_some() {
                pass::<T, N, true>(strip, panel, row, out.add(row), stride);
            } else {
                pass::<T, N, false>(strip, panel, row, out.add(row), stride);
            }
        }
    }
}

/// The outputs of the rows from `row` on.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
unsafe fn pass<T: Tile, const N: usize, const STEPS: bool>(strip: Strip, panel: Panel, row: usize, out: *mut f32, stride: usize) {
    // SAFETY: every address lies within what the caller promises.
    unsafe {
        let mut acc = [T::Lanes::splat(0.0); N];
        let mut activations = panel.values;
        for block in 0..strip.blocks {
            let lines = strip.block::<STEPS>(T::BITS, block).add(4 * row);
            if row == 0 && strip.ahead > 0 {
                for line in 0..T::BITS {
                    prefetch(lines.wrapping_add(LINE * line + strip.ahead));
                }
            }
            for part in 0..T::PARTS {
                let at = (block * T::PARTS + part) * N;
                let mut sums = [T::start(0); N];
                for (token, sums) in sums.iter_mut().enumerate() {
                    *sums = T::start(*panel.corrections.add(at + token));
                }
                for step in 0..GROUPS / T::PARTS / T::TOGETHER {
                    T::groups::<N>(lines, part * GROUPS / T::PARTS + step * T::TOGETHER, activations, &mut sums);
                    activations = activations.add(4 * N * T::TOGETHER * T::GROUP.words());
                }
                let [scale, minimum] = strip.factors::<T, STEPS>(block, part, row);
                for token in 0..N {
                    let factor = T::Lanes::mul(scale, T::Lanes::splat(*panel.scales.add(block * N + token)));
                    acc[token] = T::Lanes::fma(T::finish(sums[token]), factor, acc[token]);
                }
                if strip.minima {
                    for (token, acc) in acc.iter_mut().enumerate() {
                        *acc = T::Lanes::fma(minimum, T::Lanes::splat(*panel.sums.add(at + token)), *acc);
                    }
                }
            }
        }
        for (token, acc) in acc.into_iter().enumerate() {
            T::Lanes::store(acc, out.add(token * stride));
        }
    }
}
