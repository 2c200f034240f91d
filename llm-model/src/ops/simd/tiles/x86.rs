//! Tiles on x86-64: AVX-512 with VNNI, and AVX2.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::{bf16, f16};

use super::Job;
use super::kernel::{Field, Group, Lanes, Tile};
use super::table::Values;

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

/// 256-bit registers: `R` of them for eight rows each.
pub struct Narrow<const R: usize>;

/// `[f(0), ..]`, in a form that is inlined with the features of its caller, as a closure is not.
macro_rules! each {
    ($r:ident, $zero:expr, |$i:ident| $value:expr) => {{
        let mut all = [$zero; $r];
        for $i in 0..$r {
            all[$i] = $value;
        }
        all
    }};
}

impl<const R: usize> Lanes for Narrow<R> {
    type F = [__m256; R];
    const ROWS: usize = 8 * R;

    #[inline(always)]
    unsafe fn f16s(from: *const f16) -> [__m256; R] {
        // SAFETY: the caller promises the numbers.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_cvtph_ps(_mm_loadu_si128(from.add(8 * i).cast()))) }
    }
    #[inline(always)]
    unsafe fn bf16s(from: *const bf16) -> [__m256; R] {
        // SAFETY: the caller promises the numbers, which are the upper halves of f32.
        unsafe {
            let wide = each!(R, _mm256_setzero_si256(), |i| _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8 * i).cast())));
            each!(R, _mm256_setzero_ps(), |i| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide[i])))
        }
    }
    #[inline(always)]
    unsafe fn f32s(from: *const f32) -> [__m256; R] {
        // SAFETY: the caller promises the numbers.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_loadu_ps(from.add(8 * i))) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [__m256; R] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_ps(x); R] }
    }
    #[inline(always)]
    unsafe fn mul(x: [__m256; R], y: [__m256; R]) -> [__m256; R] {
        // SAFETY: as above.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_mul_ps(x[i], y[i])) }
    }
    #[inline(always)]
    unsafe fn fma(x: [__m256; R], y: [__m256; R], z: [__m256; R]) -> [__m256; R] {
        // SAFETY: as above.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_fmadd_ps(x[i], y[i], z[i])) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> [__m256; R] {
        // SAFETY: the caller promises the bytes.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8 * i).cast())))) }
    }
    #[inline(always)]
    unsafe fn signed_bytes(from: *const u8) -> [__m256; R] {
        // SAFETY: the caller promises the bytes.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.add(8 * i).cast())))) }
    }
    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> [[__m256; R]; 2] {
        // SAFETY: the caller promises the bytes.
        unsafe {
            let bytes = each!(R, _mm256_setzero_si256(), |i| _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8 * i).cast())));
            let low = each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(_mm256_and_si256(bytes[i], _mm256_set1_epi32(15))));
            [low, each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(_mm256_srli_epi32::<4>(bytes[i])))]
        }
    }
    #[inline(always)]
    unsafe fn store(x: [__m256; R], to: *mut f32) {
        // SAFETY: the caller promises room for the numbers.
        unsafe {
            for (i, x) in x.into_iter().enumerate() {
                _mm256_storeu_ps(to.add(8 * i), x);
            }
        }
    }
}

/// # Safety
/// The processor has the features, and `job.out` can be written.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<T: Tile>(job: &Job) {
    // SAFETY: as the caller promises.
    unsafe { job.run::<T>() }
}

/// The bits of a field of eight rows; its constants become those of the instructions.
///
/// # Safety
/// The processor has the features, and the line can be read.
#[inline(always)]
unsafe fn narrow_field(block: *const u8, Field { line, left, mask }: Field) -> __m256i {
    // SAFETY: as the caller promises.
    unsafe {
        let line = _mm256_loadu_si256(block.add(line).cast());
        let moved = match left {
            0 => line,
            left if left < 0 => _mm256_srl_epi16(line, _mm_cvtsi32_si128(-left)),
            left => _mm256_sll_epi16(line, _mm_cvtsi32_si128(left)),
        };
        if mask == -1 { moved } else { _mm256_and_si256(moved, _mm256_set1_epi8(mask)) }
    }
}

/// The numbers of a group of eight rows each.
///
/// # Safety
/// The processor has the features, and the lines can be read.
#[inline(always)]
unsafe fn narrow_weights<V: Values, const R: usize>(block: *const u8, group: usize) -> [__m256i; R] {
    let (low, high) = Field::of(V::BITS, group);
    // SAFETY: as the caller promises.
    unsafe {
        let mut weights = each!(R, _mm256_setzero_si256(), |i| narrow_field(block.add(32 * i), low));
        if let Some(high) = high {
            weights = each!(R, _mm256_setzero_si256(), |i| _mm256_or_si256(weights[i], narrow_field(block.add(32 * i), high)));
        }
        let Some(table) = V::TABLE else { return weights };
        let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
        each!(R, _mm256_setzero_si256(), |i| _mm256_shuffle_epi8(table, weights[i]))
    }
}

/// Numbers from -12 to 15, once their zero is taken off, or 0 to 15: products of bytes added in pairs in 16 bits, where a block's sixteen
/// products fit, each of 15 · 127 at most.
pub struct Avx2Small<V, const R: usize>(PhantomData<V>);

impl<V: Values, const R: usize> Tile for Avx2Small<V, R> {
    type Lanes = Narrow<R>;
    type Sums = [__m256i; R];
    const BITS: usize = V::BITS;
    const GROUP: Group = Group::Bytes;

    /// Each lane of 16 bits has its own, so that what it ends with fits whatever happens on the way.
    fn correction(sums: [i32; 2], zero: i32) -> i32 {
        (-zero * sums[0]) & 0xffff | (-zero * sums[1]) << 16
    }

    #[inline(always)]
    unsafe fn start(correction: i32) -> [__m256i; R] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_epi32(correction); R] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[__m256i; R]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            for group in 0..2 {
                let weights = narrow_weights::<V, R>(block, first + group);
                for (token, sums) in sums.iter_mut().enumerate() {
                    let four = _mm256_set1_epi32(activations.cast::<i32>().add(group * N + token).read_unaligned());
                    for (sums, weights) in sums.iter_mut().zip(weights) {
                        *sums = _mm256_add_epi16(*sums, _mm256_maddubs_epi16(weights, four));
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: [__m256i; R]) -> [__m256; R] {
        // SAFETY: the caller promises the features.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(_mm256_madd_epi16(sums[i], _mm256_set1_epi16(1)))) }
    }

    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { avx2::<Self>(job) }
    }
}

/// Other numbers below 64: the products of two groups, four of 63 · 127 at most, are added in 16 bits, then in 32.
pub struct Avx2<V, const R: usize>(PhantomData<V>);

impl<V: Values, const R: usize> Tile for Avx2<V, R> {
    type Lanes = Narrow<R>;
    type Sums = [__m256i; R];
    const BITS: usize = V::BITS;
    const GROUP: Group = Group::Bytes;

    #[inline(always)]
    unsafe fn start(correction: i32) -> [__m256i; R] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_epi32(correction); R] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[__m256i; R]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            let [weights, others] = [narrow_weights::<V, R>(block, first), narrow_weights::<V, R>(block, first + 1)];
            for (token, sums) in sums.iter_mut().enumerate() {
                let fours = activations.cast::<i32>().add(token);
                let (four, next) = (_mm256_set1_epi32(fours.read_unaligned()), _mm256_set1_epi32(fours.add(N).read_unaligned()));
                for i in 0..R {
                    let products = _mm256_add_epi16(_mm256_maddubs_epi16(weights[i], four), _mm256_maddubs_epi16(others[i], next));
                    sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: [__m256i; R]) -> [__m256; R] {
        // SAFETY: the caller promises the features.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(sums[i])) }
    }

    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { avx2::<Self>(job) }
    }
}

/// Numbers of all bytes: products of pairs of them would overflow 16 bits, so both are widened first, even and odd inputs apart.
pub struct Avx2Large<V, const R: usize>(PhantomData<V>);

impl<V: Values, const R: usize> Tile for Avx2Large<V, R> {
    type Lanes = Narrow<R>;
    type Sums = [__m256i; R];
    const BITS: usize = V::BITS;
    /// More would not leave registers for their weights.
    const TOGETHER: usize = 1;
    const GROUP: Group = Group::Pairs;

    #[inline(always)]
    unsafe fn start(correction: i32) -> [__m256i; R] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_epi32(correction); R] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[__m256i; R]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            let bytes = narrow_weights::<V, R>(block, first);
            let even = each!(R, _mm256_setzero_si256(), |i| _mm256_and_si256(bytes[i], _mm256_set1_epi16(255)));
            let odd = each!(R, _mm256_setzero_si256(), |i| _mm256_srli_epi16::<8>(bytes[i]));
            for (part, weights) in [even, odd].into_iter().enumerate() {
                for (token, sums) in sums.iter_mut().enumerate() {
                    let two = _mm256_set1_epi32(activations.cast::<i32>().add(2 * token + part).read_unaligned());
                    for (sums, weights) in sums.iter_mut().zip(weights) {
                        *sums = _mm256_add_epi32(*sums, _mm256_madd_epi16(weights, two));
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: [__m256i; R]) -> [__m256; R] {
        // SAFETY: the caller promises the features.
        unsafe { each!(R, _mm256_setzero_ps(), |i| _mm256_cvtepi32_ps(sums[i])) }
    }

    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { avx2::<Self>(job) }
    }
}
