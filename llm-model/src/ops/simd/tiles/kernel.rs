//! The product itself, written once for all processors and formats.
//!
//! For each output, blocks are added in their order along the width, each as `scale · Σ` with an exact integer Σ: the result of
//! a row and a token depends on nothing else, not on how many tokens are computed together, nor on the processor.

use half::f16;

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
    /// Tells the processor that this line, if there is one, is read soon.
    ///
    /// # Safety
    /// The processor has the features.
    #[inline(always)]
    unsafe fn prefetch(_line: *const u8) {}
}

/// How far ahead weights are asked for that are read for one token only, in bytes.
const AHEAD: usize = 2048;

/// How a processor multiplies tiles of one format with quantized activations.
pub trait Tile {
    type Lanes: Lanes;
    /// Sums of integer products of these rows over one block.
    type Sums: Copy;
    /// Lines of 64 bytes in a tile.
    const LINES: usize;
    /// How the activations of four inputs lie in memory.
    const GROUP: Group;

    /// What [`Tile::start`] takes for activations with these sums over the inputs 0 and 1, and 2 and 3, of each group, where
    /// `zero` is to be taken off every weight.
    fn correction(sums: [i32; 2], zero: i32) -> i32 {
        -zero * (sums[0] + sums[1])
    }

    /// The sums of a block that begins.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn start(correction: i32) -> Self::Sums;

    /// Adds the products of these rows of a line with the activations of `N` tokens, which follow each other group by group.
    ///
    /// # Safety
    /// The processor has the features; a line, and the activations of it for `N` tokens, can be read.
    unsafe fn line<const N: usize>(line: *const u8, activations: *const u8, sums: &mut [Self::Sums; N]);

    /// The sums as f32.
    ///
    /// # Safety
    /// The processor has the features.
    unsafe fn finish(sums: Self::Sums) -> <Self::Lanes as Lanes>::F;
}

/// How the activations of four inputs lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Four bytes.
    Bytes,
    /// The first and third in 16 bits each, then the second and fourth.
    Pairs,
}

impl Group {
    /// Bytes of a group.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes => 4,
            Self::Pairs => 8,
        }
    }
}

/// Sixteen rows of packed weights.
#[derive(Clone, Copy)]
pub struct Strip {
    /// Per block its lines.
    pub values: *const u8,
    /// Per block sixteen scales, and sixteen minima if there are any.
    pub factors: Factors,
    pub minima: bool,
    pub blocks: usize,
}

/// Scales and minima.
#[derive(Clone, Copy)]
pub enum Factors {
    F16(*const f16),
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
                Self::F32(from) => L::f32s(from.add(at)),
            }
        }
    }
}

/// The quantized activations of `N` tokens side by side.
#[derive(Clone, Copy)]
pub struct Panel {
    /// Per block, group and token the integers.
    pub values: *const u8,
    /// Per block and token the scale.
    pub scales: *const f32,
    /// Per block and token what [`Tile::correction`] says.
    pub corrections: *const i32,
    /// Per block and token scale · Σ integers, read if there are minima.
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
        unsafe { pass::<T, N>(strip, panel, row, out.add(row), stride) }
    }
}

/// The outputs of the rows from `row` on.
///
/// # Safety
/// As [`multiply`].
#[inline(always)]
unsafe fn pass<T: Tile, const N: usize>(strip: Strip, panel: Panel, row: usize, out: *mut f32, stride: usize) {
    // SAFETY: every address lies within what the caller promises.
    unsafe {
        let mut acc = [T::Lanes::splat(0.0); N];
        let (mut values, mut activations) = (strip.values.add(4 * row), panel.values);
        for block in 0..strip.blocks {
            let corrections = panel.corrections.add(block * N);
            let mut sums = [T::start(0); N];
            for (token, sums) in sums.iter_mut().enumerate() {
                *sums = T::start(*corrections.add(token));
            }
            let end = values.add(64 * T::LINES);
            while values != end {
                if N == 1 {
                    T::Lanes::prefetch(values.wrapping_add(AHEAD));
                }
                T::line::<N>(values, activations, &mut sums);
                values = values.add(64);
                activations = activations.add(N * T::GROUP.bytes() * 8 / T::LINES);
            }
            let place = if strip.minima { 2 * block } else { block } * 16 + row;
            let scale = strip.factors.at::<T::Lanes>(place);
            for token in 0..N {
                let factor = T::Lanes::mul(scale, T::Lanes::splat(*panel.scales.add(block * N + token)));
                acc[token] = T::Lanes::fma(T::finish(sums[token]), factor, acc[token]);
            }
            if strip.minima {
                let minimum = strip.factors.at::<T::Lanes>(place + 16);
                for (token, acc) in acc.iter_mut().enumerate() {
                    *acc = T::Lanes::fma(minimum, T::Lanes::splat(*panel.sums.add(block * N + token)), *acc);
                }
            }
        }
        for (token, acc) in acc.into_iter().enumerate() {
            T::Lanes::store(acc, out.add(token * stride));
        }
    }
}
