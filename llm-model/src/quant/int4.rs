//! Four bits: a line of a tile has eight inputs, the first four in the low halves of the bytes of a row.

use super::tiles::Lines;

/// Bits of a value.
pub const BITS: usize = 4;
/// The value of weight 0 where there is no minimum.
pub const ZERO: u8 = 8;

/// Lines of nibbles.
pub struct Int4;

impl Lines for Int4 {
    const INPUTS: usize = 8;

    fn pack(values: &[u8]) -> [u8; 4] {
        std::array::from_fn(|i| values[i] | values[4 + i] << 4)
    }

    fn unpack(bytes: [u8; 4], values: &mut [u8]) {
        for (i, byte) in bytes.into_iter().enumerate() {
            (values[i], values[4 + i]) = (byte & 15, byte >> 4);
        }
    }
}
