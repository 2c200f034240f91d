//! Tiles on 64-bit ARM with the dot product extension.

use std::arch::aarch64::*;
use std::arch::asm;
use std::marker::PhantomData;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::kernel::{Field, GROUPS, Group, Lanes, Tile};
use super::table::Values;
use super::unpacked::Numbers;

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
    unsafe fn bf16s(from: *const bf16) -> [float32x4_t; 4] {
        // SAFETY: the caller promises sixteen bf16, which are the upper halves of f32.
        unsafe { [0, 4, 8, 12].map(|at| vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(from.add(at).cast())))) }
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
    unsafe fn bytes(from: *const u8) -> [float32x4_t; 4] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { Self::f32s(from.cast::<[u8; 16]>().read().map(f32::from).as_ptr()) }
    }
    #[inline(always)]
    unsafe fn signed_bytes(from: *const u8) -> [float32x4_t; 4] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { Self::f32s(from.cast::<[i8; 16]>().read().map(f32::from).as_ptr()) }
    }
    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> [[float32x4_t; 4]; 2] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe {
            let bytes = from.cast::<[u8; 16]>().read();
            [bytes.map(|byte| f32::from(byte & 15)), bytes.map(|byte| f32::from(byte >> 4))].map(|all| Self::f32s(all.as_ptr()))
        }
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

/// Four signed bytes of each row times four signed bytes of a token, added up in 32 bits by one instruction.
pub struct Neon<V>(PhantomData<V>);

impl<V: Values> Tile for Neon<V> {
    type Lanes = Quarter;
    type Sums = [int32x4_t; 4];
    const BITS: usize = V::BITS;
    const PARTS: usize = V::PARTS;
    const GROUP: Group = Group::Bytes;
    /// So numbers of eight bits become signed.
    const TAKEN: i32 = if V::LARGE { 128 } else { 0 };

    #[inline(always)]
    unsafe fn start(correction: i32) -> [int32x4_t; 4] {
        // SAFETY: NEON is part of the architecture.
        unsafe { [vdupq_n_s32(correction); 4] }
    }

    #[inline(always)]
    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[int32x4_t; 4]; N]) {
        // SAFETY: the caller promises the lines and their activations.
        unsafe {
            for part in 0..4 {
                for group in 0..2 {
                    let weights = weights::<V>(block.add(16 * part), first + group);
                    let weights = vreinterpretq_s8_u8(if V::LARGE { veorq_u8(weights, vdupq_n_u8(128)) } else { weights });
                    for (token, sums) in sums.iter_mut().enumerate() {
                        let four = activations.cast::<i32>().add(group * N + token).read_unaligned();
                        sums[part] = sdot(sums[part], weights, vreinterpretq_s8_s32(vdupq_n_s32(four)));
                    }
                }
            }
        }
    }

    type Unpacked = Neon<Numbers<V>>;

    #[inline(always)]
    unsafe fn unpack(block: *const u8, to: *mut u8) {
        // SAFETY: the caller promises the lines, and room for as many numbers.
        unsafe {
            for group in 0..GROUPS {
                (0..64).step_by(16).for_each(|at| vst1q_u8(to.add(64 * group + at), weights::<V>(block.add(at), group)));
            }
        }
    }

    #[inline(always)]
    unsafe fn finish(sums: [int32x4_t; 4]) -> [float32x4_t; 4] {
        // SAFETY: NEON is part of the architecture.
        unsafe { std::array::from_fn(|part| vcvtq_f32_s32(sums[part])) }
    }
}

/// The numbers of a group of four rows.
///
/// # Safety
/// The lines can be read.
#[inline(always)]
unsafe fn weights<V: Values>(block: *const u8, group: usize) -> uint8x16_t {
    let (low, high) = Field::of(V::BITS, group);
    // SAFETY: as the caller promises.
    unsafe {
        let mut weights = field(block, low);
        if let Some(high) = high {
            weights = vorrq_u8(weights, field(block, high));
        }
        let Some(table) = V::TABLE else { return weights };
        vqtbl1q_u8(vld1q_u8(table.as_ptr()), weights)
    }
}

/// The bits of a field of four rows.
///
/// # Safety
/// The line can be read.
#[inline(always)]
unsafe fn field(block: *const u8, Field { line, left, mask }: Field) -> uint8x16_t {
    // SAFETY: as the caller promises.
    unsafe { vandq_u8(vshlq_u8(vld1q_u8(block.add(line)), vdupq_n_s8(left as i8)), vdupq_n_u8(mask as u8)) }
}
