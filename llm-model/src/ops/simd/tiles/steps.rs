//! Factors of blocks as multiples of those of a superblock.

/// Blocks of a superblock.
pub const BLOCKS: usize = 8;

/// What two bytes of a block, its steps, say in the formats of ggml's K types: how many times the scale and the minimum of a superblock
/// of 256 inputs are those of the block, or of each half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    /// A byte for the scale and one for the minimum.
    Both,
    /// For each half a signed byte for its scale.
    Halves,
    /// For each half four bits for its scale, and above them four for its minimum.
    Nibbles,
}

impl Steps {
    /// How many times the factors of the superblock are those of the first or second half of a block with these steps.
    pub fn factors(self, steps: [u8; 2], half: usize) -> [f32; 2] {
        match self {
            Self::Both => steps.map(f32::from),
            Self::Halves => [f32::from(steps[half] as i8), 0.0],
            Self::Nibbles => [f32::from(steps[half] & 15), f32::from(steps[half] >> 4)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_are_meant() {
        assert_eq!([0, 1].map(|half| Steps::Both.factors([63, 200], half)), [[63.0, 200.0]; 2]);
        assert_eq!([0, 1].map(|half| Steps::Halves.factors([0x80, 5], half)), [[-128.0, 0.0], [5.0, 0.0]]);
        assert_eq!([0, 1].map(|half| Steps::Nibbles.factors([0xa3, 0x0f], half)), [[3.0, 10.0], [15.0, 0.0]]);
    }
}
