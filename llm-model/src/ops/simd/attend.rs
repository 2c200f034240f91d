//! What attention does with the keys and values of one head: scores, their softmax, weighted sums.

use half::f16;

use super::dot::{add_scaled_at, dot_at};
use super::{Floats, Level, level};

/// `scores[i]` = Σ q · key i, for keys one after the other.
pub fn scores(q: &[f32], keys: Floats, scores: &mut [f32]) {
    scores_at(level(), q, keys, scores);
}

fn scores_at(level: Level, q: &[f32], keys: Floats, scores: &mut [f32]) {
    assert_eq!(keys.len(), scores.len() * q.len());
    match (level, keys) {
        // SAFETY: `level` was detected on this machine, and there is a key for each score.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Floats::F32(keys)) => unsafe { x86::scores_f32(q, keys, scores) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Floats::F16(keys)) => unsafe { x86::scores_f16(q, keys, scores) },
        _ => scores.iter_mut().enumerate().for_each(|(i, score)| *score = dot_at(level, q, keys.range(i * q.len(), q.len()))),
    }
}

/// `acc` += Σ `weights[i]` · row i, for rows one after the other.
pub fn weighted_sum(acc: &mut [f32], weights: &[f32], rows: Floats) {
    weighted_sum_at(level(), acc, weights, rows);
}

fn weighted_sum_at(level: Level, acc: &mut [f32], weights: &[f32], rows: Floats) {
    assert_eq!(rows.len(), weights.len() * acc.len());
    match (level, rows) {
        // SAFETY: `level` was detected on this machine, and there is a row for each weight.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Floats::F32(rows)) => unsafe { x86::weighted_sum_f32(acc, weights, rows) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, Floats::F16(rows)) => unsafe { x86::weighted_sum_f16(acc, weights, rows) },
        _ => {
            let width = acc.len();
            weights.iter().enumerate().for_each(|(i, weight)| add_scaled_at(level, acc, *weight, rows.range(i * width, width)));
        }
    }
}

/// The softmax of `x` without its division: each number becomes e^(x − max); returns max and Σ.
pub fn exp_sum(x: &mut [f32]) -> (f32, f32) {
    match level() {
        // SAFETY: the level was detected on this machine.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::exp_sum_avx512(x) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::exp_sum_avx2(x) },
        _ => exp_sum_lanes(x),
    }
}

/// Sixteen lanes, so that the compiler can use whatever vectors there are; the order of summation is the same at every level.
#[inline(always)]
fn exp_sum_lanes(x: &mut [f32]) -> (f32, f32) {
    let mut maxima = [f32::NEG_INFINITY; 16];
    let (blocks, tail) = x.as_chunks::<16>();
    for block in blocks {
        maxima.iter_mut().zip(block).for_each(|(max, x)| *max = if *x > *max { *x } else { *max });
    }
    let max = maxima.iter().chain(tail).copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0f32; 16];
    let (blocks, tail) = x.as_chunks_mut::<16>();
    for block in blocks {
        for (sum, x) in sums.iter_mut().zip(block) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    tail.iter_mut().for_each(|x| *x = exp(*x - max));
    (max, sums.iter().sum::<f32>() + tail.iter().sum::<f32>())
}

/// e^x for finite x by range reduction and a polynomial, within 2 units in the last place; written for vectors.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the remainder keeps all its bits.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    e * f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::f16;

    /// # Safety
    /// The processor has the features.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    pub unsafe fn exp_sum_avx512(x: &mut [f32]) -> (f32, f32) {
        super::exp_sum_lanes(x)
    }

    /// # Safety
    /// The processor has the features.
    #[target_feature(enable = "avx2")]
    pub unsafe fn exp_sum_avx2(x: &mut [f32]) -> (f32, f32) {
        super::exp_sum_lanes(x)
    }

    /// The sums of sixteen registers, one in each lane.
    #[target_feature(enable = "avx512f")]
    fn sums_of(a: [__m512; 16]) -> __m512 {
        // Lanes of four: pairs of registers, then pairs of pairs.
        let pair = |x, y| _mm512_add_ps(_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y));
        let quad = |x, y| {
            let (x, y) = (_mm512_castps_pd(x), _mm512_castps_pd(y));
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)))
        };
        let fours = |at: usize| quad(pair(a[at], a[at + 1]), pair(a[at + 2], a[at + 3]));
        // Then the four lanes of each.
        let across = |x, y| _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(x, y), _mm512_shuffle_f32x4::<0xdd>(x, y));
        across(across(fours(0), fours(4)), across(fours(8), fours(12)))
    }

    /// Lanes `0..count` of sixteen.
    fn first(count: usize) -> u16 {
        ((1u32 << count.min(16)) - 1) as u16
    }

    macro_rules! kernels {
        ($scores:ident, $weighted_sum:ident, $type:ty, $load:expr, $load_masked:expr) => {
            /// # Safety
            /// The processor has the features, and there is a key for each score.
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,f16c")]
            pub unsafe fn $scores(q: &[f32], keys: &[$type], scores: &mut [f32]) {
                let dim = q.len();
                let whole = dim / 16 * 16;
                let rest = first(dim - whole);
                for (block, scores) in scores.chunks_mut(16).enumerate() {
                    // A block that is not full reads its last key again.
                    let row = |i: usize| keys.as_ptr().wrapping_add((block * 16 + i.min(scores.len() - 1)) * dim);
                    let mut sums = [_mm512_setzero_ps(); 16];
                    // SAFETY: every load ends within its key or query, masked where these end.
                    unsafe {
                        for at in (0..whole).step_by(16) {
                            let q = _mm512_loadu_ps(q.as_ptr().add(at));
                            for (i, sum) in sums.iter_mut().enumerate() {
                                *sum = _mm512_fmadd_ps(q, ($load)(row(i).add(at)), *sum);
                            }
                        }
                        if rest != 0 {
                            let q = _mm512_maskz_loadu_ps(rest, q.as_ptr().add(whole));
                            for (i, sum) in sums.iter_mut().enumerate() {
                                *sum = _mm512_fmadd_ps(q, ($load_masked)(rest, row(i).add(whole)), *sum);
                            }
                        }
                        _mm512_mask_storeu_ps(scores.as_mut_ptr(), first(scores.len()), sums_of(sums));
                    }
                }
            }

            /// # Safety
            /// The processor has the features, and there is a row for each weight.
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,f16c")]
            pub unsafe fn $weighted_sum(acc: &mut [f32], weights: &[f32], rows: &[$type]) {
                let width = acc.len();
                for from in (0..width).step_by(64) {
                    let masks: [u16; 4] = std::array::from_fn(|i| first((width - from).saturating_sub(16 * i)));
                    // Even and odd rows apart: eight independent chains.
                    let (mut even, mut odd) = ([_mm512_setzero_ps(); 4], [_mm512_setzero_ps(); 4]);
                    // SAFETY: every load and store ends within its row, masked where that ends.
                    unsafe {
                        let add = |sums: &mut [__m512; 4], i: usize| {
                            let weight = _mm512_set1_ps(weights[i]);
                            let row = rows.as_ptr().wrapping_add(i * width + from);
                            for (lane, sum) in sums.iter_mut().enumerate() {
                                *sum = _mm512_fmadd_ps(weight, ($load_masked)(masks[lane], row.wrapping_add(16 * lane)), *sum);
                            }
                        };
                        let mut i = 0;
                        while i + 2 <= weights.len() {
                            add(&mut even, i);
                            add(&mut odd, i + 1);
                            i += 2;
                        }
                        if i < weights.len() {
                            add(&mut even, i);
                        }
                        for lane in 0..4 {
                            let at = acc.as_mut_ptr().wrapping_add(from + 16 * lane);
                            let sum = _mm512_add_ps(even[lane], odd[lane]);
                            _mm512_mask_storeu_ps(at, masks[lane], _mm512_add_ps(_mm512_maskz_loadu_ps(masks[lane], at), sum));
                        }
                    }
                }
            }
        };
    }

    kernels!(scores_f32, weighted_sum_f32, f32, |p: *const f32| _mm512_loadu_ps(p), |mask: u16, p: *const f32| _mm512_maskz_loadu_ps(
        mask, p
    ));
    kernels!(
        scores_f16,
        weighted_sum_f16,
        f16,
        |p: *const f16| _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())),
        |mask: u16, p: *const f16| _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p.cast()))
    );
}

#[cfg(test)]
mod tests {
    use super::super::levels;
    use super::*;

    /// Sixteenths below two: exact in every type and every order of summation.
    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 64) as f32 / 16.0 - 2.0).collect()
    }

    #[test]
    fn scores_and_sums_are_exact_at_every_level_and_size() {
        for (dim, count) in [(1, 1), (8, 5), (10, 16), (16, 17), (24, 3), (64, 40), (72, 33), (128, 1), (172, 20)] {
            let (q, rows) = (values(dim, 1), values(dim * count, 2));
            let halves: Vec<f16> = rows.iter().map(|x| f16::from_f32(*x)).collect();
            let want: Vec<f32> = rows.chunks(dim).map(|row| row.iter().zip(&q).map(|(a, b)| a * b).sum()).collect();
            let weights = values(count, 3);
            let mut sum = values(dim, 4);
            for (row, weight) in rows.chunks(dim).zip(&weights) {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * x);
            }
            for level in levels() {
                for rows in [Floats::F32(&rows), Floats::F16(&halves)] {
                    let mut got = vec![0.0; count];
                    scores_at(level, &q, rows, &mut got);
                    assert_eq!(got, want, "{level:?} {dim} {count}");
                    let mut acc = values(dim, 4);
                    weighted_sum_at(level, &mut acc, &weights, rows);
                    assert_eq!(acc, sum, "{level:?} {dim} {count}");
                }
            }
        }
    }

    #[test]
    fn the_softmax_of_every_level_is_the_same() {
        for n in [1, 15, 16, 17, 100] {
            let x = values(n, 5);
            let (mut fast, mut slow) = (x.clone(), x.clone());
            assert_eq!(exp_sum(&mut fast), exp_sum_lanes(&mut slow));
            assert_eq!(fast, slow);
            let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(fast.iter().zip(&x).all(|(e, x)| (e - (x - max).exp()).abs() < 1e-6));
        }
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 2.4e-7 * want, "{x}: {} {want}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
    }
}
