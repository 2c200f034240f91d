//! Eight bits: a line of a tile has four inputs.

use super::tiles::Lines;

/// Bits of a value.
pub const BITS: usize = 8;
/// The value of weight 0 where there is no minimum.
pub const ZERO: u8 = 128;

/// Lines of bytes.
pub struct Int8;

impl Lines for Int8 {
    const INPUTS: usize = 4;

    fn pack(values: &[u8]) -> [u8; 4] {
        std::array::from_fn(|i| values[i])
    }

    fn unpack(bytes: [u8; 4], values: &mut [u8]) {
        values.copy_from_slice(&bytes);
    }
}
