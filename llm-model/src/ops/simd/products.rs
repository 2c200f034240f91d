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

/// The products of all rows of `x`, `width` numbers each, with all rows of `w`, on the calling thread. Meanwhile what lies `ahead`
/// bytes behind `w` is fetched, unless that is 0: where `w` is read once, memory idles between its lines.
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
            Level::Neon => all::<super::vector::Neon, W, 8, 4>(x, width, w, ahead, out),
            _ => all::<Plain, W, 8, 2>(x, width, w, ahead, out),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::vector::{Avx2, Avx512, Stored};
    use super::{Target, all};

    /// # Safety
    /// The processor has the features, and the arguments fit together.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub unsafe fn avx512<W: Stored>(x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
        // SAFETY: as the caller promises.
        unsafe { all::<Avx512, W, 16, 4>(x, width, w, ahead, out) }
    }

    /// # Safety
    /// The processor has the features, and the arguments fit together.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn avx2<W: Stored>(x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
        // SAFETY: as the caller promises.
        unsafe {
            // What is widened needs a register more.
            if size_of::<W>() == 4 { all::<Avx2, W, 8, 3>(x, width, w, ahead, out) } else { all::<Avx2, W, 8, 2>(x, width, w, ahead, out) }
        }
    }
}

/// [`tiles`], with or without what is fetched meanwhile.
///
/// # Safety
/// The processor has the features of `V`, and the arguments fit together.
#[inline(always)]
unsafe fn all<V: Vector, W: Stored, const FEW: usize, const T: usize>(x: &[f32], width: usize, w: &[W], ahead: isize, out: &mut Target) {
    // SAFETY: as the caller promises.
    unsafe {
        if ahead == 0 {
            tiles::<V, W, FEW, T, false>(x, width, w, 0, out);
        } else {
            tiles::<V, W, FEW, T, true>(x, width, w, ahead, out);
        }
    }
}

/// Tiles of up to `T` rows of `x` and four of `w`, where two of two are better than one of three and one of one. One row alone takes `FEW` of
/// `w` at once, and three two where four would be too many.
///
/// # Safety
/// As [`all`].
#[inline(always)]
unsafe fn tiles<V: Vector, W: Stored, const FEW: usize, const T: usize, const AHEAD: bool>(
    x: &[f32],
    width: usize,
    w: &[W],
    ahead: isize,
    out: &mut Target,
) {
    let tokens = x.len() / width;
    // SAFETY: as the caller promises.
    unsafe {
        match tokens {
            1 => (0..out.width).step_by(FEW).for_each(|row| tile::<V, W, 1, FEW, AHEAD>(x, width, w, ahead, [0, row], out)),
            3 if T < 3 => (0..out.width).step_by(2).for_each(|row| tile::<V, W, 3, 2, AHEAD>(x, width, w, ahead, [0, row], out)),
            _ => {
                for row in (0..out.width).step_by(4) {
                    let mut token = 0;
                    while token < tokens {
                        let left = tokens - token;
                        let count = if left == T + 1 { left.div_ceil(2) } else { left.min(T) };
                        match count {
                            4 if T >= 4 => tile::<V, W, 4, 4, AHEAD>(x, width, w, ahead, [token, row], out),
                            3 if T >= 3 => tile::<V, W, 3, 4, AHEAD>(x, width, w, ahead, [token, row], out),
                            2 => tile::<V, W, 2, 4, AHEAD>(x, width, w, ahead, [token, row], out),
                            _ => tile::<V, W, 1, 4, AHEAD>(x, width, w, ahead, [token, row], out),
                        }
                        token += count;
                    }
                }
            }
        }
    }
}

/// The products of `T` rows of `x` from `token` on with `R` rows of `w` from `row` on, or as many as there are.
///
/// # Safety
/// As [`all`]; `T · R` is at most 16, and so are the lanes.
#[inline(always)]
unsafe fn tile<V: Vector, W: Stored, const T: usize, const R: usize, const AHEAD: bool>(
    x: &[f32],
    width: usize,
    w: &[W],
    ahead: isize,
    [token, row]: [usize; 2],
    out: &mut Target,
) {
    let kept = R.min(out.width - row);
    // SAFETY: every load ends within a row, and the products within their target; rows beyond the last are the last again.
    unsafe {
        let mut from = [w.as_ptr(); R];
        // Without the choice of a row where there are all, addresses follow each other by one addition.
        for (r, from) in from.iter_mut().enumerate() {
            *from = from.add((row + if kept == R { r } else { r.min(kept - 1) }) * width);
        }
        let x = x.as_ptr().add(token * width);
        let mut sums = [V::splat(0.0); 16];
        let mut at = 0;
        while at + V::LANES <= width {
            let mut tokens = [V::splat(0.0); T];
            for (t, tokens) in tokens.iter_mut().enumerate() {
                *tokens = V::f32s(x.add(t * width + at));
            }
            for r in 0..R {
                if AHEAD && (at * size_of::<W>()).is_multiple_of(LINE) {
                    prefetch(from[r].wrapping_add(at).wrapping_byte_offset(ahead).cast());
                }
                let weights = W::load::<V>(from[r].add(at));
                for t in 0..T {
                    sums[t * R + r] = V::fma(tokens[t], weights, sums[t * R + r]);
                }
            }
            at += V::LANES;
        }
        if at < width {
            for r in 0..R {
                let weights = W::load_some::<V>(from[r].add(at), width - at);
                for t in 0..T {
                    sums[t * R + r] = V::fma(f32::load_some::<V>(x.add(t * width + at), width - at), weights, sums[t * R + r]);
                }
            }
        }
        let mut done = [0.0; 16];
        for first in (0..T * R).step_by(V::LANES) {
            V::store(V::sums(&sums[first..first + V::LANES]), done.as_mut_ptr().add(first));
        }
        for t in 0..T {
            let to = out.start.add((token + t) * out.stride + row);
            if kept == R {
                to.cast::<[f32; R]>().write_unaligned(*done.as_ptr().add(t * R).cast::<[f32; R]>());
            } else {
                std::ptr::copy_nonoverlapping(done.as_ptr().add(t * R), to, kept);
            }
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
        &[(1, 1, 1), (2, 8, 5), (3, 31, 17), (5, 64, 8), (9, 100, 3), (1, 172, 40)]
    };

    /// The products as bits.
    fn bits(level: Level, x: &[f32], width: usize, w: Floats) -> Vec<u32> {
        let rows = w.len() / width;
        let mut out = vec![f32::NAN; x.len() / width * rows];
        products_at(level, x, width, w, 0, &mut Target::rows(&mut out, rows));
        out.iter().map(|x| x.to_bits()).collect()
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
