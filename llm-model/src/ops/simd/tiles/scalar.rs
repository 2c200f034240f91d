//! Tiles in plain Rust: what the vector kernels compute, number by number.

use std::marker::PhantomData;

use half::{bf16, f16};

use super::kernel::{Field, GROUPS, Group, Lanes, Tile};
use super::table::Values;
use super::unpacked::Numbers;

/// Sixteen numbers.
pub struct Plain;

impl Lanes for Plain {
    type F = [f32; 16];
    const ROWS: usize = 16;

    unsafe fn f16s(from: *const f16) -> [f32; 16] {
        // SAFETY: the caller promises sixteen f16.
        unsafe { from.cast::<[f16; 16]>().read_unaligned() }.map(f16::to_f32)
    }
    unsafe fn bf16s(from: *const bf16) -> [f32; 16] {
        // SAFETY: the caller promises sixteen bf16.
        unsafe { from.cast::<[bf16; 16]>().read_unaligned() }.map(bf16::to_f32)
    }
    unsafe fn f32s(from: *const f32) -> [f32; 16] {
        // SAFETY: the caller promises sixteen f32.
        unsafe { from.cast::<[f32; 16]>().read_unaligned() }
    }
    unsafe fn splat(x: f32) -> [f32; 16] {
        [x; 16]
    }
    unsafe fn mul(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|row| x[row] * y[row])
    }
    unsafe fn fma(x: [f32; 16], y: [f32; 16], z: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|row| x[row].mul_add(y[row], z[row]))
    }
    unsafe fn bytes(from: *const u8) -> [f32; 16] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { from.cast::<[u8; 16]>().read() }.map(f32::from)
    }
    unsafe fn signed_bytes(from: *const u8) -> [f32; 16] {
        // SAFETY: the caller promises sixteen bytes.
        unsafe { from.cast::<[i8; 16]>().read() }.map(f32::from)
    }
    unsafe fn nibbles(from: *const u8) -> [[f32; 16]; 2] {
        // SAFETY: the caller promises sixteen bytes.
        let bytes = unsafe { from.cast::<[u8; 16]>().read() };
        [bytes.map(|byte| f32::from(byte & 15)), bytes.map(|byte| f32::from(byte >> 4))]
    }
    unsafe fn store(x: [f32; 16], to: *mut f32) {
        // SAFETY: the caller promises room for sixteen f32.
        unsafe { to.cast::<[f32; 16]>().write_unaligned(x) }
    }
}

/// Adds the products of sixteen rows' four weights with a token's four activations.
fn add_group(sums: &mut [i32; 16], weights: &[[u8; 4]; 16], activations: [i8; 4]) {
    for (sum, weights) in sums.iter_mut().zip(weights) {
        *sum += weights.iter().zip(activations).map(|(w, a)| i32::from(*w) * i32::from(a)).sum::<i32>();
    }
}

/// The numbers of a group of sixteen rows.
///
/// # Safety
/// The lines of the block can be read.
unsafe fn weights<V: Values>(block: *const u8, group: usize) -> [[u8; 4]; 16] {
    let (low, high) = Field::of(V::BITS, group);
    let mut weights = [[0; 4]; 16];
    for field in [Some(low), high].into_iter().flatten() {
        // SAFETY: as the caller promises.
        let line = unsafe { block.add(field.line).cast::<[[u8; 4]; 16]>().read() };
        for (weight, byte) in weights.as_flattened_mut().iter_mut().zip(line.as_flattened()) {
            let moved = if field.left < 0 { byte >> -field.left } else { byte << field.left };
            *weight |= moved & field.mask as u8;
        }
    }
    if let Some(table) = V::TABLE {
        weights.as_flattened_mut().iter_mut().for_each(|weight| *weight = table[usize::from(*weight)]);
    }
    weights
}

/// Values of any kind.
pub struct Scalar<V>(PhantomData<V>);

impl<V: Values> Tile for Scalar<V> {
    type Lanes = Plain;
    type Sums = [i32; 16];
    const BITS: usize = V::BITS;
    const PARTS: usize = V::PARTS;
    const GROUP: Group = Group::Bytes;

    unsafe fn start(correction: i32) -> [i32; 16] {
        [correction; 16]
    }

    unsafe fn groups<const N: usize>(block: *const u8, first: usize, activations: *const u8, sums: &mut [[i32; 16]; N]) {
        for group in 0..2 {
            // SAFETY: the caller promises the lines of the block.
            let weights = unsafe { weights::<V>(block, first + group) };
            for (token, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller promises the activations of each group and token.
                let four = unsafe { activations.cast::<[i8; 4]>().add(group * N + token).read() };
                add_group(sums, &weights, four);
            }
        }
    }

    type Unpacked = Scalar<Numbers<V>>;

    unsafe fn unpack(block: *const u8, to: *mut u8) {
        for group in 0..GROUPS {
            // SAFETY: the caller promises the lines of the block, and room for as many numbers.
            unsafe { to.cast::<[[u8; 4]; 16]>().add(group).write(weights::<V>(block, group)) }
        }
    }

    unsafe fn finish(sums: [i32; 16]) -> [f32; 16] {
        sums.map(|sum| sum as f32)
    }
}
