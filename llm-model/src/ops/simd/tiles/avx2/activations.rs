//! The activations of a block as integers: of the plain form compilers make a third of the speed.

use std::arch::x86_64::*;

use super::super::BLOCK;
use super::super::activations::{Quantized, ROUND, inverse};

/// As [`Quantized::plain`].
#[inline]
#[target_feature(enable = "avx2")]
pub fn quantize(x: &[f32; BLOCK]) -> Quantized {
    let x = x.as_chunks::<8>().0;
    let mut largest = _mm256_setzero_si256();
    for x in x {
        // SAFETY: eight numbers are read.
        let x = unsafe { _mm256_loadu_si256(x.as_ptr().cast()) };
        largest = _mm256_max_epu32(largest, _mm256_and_si256(x, _mm256_set1_epi32(0x7fff_ffff)));
    }
    let four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256::<1>(largest));
    let two = _mm_max_epu32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    let one = _mm_max_epu32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two));
    let largest = f32::from_bits(_mm_cvtsi128_si32(one).cast_unsigned());

    let inverse = _mm256_set1_ps(inverse(largest));
    let mut integers = [_mm256_setzero_si256(); 4];
    for (integers, x) in integers.iter_mut().zip(x) {
        // SAFETY: eight numbers are read.
        let x = unsafe { _mm256_loadu_ps(x.as_ptr()) };
        let bits = _mm256_castps_si256(_mm256_add_ps(_mm256_mul_ps(x, inverse), _mm256_set1_ps(ROUND)));
        *integers = _mm256_srai_epi32::<24>(_mm256_slli_epi32::<24>(bits));
    }
    let [a, b, c, d] = integers;
    // Pairs of the first half, and of the second, in the lower four lanes and in the upper ones.
    let pairs = _mm256_hadd_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
    let pairs = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
    // Packing takes four of the lower lanes, then four of the upper ones.
    let bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));

    let mut done = Quantized { integers: [0; BLOCK], pairs: [[0; 2]; 2], largest };
    // SAFETY: 32 bytes and four integers are written.
    unsafe {
        _mm256_storeu_si256(done.integers.as_mut_ptr().cast(), bytes);
        _mm_storeu_si128(done.pairs.as_mut_ptr().cast(), pairs);
    }
    done
}
