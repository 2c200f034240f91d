//! Experts whose matrices a file holds in one tensor of each kind, as gpt-oss has them, shown one by one with their outputs first.
//!
//! `X [experts, in, out]` becomes `0.X.weight [out, in]` and so on behind `.experts.`, and `X_bias [experts, out]` becomes `0.X.bias`.
//! Released files hold X in MXFP4: `X_blocks [experts, out, in / 32, 16]` has two numbers of four bits in each byte, the first in the low
//! half, and `X_scales [experts, out, in / 32]` the exponents. That is how a [`StoredMatrix`] has them, too. Format: OCP Microscaling Formats,
//! <https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf>.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use llm_model::quant::{BLOCK, Flaw, QuantFormat, QuantShape, StoredMatrix};

use super::rows::QuantRows;
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// What `quantization_config.quant_method` of such files says.
pub(super) const METHOD: &str = "mxfp4";
/// Behind it stand the number of an expert, or the tensors of all.
pub(super) const EXPERTS: &str = ".experts.";
/// The most experts of a layer.
const MAX_EXPERTS: usize = 1 << 12;
/// A source whose stacked experts are shown one by one.
pub(super) struct Stacked {
    source: Box<dyn WeightSource>,
    shown: Shown,
}

/// The tensors that are shown, and what those of experts are made of.
#[derive(Default)]
struct Shown {
    tensors: Vec<TensorInfo>,
    parts: HashMap<String, Part>,
}

/// What one tensor is made of.
struct Part {
    stored: String,
    expert: usize,
    form: Form,
}

#[derive(Clone)]
enum Form {
    /// As it is shown.
    Plain,
    /// Inputs first.
    Transposed,
    /// In MXFP4, with the exponents in the tensor of this name.
    Mxfp4(String),
}

impl Stacked {
    /// The tensors of `source`.
    ///
    /// # Errors
    /// Blocks of MXFP4 without exponents of their shape.
    pub fn new(source: Box<dyn WeightSource>) -> Result<Self> {
        let names: HashSet<&str> = source.tensors().iter().map(|info| info.name.as_str()).collect();
        let mut shown = Shown::default();
        for info in source.tensors() {
            let kind = info.name.split_once(EXPERTS).filter(|(_, kind)| !kind.starts_with(|c: char| c.is_ascii_digit()));
            let Some((layer, kind)) = kind.filter(|_| info.shape.first().is_some_and(|experts| *experts <= MAX_EXPERTS)) else {
                shown.tensors.push(info.clone());
                continue;
            };
            if let Some(of) = info.name.strip_suffix("_scales").filter(|of| names.contains(format!("{of}_blocks").as_str())) {
                scales(source.tensors(), of)?;
                continue;
            }
            let (name, shape, form) = match info.shape[1..] {
                [outputs] => (format!("{}.bias", kind.trim_end_matches("_bias")), vec![outputs], Form::Plain),
                [inputs, outputs] => (format!("{kind}.weight"), vec![outputs, inputs], Form::Transposed),
                [outputs, groups, 16] if kind.ends_with("_blocks") && info.dtype == DType::U8 => {
                    let of = info.name.trim_end_matches("_blocks");
                    let shape = vec![outputs, groups * BLOCK];
                    (format!("{}.weight", kind.trim_end_matches("_blocks")), shape, Form::Mxfp4(scales(source.tensors(), of)?))
                }
                _ => {
                    shown.tensors.push(info.clone());
                    continue;
                }
            };
            shown.add(info, &format!("{layer}{EXPERTS}"), &name, &shape, &form);
        }
        drop(names);
        Ok(Self { source, shown })
    }
}

impl Shown {
    /// Shows `stored` as the tensors `name` of all experts behind `prefix`.
    fn add(&mut self, stored: &TensorInfo, prefix: &str, name: &str, shape: &[usize], form: &Form) {
        let experts = stored.shape[0];
        let packed = matches!(form, Form::Mxfp4(_));
        let one = stored.bytes / experts.max(1) as u64;
        for expert in 0..experts {
            let name = format!("{prefix}{expert}.{name}");
            self.tensors.push(TensorInfo {
                name: name.clone(),
                format: packed.then_some(QuantFormat::Mxfp4),
                shape: shape.to_vec(),
                // Beside 16 bytes of a block stands its exponent.
                bytes: if packed { one + one / 16 } else { one },
                ..stored.clone()
            });
            self.parts.insert(name, Part { stored: stored.name.clone(), expert, form: form.clone() });
        }
    }
}

/// The name of the exponents of `of`, which fit its blocks.
fn scales(tensors: &[TensorInfo], of: &str) -> Result<String> {
    let find = |name: String| tensors.iter().find(|info| info.name == name);
    let (blocks, name) = (find(format!("{of}_blocks")), format!("{of}_scales"));
    let Some(blocks) = blocks else { return Ok(name) };
    let expected = &blocks.shape[..blocks.shape.len() - 1];
    match find(name.clone()) {
        Some(scales) if scales.shape == expected && scales.dtype == DType::U8 => Ok(name),
        found => {
            let got = found.map_or("nothing".to_owned(), |info| format!("{} {:?}", info.type_name(), info.shape));
            let expected = format!("u8 {expected:?}, an exponent for each block of `{}`", blocks.name);
            Err(Error::invalid(&blocks.file, format!("tensor `{name}`"), got, expected))
        }
    }
}

impl WeightSource for Stacked {
    fn tensors(&self) -> &[TensorInfo] {
        &self.shown.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let Some(Part { stored, expert, form }) = self.shown.parts.get(name) else { return self.source.read(name) };
        let data = || self.source.read_part(stored, *expert);
        Ok(match form {
            Form::Plain => data()?,
            Form::Transposed => transposed(&data()?),
            Form::Mxfp4(_) => {
                let matrix = self.read_quantized(name)?.matrix();
                TensorData::new(matrix.dequantize(), [matrix.rows, matrix.width])
            }
        })
    }

    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let Some(Part { stored, expert, form: Form::Mxfp4(scales) }) = self.shown.parts.get(name) else {
            return self.source.quantized_rows(name);
        };
        let (blocks, exponents) = (self.source.read_part(stored, *expert)?, self.source.read_part(scales, *expert)?);
        let stored = kept(blocks, exponents);
        stored.check().map_err(|Flaw { part, row, place, got, expected }| {
            let file = self.shown.tensors.iter().find(|info| info.name == name).map(|info| info.file.clone());
            let field = format!("tensor `{scales}`: {part} at [{expert}, {row}, {place}]");
            Error::invalid(file.as_deref().unwrap_or(Path::new("")), field, format!("`{got}`"), expected)
                .with_hint("the file is damaged: download it again")
        })?;
        Ok(Box::new(stored))
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.source.blobs()
    }
}

/// The matrix `data` with rows and columns exchanged.
pub(super) fn transposed(data: &TensorData) -> TensorData {
    let (rows, columns, size) = (data.shape()[0], data.shape()[1], data.dtype().size());
    let bytes = data.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        (0..rows).for_each(|row| out.extend_from_slice(&bytes[(row * columns + column) * size..][..size]));
    }
    TensorData::from_bytes_vec(out, vec![columns, rows], data.dtype())
}

/// `blocks [rows, groups, 16]` with `exponents [rows, groups]`, as they are.
fn kept(blocks: TensorData, exponents: TensorData) -> StoredMatrix {
    let shape = QuantShape { format: QuantFormat::Mxfp4, rows: blocks.shape()[0], width: blocks.shape()[1] * BLOCK };
    let [values, exponents] = [blocks, exponents].map(|data| data.into_bytes().to_vec());
    StoredMatrix { shape, values, scales: Vec::new(), exponents, minima: Vec::new(), steps: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What four bits mean.
    const FP4: [f32; 16] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

    #[test]
    fn blocks_and_exponents_are_numbers() {
        // A row of one block for each exponent: all codes twice.
        let codes: Vec<u8> = (0..16).map(|pair| (2 * pair % 16) | ((2 * pair + 1) % 16) << 4).collect();
        let blocks = TensorData::new(codes.repeat(255), [255, 1, 16]);
        let matrix = kept(blocks, TensorData::new((0..=254).collect::<Vec<u8>>(), [255, 1]));
        assert_eq!(matrix.check(), Ok(()));
        let wide = |exponent: i32, x: f32| (f64::from(x) * 2.0_f64.powi(exponent - 127)) as f32;
        let want: Vec<f32> = (0..=254).flat_map(|exponent| FP4.repeat(2).into_iter().map(move |x| wide(exponent, x))).collect();
        assert_eq!(matrix.matrix().dequantize(), want);
    }

    #[test]
    fn rows_become_columns() {
        let turned = transposed(&TensorData::new(vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]));
        assert_eq!(turned, TensorData::new(vec![1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0], [3, 2]));
    }
}
