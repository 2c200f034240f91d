//! Which type each tensor gets, and what is refused because it would be rounded a second time.

use burn::tensor::DType;
use llm_model::quant::BLOCK;

use super::ConvertOptions;
use crate::checkpoint::TensorInfo;
use crate::checkpoint::gguf::pack;
use crate::checkpoint::gguf::types::GgmlType;
use crate::{Error, Result};

/// The type of the matrices of what is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WeightType {
    /// As they are stored.
    #[default]
    Auto,
    /// Floats of 32 bits.
    F32,
    /// Floats of 16 bits.
    F16,
    /// The upper halves of floats of 32 bits.
    Bf16,
    /// ggml's blocks of 8 bits.
    Q8_0,
    /// ggml's blocks of 4 bits; embedding and head have 8.
    Q4_0,
}

impl WeightType {
    /// The floats that it stands for; `None` for those as stored, and for blocks.
    pub(super) fn floats(self) -> Option<DType> {
        match self {
            Self::F32 => Some(DType::F32),
            Self::F16 => Some(DType::F16),
            Self::Bf16 => Some(DType::BF16),
            Self::Auto | Self::Q8_0 | Self::Q4_0 => None,
        }
    }

    /// The blocks that it stands for, of a tensor of a layer or of another one.
    fn blocks(self, in_layer: bool) -> Option<GgmlType> {
        match self {
            Self::Q8_0 => Some(GgmlType::Q8_0),
            Self::Q4_0 => Some(if in_layer { GgmlType::Q4_0 } else { GgmlType::Q8_0 }),
            _ => None,
        }
    }
}

/// What becomes of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// The type in the file.
    pub kind: GgmlType,
    /// Whether its bits are kept.
    pub keeps_bits: bool,
}

/// Floats of ggml.
pub(super) fn floats(dtype: DType) -> GgmlType {
    match dtype {
        DType::F16 => GgmlType::F16,
        DType::BF16 => GgmlType::Bf16,
        _ => GgmlType::F32,
    }
}

/// Parts of names in GGUF files of matrices that llama.cpp wants in floats of 32 bits: routers, positions, norms of heads.
const ALWAYS_F32: [&str; 5] = [".ffn_gate_inp.", ".ffn_gate_inp_shexp.", "position_embd.", ".attn_q_norm.", ".attn_k_norm."];

/// The fate of a tensor that is called `name` in a GGUF file, where vectors are floats of 32 bits and rows of blocks are whole ones.
pub(super) fn fate(info: &TensorInfo, name: &str, options: &ConvertOptions) -> Result<Fate> {
    let plain = |kind| Ok(Fate { kind, keeps_bits: false });
    if info.shape.len() < 2 || ALWAYS_F32.iter().any(|part| name.contains(part)) {
        return plain(GgmlType::F32);
    }
    let whole = info.shape.last().is_some_and(|width| width.is_multiple_of(BLOCK));
    let kept = info.format.filter(|_| whole).and_then(pack::kind_of);
    let wanted = options.dtype.blocks(info.name.contains(".layers.")).filter(|_| whole);
    match (options.dtype.floats(), wanted, kept) {
        (Some(dtype), ..) => plain(floats(dtype)),
        (None, None, Some(kind)) if options.dtype == WeightType::Auto => Ok(Fate { kind, keeps_bits: true }),
        (None, Some(wanted), Some(kept)) if wanted == kept => Ok(Fate { kind: kept, keeps_bits: true }),
        (None, Some(wanted), _) if !info.is_rounded() || options.requantize => plain(wanted),
        // llama.cpp, too, has halves where rows are no whole blocks.
        (None, None, _) if options.dtype != WeightType::Auto => plain(GgmlType::F16),
        (None, None, None) if !info.is_rounded() => plain(floats(info.dtype)),
        (None, wanted, _) => Err(refused(info, wanted)),
    }
}

/// A second rounding, or bits for which there is no type.
fn refused(info: &TensorInfo, wanted: Option<GgmlType>) -> Error {
    let field = format!("tensor `{}`", info.name);
    let Some(wanted) = wanted else {
        return Error::invalid(
            &info.file,
            field,
            info.type_name(),
            "a type that is kept bit for bit: q8_0, q4_0, q4_1, q5_0, q5_1, mxfp4, iq4_nl, or floats",
        )
        .with_hint("`--dtype f16` or `--dtype f32` writes the floats that it means");
    };
    let expected = format!("floats, as `{}` would round its numbers a second time", wanted.lowercase());
    Error::invalid(&info.file, field, info.type_name(), expected)
        .with_hint("convert the model that it was made from, keep its bits with `--dtype auto`, or add `--allow-requantize`")
}
