//! Values of sixteen rows into the lines of their tiles: what packing takes most of its time for.
//!
//! The layout is that of `quant::tiles`, whose `pack` says the same in few words, and which this is tested against.

use super::tiles::{BLOCK, ROWS};

/// Sixteen words of four bytes, one for each row.
pub type Line = [[u8; 4]; ROWS];

vectorized! {
    /// Puts `values [16, width]`, whose bits `planes` cuts up, into their `lines [tiles, lines of a tile]`; a tile has the lines of its
    /// blocks, which are `sharing`, first.
    pub fn pack(values: &[u8], width: usize, planes: &[(usize, usize)], sharing: usize, lines_of_tile: usize, lines: &mut [Line]) {
        let bits: usize = planes.iter().map(|(_, bits)| bits).sum();
        for (tile, lines) in lines.chunks_exact_mut(lines_of_tile).enumerate() {
            for (block, lines) in lines.chunks_exact_mut(bits).take(sharing).enumerate() {
                let groups = groups(values, width, (tile * sharing + block) * BLOCK);
                put(&groups, planes, lines);
            }
        }
    }
}

/// The groups of four inputs of a block that begins at input `first` of each row.
#[inline(always)]
fn groups(values: &[u8], width: usize, first: usize) -> [[u32; ROWS]; BLOCK / 4] {
    let mut groups = [[0; ROWS]; BLOCK / 4];
    for row in 0..ROWS {
        let inputs = &values[row * width + first..][..BLOCK];
        for (group, four) in groups.iter_mut().zip(inputs.as_chunks().0) {
            group[row] = u32::from_le_bytes(*four);
        }
    }
    groups
}

/// The planes of a block.
#[inline(always)]
fn put(groups: &[[u32; ROWS]; BLOCK / 4], planes: &[(usize, usize)], lines: &mut [Line]) {
    let mut rest = lines;
    for &(shift, bits) in planes {
        let lines = rest.split_off_mut(..bits).unwrap_or_default();
        match (shift, bits) {
            (0, 2) => plane::<0, 2, 4>(groups, lines),
            (0, 4) => plane::<0, 4, 2>(groups, lines),
            (2, 1) => plane::<2, 1, 8>(groups, lines),
            (4, 1) => plane::<4, 1, 8>(groups, lines),
            (4, 2) => plane::<4, 2, 4>(groups, lines),
            (0, 8) => plane::<0, 8, 1>(groups, lines),
            _ => unreachable!("a plane of {bits} bits from {shift} on"),
        }
    }
}

/// `BITS` bits of each value from `SHIFT` on; a line has those of `N` groups.
#[inline(always)]
fn plane<const SHIFT: usize, const BITS: usize, const N: usize>(groups: &[[u32; ROWS]; BLOCK / 4], lines: &mut [Line]) {
    let mask = u32::from_ne_bytes([u8::MAX >> (8 - BITS); 4]);
    for (line, groups) in lines.iter_mut().zip(groups.as_chunks::<N>().0) {
        let mut words = [0; ROWS];
        for (place, group) in groups.iter().enumerate() {
            for row in 0..ROWS {
                words[row] |= (group[row] >> SHIFT & mask) << (place * BITS);
            }
        }
        *line = words.map(u32::to_ne_bytes);
    }
}
