//! Tiles on x86-64 with AVX2.

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;

use half::{bf16, f16};

use super::Job;
use super::kernel::{Field, GROUPS, Group, Lanes, Tile};
use super::table::Values;
use super::unpacked::Numbers;

/// Two 256-bit registers, one for each eight of sixteen rows.
pub struct Narrow;

/// `$value` for the first and the second register, in a form that is inlined with the features of its caller, as a closure is not.
macro_rules! both {
    (|$i:ident| $value:expr) => {
        [
            {
                let $i = 0;
                $value
            },
            {
                let $i = 1;
                $value
            },
        ]
    };
}

impl Lanes for Narrow {
    type F = [__m256; 2];
    const ROWS: usize = 16;

    #[inline(always)]
    unsafe fn f16s(from: *const f16) -> [__m256; 2] {
        // SAFETY: the caller promises the numbers.
        unsafe { both!(|i| _mm256_cvtph_ps(_mm_loadu_si128(from.add(8 * i).cast()))) }
    }
    #[inline(always)]
    unsafe fn bf16s(from: *const bf16) -> [__m256; 2] {
        // SAFETY: the caller promises the numbers, which are the upper halves of f32.
        unsafe {
            let wide = both!(|i| _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8 * i).cast())));
            both!(|i| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide[i])))
        }
    }
    #[inline(always)]
    unsafe fn f32s(from: *const f32) -> [__m256; 2] {
        // SAFETY: the caller promises the numbers.
        unsafe { both!(|i| _mm256_loadu_ps(from.add(8 * i))) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [__m256; 2] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    unsafe fn mul(x: [__m256; 2], y: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        unsafe { both!(|i| _mm256_mul_ps(x[i], y[i])) }
    }
    #[inline(always)]
    unsafe fn fma(x: [__m256; 2], y: [__m256; 2], z: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: as above.
        unsafe { both!(|i| _mm256_fmadd_ps(x[i], y[i], z[i])) }
    }
    #[inline(always)]
    unsafe fn bytes(from: *const u8) -> [__m256; 2] {
        // SAFETY: the caller promises the bytes.
        unsafe { both!(|i| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8 * i).cast())))) }
    }
    #[inline(always)]
    unsafe fn signed_bytes(from: *const u8) -> [__m256; 2] {
        // SAFETY: the caller promises the bytes.
        unsafe { both!(|i| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.add(8 * i).cast())))) }
    }
    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> [[__m256; 2]; 2] {
        // SAFETY: the caller promises the bytes.
        unsafe {
            let bytes = both!(|i| _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.add(8 * i).cast())));
            let low = both!(|i| _mm256_cvtepi32_ps(_mm256_and_si256(bytes[i], _mm256_set1_epi32(15))));
            [low, both!(|i| _mm256_cvtepi32_ps(_mm256_srli_epi32::<4>(bytes[i])))]
        }
    }
    #[inline(always)]
    unsafe fn store(x: [__m256; 2], to: *mut f32) {
        // SAFETY: the caller promises room for the numbers.
        unsafe {
            _mm256_storeu_ps(to, x[0]);
            _mm256_storeu_ps(to.add(8), x[1]);
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

/// The numbers of a group.
///
/// # Safety
/// The processor has the features, and the lines can be read.
#[inline(always)]
unsafe fn narrow_weights<V: Values>(block: *const u8, group: usize) -> [__m256i; 2] {
    let (low, high) = Field::of(V::BITS, group);
    // SAFETY: as the caller promises.
    unsafe {
        let mut weights = both!(|i| narrow_field(block.add(32 * i), low));
        if let Some(high) = high {
            weights = both!(|i| _mm256_or_si256(weights[i], narrow_field(block.add(32 * i), high)));
        }
        let Some(table) = V::TABLE else { return weights };
        let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
        both!(|i| _mm256_shuffle_epi8(table, weights[i]))
    }
}

/// The numbers of all groups of a block.
///
/// # Safety
/// The processor has the features; the lines can be read and the numbers written.
#[inline(always)]
unsafe fn unpack_bytes<V: Values>(block: *const u8, to: *mut u8) {
    // SAFETY: as the caller promises.
    unsafe {
        for group in 0..GROUPS {
            store_all([narrow_weights::<V>(block, group)], to.add(64 * group));
        }
    }
}

/// # Safety
/// The processor has the features, and the registers can be written one behind the other.
#[inline(always)]
unsafe fn store_all<const N: usize>(registers: [[__m256i; 2]; N], to: *mut u8) {
    for (at, register) in registers.as_flattened().iter().enumerate() {
        // SAFETY: as the caller promises.
        unsafe { _mm256_storeu_si256(to.add(32 * at).cast(), *register) }
    }
}

/// A function that adds to `sums` the products of `weights` with the four bytes of token `T` at `from`, and of `others` with those `N` tokens
/// on. In this order registers suffice for the sums of four tokens; compilers that choose it themselves keep half of them in memory.
macro_rules! adding {
    ($name:ident: $multiply:literal $multiplied:ident, $add:literal $added:ident) => {
        /// # Safety
        /// The processor has the features, and the activations can be read.
        #[inline]
        #[target_feature(enable = "avx2")]
        unsafe fn $name<const N: usize, const T: usize>(
            sums: &mut [__m256i; 2],
            weights: [__m256i; 2],
            others: [__m256i; 2],
            from: *const u8,
        ) {
            // SAFETY: the caller promises what is read; nothing is written but registers.
            unsafe {
                if cfg!(miri) {
                    for (weights, place) in [(weights, T), (others, N + T)] {
                        let four = _mm256_set1_epi32(from.cast::<i32>().add(place).read_unaligned());
                        *sums = both!(|i| $added(sums[i], $multiplied(weights[i], four)));
                    }
                    return;
                }
                asm!(
                    "vpbroadcastd {b}, dword ptr [{from} + {first}]",
                    concat!($multiply, " {a}, {w0}, {b}"),
                    concat!($multiply, " {b}, {w1}, {b}"),
                    concat!($add, " {s0}, {s0}, {a}"),
                    concat!($add, " {s1}, {s1}, {b}"),
                    "vpbroadcastd {b}, dword ptr [{from} + {second}]",
                    concat!($multiply, " {a}, {o0}, {b}"),
                    concat!($multiply, " {b}, {o1}, {b}"),
                    concat!($add, " {s0}, {s0}, {a}"),
                    concat!($add, " {s1}, {s1}, {b}"),
                    a = out(ymm_reg) _,
                    b = out(ymm_reg) _,
                    from = in(reg) from,
                    first = const 4 * T,
                    second = const 4 * (N + T),
                    w0 = in(ymm_reg) weights[0],
                    w1 = in(ymm_reg) weights[1],
                    o0 = in(ymm_reg) others[0],
                    o1 = in(ymm_reg) others[1],
                    s0 = inout(ymm_reg) sums[0],
                    s1 = inout(ymm_reg) sums[1],
                    options(nostack, preserves_flags, readonly),
                );
            }
        }
    };
}

adding!(add_bytes: "vpmaddubsw" _mm256_maddubs_epi16, "vpaddw" _mm256_add_epi16);
adding!(add_pairs: "vpmaddwd" _mm256_madd_epi16, "vpaddd" _mm256_add_epi32);

/// As [`add_bytes`], where a sum of two groups fits into 16 bits, and no more.
///
/// # Safety
/// The processor has the features, and the activations can be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn add_fours<const N: usize, const T: usize>(sums: &mut [__m256i; 2], weights: [__m256i; 2], others: [__m256i; 2], from: *const u8) {
    // SAFETY: the caller promises what is read; nothing is written but registers.
    unsafe {
        if cfg!(miri) {
            let [four, next] = [T, N + T].map(|place| _mm256_set1_epi32(from.cast::<i32>().add(place).read_unaligned()));
            *sums = both!(|i| {
                let products = _mm256_add_epi16(_mm256_maddubs_epi16(weights[i], four), _mm256_maddubs_epi16(others[i], next));
                _mm256_add_epi32(sums[i], _mm256_madd_epi16(products, _mm256_set1_epi16(1)))
            });
            return;
        }
        let ones = _mm256_set1_epi16(1);
        asm!(
            "vpbroadcastd {b}, dword ptr [{from} + {first}]",
            "vpbroadcastd {d}, dword ptr [{from} + {second}]",
            "vpmaddubsw {a}, {w0}, {b}",
            "vpmaddubsw {c}, {o0}, {d}",
            "vpmaddubsw {b}, {w1}, {b}",
            "vpmaddubsw {d}, {o1}, {d}",
            "vpaddw {a}, {a}, {c}",
            "vpaddw {b}, {b}, {d}",
            "vpmaddwd {a}, {a}, ymmword ptr [{ones}]",
            "vpmaddwd {b}, {b}, ymmword ptr [{ones}]",
            "vpaddd {s0}, {s0}, {a}",
            "vpaddd {s1}, {s1}, {b}",
            a = out(ymm_reg) _,
            b = out(ymm_reg) _,
            c = out(ymm_reg) _,
            d = out(ymm_reg) _,
            from = in(reg) from,
            ones = in(reg) &ones,
            first = const 4 * T,
            second = const 4 * (N + T),
            w0 = in(ymm_reg) weights[0],
            w1 = in(ymm_reg) weights[1],
            o0 = in(ymm_reg) others[0],
            o1 = in(ymm_reg) others[1],
            s0 = inout(ymm_reg) sums[0],
            s1 = inout(ymm_reg) sums[1],
            options(nostack, preserves_flags, readonly),
        );
    }
}

/// `$add` for each of up to four tokens.
macro_rules! for_tokens {
    ($add:ident::<$n:ident>($sums:expr, $($rest:expr),*)) => {{
        let sums: &mut [_] = $sums;
        if let Some(sums) = sums.get_mut(0) { $add::<$n, 0>(sums, $($rest),*); }
        if let Some(sums) = sums.get_mut(1) { $add::<$n, 1>(sums, $($rest),*); }
        if let Some(sums) = sums.get_mut(2) { $add::<$n, 2>(sums, $($rest),*); }
        if let Some(sums) = sums.get_mut(3) { $add::<$n, 3>(sums, $($rest),*); }
    }};
}

mod activations;
mod large;

pub use activations::quantize;
pub use large::Avx2Large;

/// Numbers from -12 to 15, once their zero is taken off, or 0 to 15: products of bytes added in pairs in 16 bits, where a block's sixteen
/// products fit, each of 15 · 127 at most.
pub struct Avx2Small<V>(PhantomData<V>);

impl<V: Values> Tile for Avx2Small<V> {
    type Lanes = Narrow;
    type Sums = [__m256i; 2];
    const BITS: usize = V::BITS;
    const PARTS: usize = V::PARTS;
    const GROUP: Group = Group::Bytes;
    const APART: bool = true;

    #[inline(always)]
    unsafe fn start(correction: i32) -> [__m256i; 2] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_epi32(correction); 2] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[__m256i; 2]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            let [weights, others] = [narrow_weights::<V>(block, first), narrow_weights::<V>(block, first + 1)];
            for_tokens!(add_bytes::<N>(sums, weights, others, activations));
        }
    }

    type Unpacked = Avx2Small<Numbers<V>>;

    #[inline(always)]
    unsafe fn unpack(block: *const u8, to: *mut u8) {
        // SAFETY: the caller promises the lines, and room for as many numbers.
        unsafe { unpack_bytes::<V>(block, to) }
    }

    #[inline(always)]
    unsafe fn finish(sums: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: the caller promises the features.
        unsafe { both!(|i| _mm256_cvtepi32_ps(_mm256_madd_epi16(sums[i], _mm256_set1_epi16(1)))) }
    }

    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { avx2::<Self>(job) }
    }
}

/// Other numbers below 64: the products of two groups, four of 63 · 127 at most, are added in 16 bits, then in 32.
pub struct Avx2<V>(PhantomData<V>);

impl<V: Values> Tile for Avx2<V> {
    type Lanes = Narrow;
    type Sums = [__m256i; 2];
    const BITS: usize = V::BITS;
    const PARTS: usize = V::PARTS;
    const GROUP: Group = Group::Bytes;

    #[inline(always)]
    unsafe fn start(correction: i32) -> [__m256i; 2] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_epi32(correction); 2] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[__m256i; 2]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            let [weights, others] = [narrow_weights::<V>(block, first), narrow_weights::<V>(block, first + 1)];
            for_tokens!(add_fours::<N>(sums, weights, others, activations));
        }
    }

    type Unpacked = Avx2<Numbers<V>>;

    #[inline(always)]
    unsafe fn unpack(block: *const u8, to: *mut u8) {
        // SAFETY: the caller promises the lines, and room for as many numbers.
        unsafe { unpack_bytes::<V>(block, to) }
    }

    #[inline(always)]
    unsafe fn finish(sums: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: the caller promises the features.
        unsafe { both!(|i| _mm256_cvtepi32_ps(sums[i])) }
    }

    unsafe fn run(job: &Job) {
        // SAFETY: as the caller promises.
        unsafe { avx2::<Self>(job) }
    }
}
