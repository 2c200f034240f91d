//! Dot products and scaled additions.

use half::{bf16, f16};

use super::{Floats, Level, level};

/// Σ a · b in f32.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dot_floats(a, Floats::F32(b))
}

/// Σ a · b with b widened in registers.
pub fn dot_floats(a: &[f32], b: Floats) -> f32 {
    dot_at(level(), a, b)
}

pub(super) fn dot_at(level: Level, a: &[f32], b: Floats) -> f32 {
    assert_eq!(a.len(), b.len());
    match level {
        // SAFETY: `level` was detected on this machine, and the lengths are equal.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe {
            match b {
                Floats::F32(b) => x86::dot_f32_avx512(a, b),
                Floats::F16(b) => x86::dot_f16_avx512(a, b),
                Floats::Bf16(b) => x86::dot_bf16_avx512(a, b),
            }
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe {
            match b {
                Floats::F32(b) => x86::dot_f32_avx2(a, b),
                Floats::F16(b) => x86::dot_f16_avx2(a, b),
                Floats::Bf16(b) => x86::dot_bf16_avx2(a, b),
            }
        },
        _ => match b {
            Floats::F32(b) => dot_scalar(a, b, |b| b),
            Floats::F16(b) => dot_scalar(a, b, f16::to_f32),
            Floats::Bf16(b) => dot_scalar(a, b, bf16::to_f32),
        },
    }
}

/// acc += factor · x with x widened in registers.
pub(super) fn add_scaled_at(level: Level, acc: &mut [f32], factor: f32, x: Floats) {
    assert_eq!(acc.len(), x.len());
    match level {
        // SAFETY: `level` was detected on this machine, and the lengths are equal.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe {
            match x {
                Floats::F32(x) => x86::add_f32_avx512(acc, factor, x),
                Floats::F16(x) => x86::add_f16_avx512(acc, factor, x),
                Floats::Bf16(x) => x86::add_bf16_avx512(acc, factor, x),
            }
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe {
            match x {
                Floats::F32(x) => x86::add_f32_avx2(acc, factor, x),
                Floats::F16(x) => x86::add_f16_avx2(acc, factor, x),
                Floats::Bf16(x) => x86::add_bf16_avx2(acc, factor, x),
            }
        },
        _ => match x {
            Floats::F32(x) => acc.iter_mut().zip(x).for_each(|(acc, x)| *acc += factor * x),
            Floats::F16(x) => acc.iter_mut().zip(x).for_each(|(acc, x)| *acc += factor * x.to_f32()),
            Floats::Bf16(x) => acc.iter_mut().zip(x).for_each(|(acc, x)| *acc += factor * x.to_f32()),
        },
    }
}

/// Sixteen partial sums, so that the compiler can use whatever vectors there are.
fn dot_scalar<T: Copy>(a: &[f32], b: &[T], widen: impl Fn(T) -> f32) -> f32 {
    let mut sums = [0.0f32; 16];
    let whole = a.len() / 16 * 16;
    for (a, b) in a[..whole].chunks_exact(16).zip(b[..whole].chunks_exact(16)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * widen(*b);
        }
    }
    let tail: f32 = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * widen(*b)).sum();
    sums.iter().sum::<f32>() + tail
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use half::{bf16, f16};

    /// A dot product with four accumulators and a scaled addition, for one register width and one float type.
    macro_rules! kernels {
        ($dot:ident, $add:ident, $type:ty, $features:literal, $lanes:literal, $load:expr, $loadu:ident, $storeu:ident,
         $set1:ident, $zero:ident, $fma:ident, $sum:ident, $vadd:ident) => {
            /// # Safety
            /// The processor has the features, and `b` is as long as `a`.
            #[target_feature(enable = $features)]
            pub unsafe fn $dot(a: &[f32], b: &[$type]) -> f32 {
                let mut sums = [$zero(); 4];
                let (mut i, n) = (0, a.len());
                // SAFETY: every load ends within both slices.
                unsafe {
                    while i + 4 * $lanes <= n {
                        for (lane, sum) in sums.iter_mut().enumerate() {
                            let at = i + lane * $lanes;
                            *sum = $fma($loadu(a.as_ptr().add(at)), ($load)(b.as_ptr().add(at)), *sum);
                        }
                        i += 4 * $lanes;
                    }
                    while i + $lanes <= n {
                        sums[0] = $fma($loadu(a.as_ptr().add(i)), ($load)(b.as_ptr().add(i)), sums[0]);
                        i += $lanes;
                    }
                }
                let total = $sum($vadd($vadd(sums[0], sums[1]), $vadd(sums[2], sums[3])));
                total + super::dot_scalar(&a[i..], &b[i..], f32::from)
            }

            /// # Safety
            /// The processor has the features, and `x` is as long as `acc`.
            #[target_feature(enable = $features)]
            pub unsafe fn $add(acc: &mut [f32], factor: f32, x: &[$type]) {
                let wide = $set1(factor);
                let (mut i, n) = (0, acc.len());
                // SAFETY: every load and store ends within both slices.
                unsafe {
                    while i + $lanes <= n {
                        let at = acc.as_mut_ptr().add(i);
                        $storeu(at, $fma(wide, ($load)(x.as_ptr().add(i)), $loadu(at)));
                        i += $lanes;
                    }
                }
                acc[i..].iter_mut().zip(&x[i..]).for_each(|(acc, x)| *acc += factor * f32::from(*x));
            }
        };
    }

    #[target_feature(enable = "avx,sse3")]
    fn sum256(v: __m256) -> f32 {
        let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
        let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
        _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)))
    }

    macro_rules! avx512 {
        ($dot:ident, $add:ident, $type:ty, $load:expr) => {
            kernels!(
                $dot,
                $add,
                $type,
                "avx512f,avx2,f16c",
                16,
                $load,
                _mm512_loadu_ps,
                _mm512_storeu_ps,
                _mm512_set1_ps,
                _mm512_setzero_ps,
                _mm512_fmadd_ps,
                _mm512_reduce_add_ps,
                _mm512_add_ps
            );
        };
    }
    macro_rules! avx2 {
        ($dot:ident, $add:ident, $type:ty, $load:expr) => {
            kernels!(
                $dot,
                $add,
                $type,
                "avx2,fma,f16c",
                8,
                $load,
                _mm256_loadu_ps,
                _mm256_storeu_ps,
                _mm256_set1_ps,
                _mm256_setzero_ps,
                _mm256_fmadd_ps,
                sum256,
                _mm256_add_ps
            );
        };
    }

    avx512!(dot_f32_avx512, add_f32_avx512, f32, _mm512_loadu_ps);
    avx512!(dot_f16_avx512, add_f16_avx512, f16, |p: *const f16| _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())));
    avx512!(dot_bf16_avx512, add_bf16_avx512, bf16, |p: *const bf16| {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast()))))
    });
    avx2!(dot_f32_avx2, add_f32_avx2, f32, _mm256_loadu_ps);
    avx2!(dot_f16_avx2, add_f16_avx2, f16, |p: *const f16| _mm256_cvtph_ps(_mm_loadu_si128(p.cast())));
    avx2!(dot_bf16_avx2, add_bf16_avx2, bf16, |p: *const bf16| {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()))))
    });
}

#[cfg(test)]
mod tests {
    use super::super::levels;
    use super::*;

    fn values(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 37 + seed * 11) % 64) as f32 / 16.0 - 2.0).collect()
    }

    #[test]
    fn every_level_and_type_gives_the_same_products() {
        for n in [0, 1, 7, 8, 16, 31, 64, 100, 129] {
            // Sixteenths below four: exact in every type and every order of summation.
            let (a, b) = (values(n, 1), values(n, 2));
            let halves: Vec<f16> = b.iter().map(|x| f16::from_f32(*x)).collect();
            let brains: Vec<bf16> = b.iter().map(|x| bf16::from_f32(*x)).collect();
            let want: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            for level in levels() {
                for b in [Floats::F32(&b), Floats::F16(&halves), Floats::Bf16(&brains)] {
                    assert_eq!(f64::from(dot_at(level, &a, b)), want, "{level:?} {n}");
                    let mut acc = a.clone();
                    add_scaled_at(level, &mut acc, 0.5, b);
                    let mut wide = vec![0.0; n];
                    b.widen(&mut wide);
                    assert!(acc.iter().zip(&a).zip(&wide).all(|((acc, a), b)| *acc == a + 0.5 * b), "{level:?} {n}");
                }
            }
        }
    }
}
