//! Products of rows with rows: `out[t, r] = Σ x[t] · w[r]`.
//!
//! Each product has a register of partial sums of its own that takes the width in order, and is added up by one fixed tree: what a
//! product is does not depend on how many rows are computed beside it. A tile holds as many products as keep the processor busy
//! and as the registers hold; its sums are added up by transposing all of them together.

use half::{bf16, f16};

use super::vector::{Plain, Stored, Vector};
use super::{Floats, Level, level};
use crate::ops::memory::{LINE, prefetch};

/// Where products go: rows of `width` numbers, `stride` apart.
pub struct Target<'a> {
    start: *mut f32,
    width: usize,
    stride: usize,
    borrowed: std::marker::PhantomData<&'a mut [f32]>,
}

impl<'a> Target<'a> {
    /// All of `out`, rows of `width` numbers.
    pub fn rows(out: &'a mut [f32], width: usize) -> Self {
        Self { start: out.as_mut_ptr(), width, stride: width, borrowed: std::marker::PhantomData }
    }

    /// Columns of a matrix whose rows are `stride` apart.
    ///
    /// # Safety
    /// `width` numbers from `start + i · stride` on can be written for each row `i` of the product, for the lifetime of the result,
    /// and nobody else touches them.
    pub unsafe fn columns(start: *mut f32, width: usize, stride: usize) -> Self {
        Self { start, width, stride, borrowed: std::marker::PhantomData }
    }
}

/// Rows of `w` in a tile.
pub const ROWS: usize = 4;

/// The products of all rows of `x`, `width` numbers each, with all rows of `w`, on the calling thread. Meanwhile what lies `ahead`
/// bytes behind `w` is fetched, unless that is 0: where `w` is read once, memory idles between its lines. It is fetched line by line, which
/// memory does best, while a tile is read in [`ROWS`] places: so for `w` itself to be fetched, `ahead` is the bytes of as many rows.
pub fn products(x: &[f32], width: usize, w: Floats, ahead: isize, out: &mut Target) {
    products_at(level(), x, width, w, ahead, out);
}

pub(super) fn products_at(level: Level, x: &[f32], width: usize, w: Floats, ahead: isize, out: &mut Target) {
    assert!(width > 0 && x.len().is_multiple_of(width) && w.len() == width * out.width, "rows of {width} numbers");
    // SAFETY: `level` was detected on this machine; the sizes are those of the slices; `out` promises its own.
    unsafe {
        match w {
            Floats::F32(w) => at_level(level, x, width, w, ahead, out),
            Floats::F16(w) => at_level::<f16>(level, x, width, w, ahead, out),
            Floats::Bf16(w) => at_level::<bf16>(level, x, width, w, ahead, out),
            Floats::I8(w) => at_level::<i8>(level, x, width, w, ahead, out),
        }
    }
}

/// # Safety
/// The processor has `level`, and `x`, `w` and `out` fit together.
unsafe fn at_level<W: Stored>(level: Level, x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
    // SAFETY: as the caller promises.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86::avx512(x, width, w, ahead, out),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::avx2(x, width, w, ahead, out),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => tiles::<super::vector::Neon, W, 4>(x, width, w, ahead, out),
            _ => tiles::<Plain, W, 2>(x, width, w, ahead, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::vector::{Avx2, Avx512, Stored};
    use super::{Target, tiles};

    /// # Safety
    /// The processor has the features, and the arguments fit together.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub unsafe fn avx512<W: Stored>(x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
        // SAFETY: as the caller promises.
        unsafe { tiles::<Avx512, W, 4>(x, width, w, ahead, out) }
    }

    /// # Safety
    /// The processor has the features, and the arguments fit together.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn avx2<W: Stored>(x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
        // SAFETY: as the caller promises.
        unsafe { tiles::<Avx2, W, 3>(x, width, w, ahead, out) }
    }
}

/// Rows of `w` whose partial sums wait to be added up: while those of one tile were, the processor would have no room for the next.
const BLOCK: usize = 32;

/// Partial sums of up to four rows of `x` with a block of `w`.
type Sums<V> = [[<V as Vector>::F; BLOCK]; 4];

/// Tiles of up to `T` rows of `x`, where two of two are better than one of three and one of one. The first of them finds `w` in memory, the
/// others in the cache.
///
/// # Safety
/// The processor has the features of `V`, and the arguments fit together.
#[inline(always)]
unsafe fn tiles<V: Vector, W: Stored, const T: usize>(x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
    let tokens = x.len() / width;
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums: Sums<V> = [[V::splat(0.0); BLOCK]; 4];
        for row in (0..out.width).step_by(BLOCK) {
            let mut token = 0;
            while token < tokens {
                let left = tokens - token;
                let count = if left == T + 1 { left.div_ceil(2) } else { left.min(T) };
                let (place, ahead) = ([token, row], if token == 0 { ahead } else { 0 });
                match count {
                    4 if T >= 4 => block::<V, W, 4>(x, width, w, ahead, place, &mut sums, out),
                    3 if T >= 3 => block::<V, W, 3>(x, width, w, ahead, place, &mut sums, out),
                    2 => block::<V, W, 2>(x, width, w, ahead, place, &mut sums, out),
                    _ => block::<V, W, 1>(x, width, w, ahead, place, &mut sums, out),
                }
                token += count;
            }
        }
    }
}

/// The products of `T` rows of `x` from `token` on with a block of `w` from `row` on.
///
/// # Safety
/// As [`tiles`]; `T` is at most 4.
#[inline(always)]
unsafe fn block<V: Vector, W: Stored, const T: usize>(
    x: &[f32],
    width: usize,
    w: &[W],
    ahead: isize,
    [token, row]: [usize; 2],
    sums: &mut Sums<V>,
    out: &mut Target,
) {
    let rows = BLOCK.min(out.width - row);
    // SAFETY: as the caller promises; rows beyond the last are the last again.
    unsafe {
        let (x, w) = (x.as_ptr().add(token * width), w.as_ptr().add(row * width));
        for first in (0..rows).step_by(ROWS) {
            // Where all rows are there none is chosen, so that addresses follow each other by one addition.
            if first + ROWS > rows {
                tile::<V, W, T, false>(x, width, std::array::from_fn(|r| w.add((first + r).min(rows - 1) * width)), 0, first, sums);
            } else if ahead == 0 {
                tile::<V, W, T, false>(x, width, std::array::from_fn(|r| w.add((first + r) * width)), 0, first, sums);
            } else {
                tile::<V, W, T, true>(x, width, std::array::from_fn(|r| w.add((first + r) * width)), ahead, first, sums);
            }
        }
        for (t, sums) in sums[..T].iter().enumerate() {
            let out = out.start.add((token + t) * out.stride + row);
            for first in (0..rows).step_by(V::LANES) {
                let done = V::sums(&sums[first..first + V::LANES]);
                if first + V::LANES <= rows {
                    V::store(done, out.add(first));
                } else {
                    let mut some = [0.0; 16];
                    V::store(done, some.as_mut_ptr());
                    std::ptr::copy_nonoverlapping(some.as_ptr(), out.add(first), rows - first);
                }
            }
        }
    }
}

/// The partial sums of `T` rows of `x` with the rows at `w`, which become those from `first` on.
///
/// # Safety
/// As [`block`].
#[inline(always)]
unsafe fn tile<V: Vector, W: Stored, const T: usize, const AHEAD: bool>(
    x: *const f32,
    width: usize,
    w: [*const W; ROWS],
    ahead: isize,
    first: usize,
    sums: &mut Sums<V>,
) {
    // SAFETY: every load ends within a row.
    unsafe {
        let mut tile = [[V::splat(0.0); ROWS]; T];
        let mut at = 0;
        while at + V::LANES <= width {
            let mut tokens = [V::splat(0.0); T];
            for (t, tokens) in tokens.iter_mut().enumerate() {
                *tokens = V::f32s(x.add(t * width + at));
            }
            if AHEAD && (at * size_of::<W>()).is_multiple_of(LINE) {
                let lines = w[0].wrapping_add(ROWS * at).wrapping_byte_offset(ahead).cast::<u8>();
                (0..ROWS).for_each(|line| prefetch(lines.wrapping_add(line * LINE)));
            }
            for (r, w) in w.into_iter().enumerate() {
                let weights = W::load::<V>(w.add(at));
                for t in 0..T {
                    tile[t][r] = V::fma_here(tokens[t], weights, tile[t][r]);
                }
            }
            at += V::LANES;
        }
        if at < width {
            for (r, w) in w.into_iter().enumerate() {
                let weights = W::load_some::<V>(w.add(at), width - at);
                for (t, tile) in tile.iter_mut().enumerate() {
                    tile[r] = V::fma(f32::load_some::<V>(x.add(t * width + at), width - at), weights, tile[r]);
                }
            }
        }
        for (sums, tile) in sums.iter_mut().zip(tile) {
            sums[first..first + ROWS].copy_from_slice(&tile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{levels, tests::Stored};
    use super::*;

    /// Rows of `x`, width, and rows of `w`.
    const SIZES: &[(usize, usize, usize)] = if cfg!(miri) {
        &[(1, 1, 1), (2, 8, 5), (5, 19, 3)]
    } else {
        &[(1, 1, 1), (2, 8, 5), (3, 31, 17), (5, 64, 8), (9, 100, 3), (1, 172, 40), (4, 64, 70)]
    };

    /// The products as bits.
    fn bits(level: Level, x: &[f32], width: usize, w: Floats) -> Vec<u32> {
        let rows = w.len() / width;
        let [plain, fetched] = [0, 4096].map(|ahead| {
            let mut out = vec![f32::NAN; x.len() / width * rows];
            products_at(level, x, width, w, ahead, &mut Target::rows(&mut out, rows));
            out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        });
        assert_eq!(plain, fetched, "{level:?}");
        plain
    }

    #[test]
    fn products_are_exact_at_every_level_type_and_size() {
        for &(tokens, width, rows) in SIZES {
            let (x, w) = (Stored::exact(tokens * width, 1), Stored::exact(rows * width, 2));
            let product = |t: usize, r: usize| (0..width).map(|i| x.f32[t * width + i] * w.f32[r * width + i]).sum::<f32>();
            let expected: Vec<u32> = (0..tokens * rows).map(|i| product(i / rows, i % rows).to_bits()).collect();
            for level in levels() {
                for w in w.all() {
                    assert_eq!(bits(level, &x.f32, width, w), expected, "{level:?} {tokens} x {width} x {rows}");
                }
            }
        }
    }

    #[test]
    fn a_product_has_the_same_bits_whatever_is_beside_it() {
        let width = if cfg!(miri) { 20 } else { 172 };
        let (x, w) = (Stored::random(9 * width, 1), Stored::random(41 * width, 2));
        for level in levels() {
            for w in w.all() {
                let all = bits(level, &x.f32, width, w);
                for (t, r) in [(0, 0), (3, 40), (8, 7), (7, 16)] {
                    let alone = bits(level, &x.f32[t * width..][..width], width, w.range(r * width, width));
                    assert_eq!(alone, [all[t * 41 + r]], "{level:?} {t} {r}");
                }
            }
        }
    }
}
