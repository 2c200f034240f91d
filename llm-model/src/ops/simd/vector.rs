//! Registers of f32, so that a kernel is written once for every processor.
//!
//! All methods are unsafe for the same reason: the processor must have the features of the implementation, and addresses must be
//! readable or writable for [`Vector::LANES`] numbers. They are inlined into functions that enable the features.

use half::{bf16, f16};

/// Numbers that are computed with at once.
pub trait Vector: Copy {
    /// The register.
    type F: Copy;
    /// How many numbers it holds.
    const LANES: usize;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn f32s(from: *const f32) -> Self::F;
    unsafe fn f16s(from: *const f16) -> Self::F;
    unsafe fn bf16s(from: *const bf16) -> Self::F;
    unsafe fn i8s(from: *const i8) -> Self::F;
    unsafe fn store(x: Self::F, to: *mut f32);
    /// x · y + z.
    unsafe fn fma(x: Self::F, y: Self::F, z: Self::F) -> Self::F;
    /// The same, in the order of the program: where a loop needs all registers the compiler must not load ahead of it.
    #[inline(always)]
    unsafe fn fma_here(x: Self::F, y: Self::F, z: Self::F) -> Self::F {
        // SAFETY: as the trait says.
        unsafe { Self::fma(x, y, z) }
    }
    /// The sums over the lanes of as many registers as a register has lanes, each by the same tree.
    unsafe fn sums(all: &[Self::F]) -> Self::F;
}

/// A type that weights and caches are stored in.
pub trait Stored: Copy + Default {
    /// A register of them, widened.
    ///
    /// # Safety
    /// As [`Vector`] says.
    unsafe fn load<V: Vector>(from: *const Self) -> V::F;

    /// The first `count` of a register, then zeros.
    ///
    /// # Safety
    /// The processor has the features of `V`, and `count` numbers, at most 16, can be read.
    #[inline(always)]
    unsafe fn load_some<V: Vector>(from: *const Self, count: usize) -> V::F {
        let mut padded = [Self::default(); 16];
        // SAFETY: as the caller promises; a register has at most 16 lanes.
        unsafe {
            std::ptr::copy_nonoverlapping(from, padded.as_mut_ptr(), count);
            Self::load::<V>(padded.as_ptr())
        }
    }
}

macro_rules! stored {
    ($($type:ty, $load:ident);*) => {
        $(impl Stored for $type {
            #[inline(always)]
            unsafe fn load<V: Vector>(from: *const Self) -> V::F {
                // SAFETY: as the caller promises.
                unsafe { V::$load(from) }
            }
        })*
    };
}

stored!(f32, f32s; f16, f16s; bf16, bf16s; i8, i8s);

/// Eight numbers that the compiler puts where it can.
#[derive(Clone, Copy)]
pub struct Plain;

impl Vector for Plain {
    type F = [f32; 8];
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn f32s(from: *const f32) -> [f32; 8] {
        // SAFETY: as the trait says.
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn f16s(from: *const f16) -> [f32; 8] {
        // SAFETY: as the trait says.
        unsafe { from.cast::<[f16; 8]>().read_unaligned() }.map(f16::to_f32)
    }
    #[inline(always)]
    unsafe fn bf16s(from: *const bf16) -> [f32; 8] {
        // SAFETY: as the trait says.
        unsafe { from.cast::<[bf16; 8]>().read_unaligned() }.map(bf16::to_f32)
    }
    #[inline(always)]
    unsafe fn i8s(from: *const i8) -> [f32; 8] {
        // SAFETY: as the trait says.
        unsafe { from.cast::<[i8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn store(x: [f32; 8], to: *mut f32) {
        // SAFETY: as the trait says.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn fma(x: [f32; 8], y: [f32; 8], z: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| x[i] * y[i] + z[i])
    }
    #[inline(always)]
    unsafe fn sums(all: &[[f32; 8]]) -> [f32; 8] {
        std::array::from_fn(|i| {
            let x = all[i];
            ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]))
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[cfg(not(miri))]
    use std::arch::asm;
    use std::arch::x86_64::*;

    use half::{bf16, f16};

    use super::Vector;

    /// Eight lanes, with FMA and F16C.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    impl Vector for Avx2 {
        type F = __m256;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn f32s(from: *const f32) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn f16s(from: *const f16) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
        }
        #[inline(always)]
        unsafe fn bf16s(from: *const bf16) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))) }
        }
        #[inline(always)]
        unsafe fn i8s(from: *const i8) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
        }
        #[inline(always)]
        unsafe fn store(x: __m256, to: *mut f32) {
            // SAFETY: as the trait says.
            unsafe { _mm256_storeu_ps(to, x) }
        }
        #[inline(always)]
        unsafe fn fma(x: __m256, y: __m256, z: __m256) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { _mm256_fmadd_ps(x, y, z) }
        }
        #[cfg(not(miri))]
        #[inline(always)]
        unsafe fn fma_here(x: __m256, y: __m256, z: __m256) -> __m256 {
            // SAFETY: as the trait says.
            unsafe { fma_here(x, y, z) }
        }
        #[inline(always)]
        unsafe fn sums(a: &[__m256]) -> __m256 {
            // SAFETY: as the trait says.
            unsafe {
                let low = fourths(halves(a[0], a[4]), halves(a[1], a[5]));
                let high = fourths(halves(a[2], a[6]), halves(a[3], a[7]));
                _mm256_add_ps(_mm256_shuffle_ps::<0x88>(low, high), _mm256_shuffle_ps::<0xdd>(low, high))
            }
        }
    }

    /// x · y + z, where the program says.
    #[cfg(not(miri))]
    #[inline]
    #[target_feature(enable = "avx,fma")]
    unsafe fn fma_here(x: __m256, y: __m256, mut z: __m256) -> __m256 {
        // SAFETY: the caller has the features; nothing but registers is touched.
        unsafe {
            asm!("vfmadd231ps {z}, {x}, {y}", x = in(ymm_reg) x, y = in(ymm_reg) y, z = inout(ymm_reg) z, options(nostack, preserves_flags, nomem));
        }
        z
    }

    /// The lower half of `a` plus its upper half, then those of `b`.
    #[inline(always)]
    unsafe fn halves(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller has the features.
        unsafe { _mm256_add_ps(_mm256_blend_ps::<0xf0>(a, b), _mm256_permute2f128_ps::<0x21>(a, b)) }
    }

    /// In each half two lanes of `a` plus the next two, then those of `b`.
    #[inline(always)]
    unsafe fn fourths(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller has the features.
        unsafe { _mm256_add_ps(_mm256_blend_ps::<0xcc>(a, b), _mm256_shuffle_ps::<0x4e>(a, b)) }
    }

    /// Sixteen lanes.
    #[derive(Clone, Copy)]
    pub struct Avx512;

    impl Vector for Avx512 {
        type F = __m512;
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn f32s(from: *const f32) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn f16s(from: *const f16) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn bf16s(from: *const bf16) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
        }
        #[inline(always)]
        unsafe fn i8s(from: *const i8) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
        }
        #[inline(always)]
        unsafe fn store(x: __m512, to: *mut f32) {
            // SAFETY: as the trait says.
            unsafe { _mm512_storeu_ps(to, x) }
        }
        #[inline(always)]
        unsafe fn fma(x: __m512, y: __m512, z: __m512) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { _mm512_fmadd_ps(x, y, z) }
        }
        #[inline(always)]
        unsafe fn sums(a: &[__m512]) -> __m512 {
            // SAFETY: as the trait says.
            unsafe { across(across(fours(a, 0), fours(a, 4)), across(fours(a, 8), fours(a, 12))) }
        }
    }

    /// In each four lanes the sums over four lanes of the registers from `at` on.
    #[inline(always)]
    unsafe fn fours(a: &[__m512], at: usize) -> __m512 {
        // SAFETY: the caller has the features.
        unsafe {
            let (a, b, c, d) = (a[at], a[at + 1], a[at + 2], a[at + 3]);
            let x = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
            let y = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)))
        }
    }

    /// Neighboring fours of each register, those of `x` first.
    #[inline(always)]
    unsafe fn across(x: __m512, y: __m512) -> __m512 {
        // SAFETY: the caller has the features.
        unsafe { _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(x, y), _mm512_shuffle_f32x4::<0xdd>(x, y)) }
    }
}

#[cfg(target_arch = "aarch64")]
pub use neon::Neon;

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use half::slice::HalfFloatSliceExt;
    use half::{bf16, f16};

    use super::Vector;

    /// Four lanes.
    #[derive(Clone, Copy)]
    pub struct Neon;

    impl Vector for Neon {
        type F = float32x4_t;
        const LANES: usize = 4;

        #[inline(always)]
        unsafe fn splat(x: f32) -> float32x4_t {
            // SAFETY: NEON is part of the architecture.
            unsafe { vdupq_n_f32(x) }
        }
        #[inline(always)]
        unsafe fn f32s(from: *const f32) -> float32x4_t {
            // SAFETY: as the trait says.
            unsafe { vld1q_f32(from) }
        }
        #[inline(always)]
        unsafe fn f16s(from: *const f16) -> float32x4_t {
            let mut wide = [0.0; 4];
            // SAFETY: as the trait says.
            unsafe {
                std::slice::from_raw_parts(from, 4).convert_to_f32_slice(&mut wide);
                vld1q_f32(wide.as_ptr())
            }
        }
        #[inline(always)]
        unsafe fn bf16s(from: *const bf16) -> float32x4_t {
            // SAFETY: as the trait says.
            unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.cast()))) }
        }
        #[inline(always)]
        unsafe fn i8s(from: *const i8) -> float32x4_t {
            // SAFETY: as the trait says.
            unsafe { vld1q_f32(from.cast::<[i8; 4]>().read_unaligned().map(f32::from).as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store(x: float32x4_t, to: *mut f32) {
            // SAFETY: as the trait says.
            unsafe { vst1q_f32(to, x) }
        }
        #[inline(always)]
        unsafe fn fma(x: float32x4_t, y: float32x4_t, z: float32x4_t) -> float32x4_t {
            // SAFETY: NEON is part of the architecture.
            unsafe { vfmaq_f32(z, x, y) }
        }
        #[inline(always)]
        unsafe fn sums(a: &[float32x4_t]) -> float32x4_t {
            // SAFETY: NEON is part of the architecture.
            unsafe { vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])) }
        }
    }
}
