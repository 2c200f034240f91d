//! Tiles on 64-bit ARM with the dot product extension.

use std::arch::aarch64::*;
use std::arch::asm;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::kernel::{Group, Lanes, Tile};

/// 128-bit registers, four for sixteen rows.
pub struct Quarter;

impl Lanes for Quarter {
    type F = [float32x4_t; 4];
    const ROWS: usize = 16;

    #[inline(always)]
    unsafe fn f16s(from: *const f16) -> [float32x4_t; 4] {
        let mut wide = [0.0; 16];
        // SAFETY: the caller promises sixteen f16.
        unsafe {
            std::slice::from_raw_parts(from, 16).convert_to_f32_slice(&mut wide);
            Self::f32s(wide.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn f32s(from: *const f32) -> [float32x4_t; 4] {
        // SAFETY: the caller promises sixteen f32.
        unsafe { [0, 4, 8, 12].map(|at| vld1q_f32(from.add(at))) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [float32x4_t; 4] {
        // SAFETY: NEON is part of the architecture.
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    unsafe fn mul(x: [float32x4_t; 4], y: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: as above.
        unsafe { std::array::from_fn(|part| vmulq_f32(x[part], y[part])) }
    }
    #[inline(always)]
    unsafe fn fma(x: [float32x4_t; 4], y: [float32x4_t; 4], z: [float32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: as above.
        unsafe { std::array::from_fn(|part| vfmaq_f32(z[part], x[part], y[part])) }
    }
    #[inline(always)]
    unsafe fn store(x: [float32x4_t; 4], to: *mut f32) {
        // SAFETY: the caller promises room for sixteen f32.
        unsafe { x.into_iter().enumerate().for_each(|(part, x)| vst1q_f32(to.add(4 * part), x)) }
    }
}

/// `sums` + four products of signed bytes in each 32-bit lane; the intrinsic is not stable yet.
///
/// # Safety
/// The processor has the dot product extension.
#[inline(always)]
unsafe fn sdot(mut sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction reads and writes these registers only.
    unsafe {
        asm!(".arch_extension dotprod", "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inout(vreg) sums, in(vreg) a, in(vreg) b,
            options(pure, nomem, nostack));
    }
    sums
}

macro_rules! neon {
    ($name:ident, $lines:literal, $offset:literal, |$bytes:ident| $groups:expr) => {
        pub struct $name;

        impl Tile for $name {
            type Lanes = Quarter;
            type Sums = [int32x4_t; 4];
            const LINES: usize = $lines;
            const GROUP: Group = Group::Bytes;

            /// The weights became signed by taking off as much already.
            fn correction(sums: [i32; 2], zero: i32) -> i32 {
                ($offset - zero) * (sums[0] + sums[1])
            }

            #[inline(always)]
            unsafe fn start(correction: i32) -> [int32x4_t; 4] {
                // SAFETY: NEON is part of the architecture.
                unsafe { [vdupq_n_s32(correction); 4] }
            }

            #[inline(always)]
            unsafe fn line<const N: usize>(line: *const u8, activations: *const u8, sums: &mut [[int32x4_t; 4]; N]) {
                // SAFETY: the caller promises the line and its activations.
                unsafe {
                    for part in 0..4 {
                        let $bytes = vld1q_u8(line.add(16 * part));
                        for (group, weights) in $groups.into_iter().enumerate() {
                            for (token, sums) in sums.iter_mut().enumerate() {
                                let four = activations.cast::<i32>().add(group * N + token).read_unaligned();
                                sums[part] = sdot(sums[part], weights, vreinterpretq_s8_s32(vdupq_n_s32(four)));
                            }
                        }
                    }
                }
            }

            #[inline(always)]
            unsafe fn finish(sums: [int32x4_t; 4]) -> [float32x4_t; 4] {
                // SAFETY: NEON is part of the architecture.
                unsafe { std::array::from_fn(|part| vcvtq_f32_s32(sums[part])) }
            }
        }
    };
}

neon!(NeonInt4, 4, 0, |bytes| [vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15))), vreinterpretq_s8_u8(vshrq_n_u8::<4>(bytes))]);
neon!(NeonInt8, 8, 128, |bytes| [vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128)))]);
