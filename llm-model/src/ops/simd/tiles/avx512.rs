//! Tiles on x86-64 with AVX-512 and VNNI.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::{bf16, f16};

use super::Job;
use super::kernel::{Field, GROUPS, Group, Lanes, Tile};
use super::table::Values;
use super::unpacked::Numbers;

/// 512-bit registers, one for sixteen rows.
pub struct Wide;

impl Lanes for Wide {
    type F = __m512;
    const ROWS: usize = 16;

    #[inline(always)]
    unsafe fn f16s(from: *const f16) -> __m512 {
        // SAFETY: the caller promises sixteen f16.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn bf16s(from: *const bf16) -> __m512 {
        // SAFETY: the caller promises sixteen bf16, which are the upper halves of f32.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }
    #[inline(always)]
    unsafe fn f32s(from: *const f32) -> __m512 {
        // SAFETY: the caller promises sixteen f32.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: the caller promises the features.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn mul(x: __m512, y: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(x, y) }
    }
    #[inline(always)]
    unsafe fn fma(x: __m512, y: __m512, z: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(x, y, z) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> __m512 {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn signed_bytes(from: *const u8) -> __m512 {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> [__m512; 2] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe {
            let bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()));
            [_mm512_and_si512(bytes, _mm512_set1_epi32(15)), _mm512_srli_epi32::<4>(bytes)].map(|x| _mm512_cvtepi32_ps(x))
        }
    }
    #[inline(always)]
    unsafe fn store(x: __m512, to: *mut f32) {
        // SAFETY: the caller promises room for sixteen f32.
        unsafe { _mm512_storeu_ps(to, x) }
    }
}

/// Four unsigned bytes of each row times four signed bytes of a token, added up in 32 bits by one instruction.
pub struct Vnni<V>(PhantomData<V>);

/// # Safety
/// The processor has the features, and `job.out` can be written.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,f16c")]
unsafe fn vnni<T: Tile>(job: &Job) {
    // SAFETY: as the caller promises.
    unsafe { job.run::<T>() }
}

impl<V: Values> Tile for Vnni<V> {
    type Lanes = Wide;
    type Sums = __m512i;
    const BITS: usize = V::BITS;
    const PARTS: usize = V::PARTS;
    const TOKENS: usize = if V::BITS == 4 || V::BITS == 8 { 12 } else { 8 };
    const GROUP: Group = Group::Bytes;

    #[inline(always)]
    unsafe fn start(correction: i32) -> __m512i {
        // SAFETY: the caller promises the features.
        unsafe { _mm512_set1_epi32(correction) }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [__m512i; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            for group in 0..2 {
                let weights = wide_weights::<V>(block, first + group);
                for (token, sums) in sums.iter_mut().enumerate() {
                    let four = activations.cast::<i32>().add(group * N + token).read_unaligned();
                    *sums = _mm512_dpbusd_epi32(*sums, weights, _mm512_set1_epi32(four));
                }
            }
        }
    }

    type Unpacked = Vnni<Numbers<V>>;

    #[inline(always)]
    unsafe fn unpack(block: *const u8, to: *mut u8) {
        // SAFETY: the caller promises the lines, and room for as many numbers.
        unsafe {
            for group in 0..GROUPS {
                _mm512_storeu_si512(to.add(64 * group).cast(), wide_weights::<V>(block, group));
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: __m512i) -> __m512 {
        // SAFETY: the caller promises the features.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }

    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { vnni::<Self>(job) }
    }
}

/// The bits of a field of sixteen rows; its constants become those of the instructions.
///
/// # Safety
/// The processor has the features, and the line can be read.
#[inline(always)]
unsafe fn wide_field(block: *const u8, Field { line, left, mask }: Field) -> __m512i {
    // SAFETY: as the caller promises.
    unsafe {
        let line = _mm512_loadu_si512(block.add(line).cast());
        let moved = match left {
            0 => line,
            left if left < 0 => _mm512_srlv_epi16(line, _mm512_set1_epi16(-left as i16)),
            left => _mm512_sllv_epi16(line, _mm512_set1_epi16(left as i16)),
        };
        if mask == -1 { moved } else { _mm512_and_si512(moved, _mm512_set1_epi8(mask)) }
    }
}

/// The numbers of a group of sixteen rows.
///
/// # Safety
/// The processor has the features, and the lines can be read.
#[inline(always)]
unsafe fn wide_weights<V: Values>(block: *const u8, group: usize) -> __m512i {
    let (low, high) = Field::of(V::BITS, group);
    // SAFETY: as the caller promises.
    unsafe {
        let mut weights = wide_field(block, low);
        if let Some(high) = high {
            weights = _mm512_or_si512(weights, wide_field(block, high));
        }
        let Some(table) = V::TABLE else { return weights };
        _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast())), weights)
    }
}
