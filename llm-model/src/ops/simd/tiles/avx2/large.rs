//! Numbers of all bytes, whose products need 16 bits each.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::super::Job;
use super::super::kernel::{GROUPS, Group, Tile};
use super::super::table::Values;
use super::{Narrow, add_pairs, avx2, narrow_weights, store_all};

/// Numbers of all bytes: products of pairs of them would overflow 16 bits, so both are widened first, even and odd inputs apart.
pub struct Avx2Large<S>(PhantomData<S>);

/// Numbers as words of 16 bits.
pub trait Source {
    /// Lines of a block.
    const LINES: usize;

    /// The numbers of a group, those of even inputs and those of odd ones.
    ///
    /// # Safety
    /// The processor has the features, and the lines of the block can be read.
    unsafe fn words(block: *const u8, group: usize) -> [[__m256i; 2]; 2];
}

impl<V: Values> Source for V {
    const LINES: usize = V::BITS;

    #[inline(always)]
    unsafe fn words(block: *const u8, group: usize) -> [[__m256i; 2]; 2] {
        // SAFETY: as the caller promises.
        unsafe {
            let bytes = narrow_weights::<V>(block, group);
            [both!(|i| _mm256_and_si256(bytes[i], _mm256_set1_epi16(255))), both!(|i| _mm256_srli_epi16::<8>(bytes[i]))]
        }
    }
}

/// What is unpacked: for each group a line of even inputs and one of odd ones.
pub struct Words;

impl Source for Words {
    const LINES: usize = 2 * GROUPS;

    #[inline(always)]
    unsafe fn words(block: *const u8, group: usize) -> [[__m256i; 2]; 2] {
        // SAFETY: as the caller promises.
        unsafe {
            let words = block.add(128 * group);
            [both!(|i| _mm256_loadu_si256(words.add(32 * i).cast())), both!(|i| _mm256_loadu_si256(words.add(64 + 32 * i).cast()))]
        }
    }
}

impl<S: Source> Tile for Avx2Large<S> {
    type Lanes = Narrow;
    type Sums = [__m256i; 2];
    const BITS: usize = S::LINES;
    /// More would not leave registers for their weights.
    const TOGETHER: usize = 1;
    const GROUP: Group = Group::Pairs;

    #[inline(always)]
    unsafe fn start(correction: i32) -> [__m256i; 2] {
        // SAFETY: the caller promises the features.
        unsafe { [_mm256_set1_epi32(correction); 2] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[__m256i; 2]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            let [even, odd] = S::words(block, first);
            for_tokens!(add_pairs::<N>(sums, even, odd, activations));
        }
    }

    type Unpacked = Avx2Large<Words>;

    #[inline(always)]
    unsafe fn unpack(block: *const u8, to: *mut u8) {
        // SAFETY: the caller promises the lines, and room for as many numbers.
        unsafe {
            for group in 0..GROUPS {
                store_all(S::words(block, group), to.add(128 * group));
            }
        }
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
