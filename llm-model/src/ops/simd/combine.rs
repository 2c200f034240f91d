//! Weighted sums of rows: `out[t] += Σ weight[t, i] · row[i]`, in the order of the rows.

use half::{bf16, f16};

use super::vector::{Plain, Stored, Vector};
use super::{Floats, Level, level};

/// Adds the weighted sums of all `rows` to each row of `out`, `width` numbers each; `weights` are `stride` apart.
pub fn combine(out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: Floats) {
    combine_at(level(), out, width, weights, stride, rows);
}

pub(super) fn combine_at(level: Level, out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: Floats) {
    assert!(width > 0 && out.len().is_multiple_of(width) && rows.len().is_multiple_of(width), "rows of {width} numbers");
    let (outputs, count) = (out.len() / width, rows.len() / width);
    assert!(outputs == 0 || (outputs - 1) * stride + count <= weights.len(), "{count} weights for each of {outputs}");
    // SAFETY: `level` was detected on this machine; the sizes were checked.
    unsafe {
        match rows {
            Floats::F32(rows) => at_level(level, out, width, weights, stride, rows),
            Floats::F16(rows) => at_level::<f16>(level, out, width, weights, stride, rows),
            Floats::Bf16(rows) => at_level::<bf16>(level, out, width, weights, stride, rows),
            Floats::I8(rows) => at_level::<i8>(level, out, width, weights, stride, rows),
        }
    }
}

/// # Safety
/// The processor has `level`, and the arguments fit together.
unsafe fn at_level<W: Stored>(level: Level, out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: &[W]) {
    // SAFETY: as the caller promises.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => x86::avx512(out, width, weights, stride, rows),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => x86::avx2(out, width, weights, stride, rows),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => all::<super::vector::Neon, W>(out, width, weights, stride, rows),
            _ => all::<Plain, W>(out, width, weights, stride, rows),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::vector::{Avx2, Avx512, Stored};
    use super::all;

    /// # Safety
    /// The processor has the features, and the arguments fit together.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    pub unsafe fn avx512<W: Stored>(out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: &[W]) {
        // SAFETY: as the caller promises.
        unsafe { all::<Avx512, W>(out, width, weights, stride, rows) }
    }

    /// # Safety
    /// The processor has the features, and the arguments fit together.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub unsafe fn avx2<W: Stored>(out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: &[W]) {
        // SAFETY: as the caller promises.
        unsafe { all::<Avx2, W>(out, width, weights, stride, rows) }
    }
}

/// Four outputs and two registers of columns at a time; of what is left three outputs and four, or one and eight; the last columns one by one.
///
/// # Safety
/// The processor has the features of `V`, and the arguments fit together.
#[inline(always)]
unsafe fn all<V: Vector, W: Stored>(out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: &[W]) {
    let outputs = out.len() / width;
    // SAFETY: as the caller promises.
    unsafe {
        let mut output = 0;
        while output + 4 <= outputs {
            columns::<V, W, 4, 2>(&mut out[output * width..], width, &weights[output * stride..], stride, rows);
            output += 4;
        }
        if output + 3 == outputs {
            columns::<V, W, 3, 4>(&mut out[output * width..], width, &weights[output * stride..], stride, rows);
            output += 3;
        }
        while output < outputs {
            columns::<V, W, 1, 8>(&mut out[output * width..], width, &weights[output * stride..], stride, rows);
            output += 1;
        }
    }
}

/// # Safety
/// As [`all`], for the first `T` outputs.
#[inline(always)]
unsafe fn columns<V: Vector, W: Stored, const T: usize, const C: usize>(
    out: &mut [f32],
    width: usize,
    weights: &[f32],
    stride: usize,
    rows: &[W],
) {
    // SAFETY: as the caller promises; every tile ends within the width.
    unsafe {
        let mut column = 0;
        while column + C * V::LANES <= width {
            tile::<V, W, T, C>(out, width, weights, stride, rows, column);
            column += C * V::LANES;
        }
        while column + V::LANES <= width {
            tile::<V, W, T, 1>(out, width, weights, stride, rows, column);
            column += V::LANES;
        }
        if column < width {
            rest::<V, W>(&mut out[..T * width], width, weights, stride, rows, column);
        }
    }
}

/// # Safety
/// As [`all`], for `T` outputs and the `C` registers of columns from `column` on.
#[inline(always)]
unsafe fn tile<V: Vector, W: Stored, const T: usize, const C: usize>(
    out: &mut [f32],
    width: usize,
    weights: &[f32],
    stride: usize,
    rows: &[W],
    column: usize,
) {
    let out = out.as_mut_ptr();
    // SAFETY: as the caller promises.
    unsafe {
        let mut sums = [[V::splat(0.0); C]; T];
        for (t, sums) in sums.iter_mut().enumerate() {
            for (c, sum) in sums.iter_mut().enumerate() {
                *sum = V::f32s(out.add(t * width + column + c * V::LANES));
            }
        }
        for index in 0..rows.len() / width {
            let mut factors = [V::splat(0.0); T];
            for (t, factor) in factors.iter_mut().enumerate() {
                *factor = V::splat(*weights.as_ptr().add(t * stride + index));
            }
            for c in 0..C {
                let row = W::load::<V>(rows.as_ptr().add(index * width + column + c * V::LANES));
                for (sums, factor) in sums.iter_mut().zip(factors) {
                    sums[c] = V::fma_here(factor, row, sums[c]);
                }
            }
        }
        for (t, sums) in sums.into_iter().enumerate() {
            for (c, sum) in sums.into_iter().enumerate() {
                V::store(sum, out.add(t * width + column + c * V::LANES));
            }
        }
    }
}

/// The columns from `column` on, which do not fill a register.
///
/// # Safety
/// As [`all`].
#[inline(always)]
unsafe fn rest<V: Vector, W: Stored>(out: &mut [f32], width: usize, weights: &[f32], stride: usize, rows: &[W], column: usize) {
    let count = width - column;
    for (t, out) in out.chunks_exact_mut(width).enumerate() {
        // SAFETY: as the caller promises; only `count` numbers of a row are read.
        unsafe {
            let mut sum = f32::load_some::<V>(out.as_ptr().add(column), count);
            for (index, weight) in weights[t * stride..][..rows.len() / width].iter().enumerate() {
                sum = V::fma(V::splat(*weight), W::load_some::<V>(rows.as_ptr().add(index * width + column), count), sum);
            }
            let mut whole = [0.0; 16];
            V::store(sum, whole.as_mut_ptr());
            out[column..].copy_from_slice(&whole[..count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{levels, tests::Stored};
    use super::*;

    /// Outputs, width and rows.
    const SIZES: &[(usize, usize, usize)] =
        if cfg!(miri) { &[(1, 1, 1), (5, 31, 3)] } else { &[(1, 1, 1), (4, 8, 3), (5, 31, 17), (6, 64, 40), (9, 100, 2), (2, 172, 33)] };

    #[test]
    fn sums_are_exact_at_every_level_type_and_size() {
        for &(outputs, width, count) in SIZES {
            let (rows, weights) = (Stored::exact(count * width, 1), Stored::exact(outputs * (count + 2), 2).f32);
            let start = Stored::exact(outputs * width, 3).f32;
            let sum = |t: usize, c: usize| (0..count).map(|i| weights[t * (count + 2) + i] * rows.f32[i * width + c]).sum::<f32>();
            let expected: Vec<f32> = start.iter().enumerate().map(|(i, x)| x + sum(i / width, i % width)).collect();
            for level in levels() {
                for rows in rows.all() {
                    let mut out = start.clone();
                    combine_at(level, &mut out, width, &weights, count + 2, rows);
                    assert_eq!(out, expected, "{level:?} {outputs} x {width} x {count}");
                }
            }
        }
    }

    #[test]
    fn a_sum_has_the_same_bits_whatever_is_beside_it_and_in_pieces() {
        let (width, count) = if cfg!(miri) { (20, 9) } else { (100, 50) };
        let (first, second) = (count / 3, count - count / 3);
        let (rows, weights) = (Stored::random(count * width, 1), Stored::random(7 * count, 2).f32);
        for level in levels() {
            for rows in rows.all() {
                let mut all = vec![0.0; 7 * width];
                combine_at(level, &mut all, width, &weights, count, rows);
                for t in [0, 3, 6] {
                    let mut alone = vec![0.0; width];
                    combine_at(level, &mut alone, width, &weights[t * count..], count, rows.range(0, first * width));
                    combine_at(level, &mut alone, width, &weights[t * count + first..], count, rows.range(first * width, second * width));
                    assert_eq!(alone, all[t * width..][..width], "{level:?} {t}");
                }
            }
        }
    }
}
