//! How ggml stores numbers: element types and blocks.

use burn::tensor::DType;

/// A type of tensor elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GgmlType {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    I8,
    I16,
    I32,
    I64,
    F64,
    Bf16,
    Mxfp4,
}

/// Type, number in files, name, elements of a block, bytes of a block.
const ALL: [(GgmlType, u32, &str, usize, usize); 20] = [
    (GgmlType::F32, 0, "F32", 1, 4),
    (GgmlType::F16, 1, "F16", 1, 2),
    (GgmlType::Q4_0, 2, "Q4_0", 32, 18),
    (GgmlType::Q4_1, 3, "Q4_1", 32, 20),
    (GgmlType::Q5_0, 6, "Q5_0", 32, 22),
    (GgmlType::Q5_1, 7, "Q5_1", 32, 24),
    (GgmlType::Q8_0, 8, "Q8_0", 32, 34),
    (GgmlType::Q2K, 10, "Q2_K", 256, 84),
    (GgmlType::Q3K, 11, "Q3_K", 256, 110),
    (GgmlType::Q4K, 12, "Q4_K", 256, 144),
    (GgmlType::Q5K, 13, "Q5_K", 256, 176),
    (GgmlType::Q6K, 14, "Q6_K", 256, 210),
    (GgmlType::Iq4Nl, 20, "IQ4_NL", 32, 18),
    (GgmlType::I8, 24, "I8", 1, 1),
    (GgmlType::I16, 25, "I16", 1, 2),
    (GgmlType::I32, 26, "I32", 1, 4),
    (GgmlType::I64, 27, "I64", 1, 8),
    (GgmlType::F64, 28, "F64", 1, 8),
    (GgmlType::Bf16, 30, "BF16", 1, 2),
    (GgmlType::Mxfp4, 39, "MXFP4", 32, 17),
];

/// The names in small letters, as types are shown.
const LOWERCASE: [&str; 20] = [
    "f32", "f16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "i8", "i16", "i32", "i64",
    "f64", "bf16", "mxfp4",
];

impl GgmlType {
    /// The type of that number in files.
    pub fn from_id(id: u32) -> Option<Self> {
        ALL.iter().find(|(_, known, ..)| *known == id).map(|(kind, ..)| *kind)
    }

    /// Its number in files.
    pub fn id(self) -> u32 {
        ALL.iter().find(|(kind, ..)| *kind == self).map_or(0, |(_, id, ..)| *id)
    }

    fn row(self) -> (&'static str, usize, usize) {
        let found = ALL.iter().find(|(kind, ..)| *kind == self);
        found.map_or(("", 1, 1), |(_, _, name, block, bytes)| (*name, *block, *bytes))
    }

    /// Its name, as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Its name, as `q4_k`.
    pub fn lowercase(self) -> &'static str {
        ALL.iter().zip(LOWERCASE).find(|((kind, ..), _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The element type that has its numbers as they are stored; `None` for blocks.
    pub fn dtype(self) -> Option<DType> {
        Some(match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
            Self::F64 => DType::F64,
            Self::I8 => DType::I8,
            Self::I16 => DType::I16,
            Self::I32 => DType::I32,
            Self::I64 => DType::I64,
            _ => return None,
        })
    }

    /// All of them.
    #[cfg(test)]
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|(kind, ..)| kind)
    }

    /// The names of all.
    pub fn names() -> String {
        ALL.map(|(_, _, name, ..)| name).join(", ")
    }

    /// Elements of a block; 1 where each element stands for itself.
    pub fn block(self) -> usize {
        self.row().1
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.row().2
    }

    /// Bytes of `elements`; `None` where these are no whole blocks.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let block = self.block() as u64;
        elements.is_multiple_of(block).then(|| elements / block * self.block_bytes() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_number() {
        for (kind, id, name, block, bytes) in ALL {
            assert_eq!((GgmlType::from_id(id), kind.id()), (Some(kind), id));
            assert_eq!(kind.name().to_lowercase(), kind.lowercase());
            assert_eq!((kind.name(), kind.bytes(2 * block as u64)), (name, Some(2 * bytes as u64)));
        }
        assert_eq!(GgmlType::from_id(4), None);
        assert_eq!(GgmlType::Q4K.bytes(255), None);
    }
}
