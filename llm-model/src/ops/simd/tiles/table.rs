//! Values of four bits that are places in a table of numbers.

/// The numbers that values stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Twice those of E2M1, a float of four bits; -0 is 0. Format: OCP Microscaling Formats,
    /// <https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf>.
    Mxfp4,
    /// Those of ggml's IQ4_NL, which lie closer to each other around 0.
    Iq4Nl,
}

impl Table {
    /// The number of each value.
    pub const fn numbers(self) -> [i8; 16] {
        match self {
            Self::Mxfp4 => [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12],
            Self::Iq4Nl => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113],
        }
    }

    /// What stands for 0 among the numbers that kernels multiply, none of which is below it.
    pub const fn zero(self) -> u8 {
        match self {
            Self::Mxfp4 => 12,
            Self::Iq4Nl => 128,
        }
    }

    /// The numbers that kernels multiply: each is [`Table::zero`] more than it stands for.
    pub const fn raised(self) -> [u8; 16] {
        match self {
            Self::Mxfp4 => const { raised(Self::Mxfp4) },
            Self::Iq4Nl => const { raised(Self::Iq4Nl) },
        }
    }
}

const fn raised(table: Table) -> [u8; 16] {
    let (numbers, mut raised, mut value) = (table.numbers(), [0; 16], 0);
    while value < raised.len() {
        raised[value] = table.zero().wrapping_add_signed(numbers[value]);
        value += 1;
    }
    raised
}

/// How the bits of a value become a number from 0 to 255.
pub trait Values {
    /// Bits of a value.
    const BITS: usize;
    /// The numbers of all values, where these are not the numbers themselves.
    const TABLE: Option<[u8; 16]> = None;
    /// Parts of a block that have sums, and perhaps factors, of their own: two where each half has a scale.
    const PARTS: usize = 1;
    /// Whether there are numbers above 127, which are no signed bytes as they are.
    #[cfg(target_arch = "aarch64")]
    const LARGE: bool = {
        let (mut large, mut value) = (Self::BITS == 8, 0);
        if let Some(table) = Self::TABLE {
            while value < table.len() {
                large |= table[value] > 127;
                value += 1;
            }
        }
        large
    };
}

/// Whole numbers of so many bits.
pub struct Whole<const BITS: usize>;

impl<const BITS: usize> Values for Whole<BITS> {
    const BITS: usize = BITS;
}

/// Whole numbers of so many bits, each half of a block with a scale of its own.
pub struct Halves<const BITS: usize>;

impl<const BITS: usize> Values for Halves<BITS> {
    const BITS: usize = BITS;
    const PARTS: usize = 2;
}

/// Those of [`Table::Mxfp4`].
pub struct Mxfp4;

impl Values for Mxfp4 {
    const BITS: usize = 4;
    const TABLE: Option<[u8; 16]> = Some(Table::Mxfp4.raised());
}

/// Those of [`Table::Iq4Nl`].
pub struct Iq4Nl;

impl Values for Iq4Nl {
    const BITS: usize = 4;
    const TABLE: Option<[u8; 16]> = Some(Table::Iq4Nl.raised());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_raised_by_what_stands_for_zero() {
        for (table, most) in [(Table::Mxfp4, 24), (Table::Iq4Nl, 241)] {
            let raised = table.raised();
            let back = raised.map(|number| i32::from(number) - i32::from(table.zero()));
            assert_eq!((back, raised.into_iter().max()), (table.numbers().map(i32::from), Some(most)));
        }
    }
}
