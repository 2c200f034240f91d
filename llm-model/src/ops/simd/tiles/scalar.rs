//! Tiles in plain Rust: what the vector kernels compute, number by number.

use half::f16;

use super::kernel::{Group, Lanes, Tile};

/// Sixteen numbers.
pub struct Plain;

impl Lanes for Plain {
    type F = [f32; 16];
    const ROWS: usize = 16;

    unsafe fn f16s(from: *const f16) -> [f32; 16] {
        // SAFETY: the caller promises sixteen f16.
        unsafe { from.cast::<[f16; 16]>().read_unaligned() }.map(f16::to_f32)
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

macro_rules! scalar {
    ($name:ident, $lines:literal, |$line:ident| $groups:expr) => {
        pub struct $name;

        impl Tile for $name {
            type Lanes = Plain;
            type Sums = [i32; 16];
            const LINES: usize = $lines;
            const GROUP: Group = Group::Bytes;

            unsafe fn start(correction: i32) -> [i32; 16] {
                [correction; 16]
            }

            unsafe fn line<const N: usize>(line: *const u8, activations: *const u8, sums: &mut [[i32; 16]; N]) {
                // SAFETY: the caller promises a line of 64 bytes.
                let $line = unsafe { line.cast::<[[u8; 4]; 16]>().read() };
                for (group, weights) in $groups.iter().enumerate() {
                    for (token, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the caller promises the activations of each group and token.
                        let four = unsafe { activations.cast::<[i8; 4]>().add(group * N + token).read() };
                        add_group(sums, weights, four);
                    }
                }
            }

            unsafe fn finish(sums: [i32; 16]) -> [f32; 16] {
                sums.map(|sum| sum as f32)
            }
        }
    };
}

scalar!(ScalarInt4, 4, |line| [line.map(|row| row.map(|byte| byte & 15)), line.map(|row| row.map(|byte| byte >> 4))]);
scalar!(ScalarInt8, 8, |line| [line]);
