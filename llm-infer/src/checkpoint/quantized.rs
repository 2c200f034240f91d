//! A `.safetensors` file with quantized tensors: `X.values`, `X.scales` (or `X.exponents`) and perhaps `X.minima` and `X.steps`
//! are shown as the one tensor `X`.

use std::collections::HashMap;

use burn::tensor::{DType, TensorData, f16};
use llm_model::quant::{Flaw, METHOD, QuantFormat, QuantShape, RowsMut, check_values, get_planes};
use serde_json::{Value, json};

use super::notes;
use super::rows::{QuantRows, sound};
use super::safetensors::Safetensors;
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// The names of the parts of a quantized tensor, after its own.
pub(super) const VALUES: &str = ".values";
pub(super) const SCALES: &str = ".scales";
pub(super) const MINIMA: &str = ".minima";
pub(super) const STEPS: &str = ".steps";
pub(super) const EXPONENTS: &str = ".exponents";

/// A file some of whose tensors are quantized.
#[derive(Debug)]
pub(super) struct Quantized {
    file: Safetensors,
    tensors: Vec<TensorInfo>,
    shapes: HashMap<String, QuantShape>,
}

/// The parts of a quantized tensor: name, dtype and dimensions.
pub(super) fn parts(name: &str, shape: QuantShape) -> Vec<(String, DType, [usize; 2])> {
    let mut parts = vec![(format!("{name}{VALUES}"), DType::U8, [shape.rows, shape.row_bytes()])];
    let factors = |part: &str, dtype| (format!("{name}{part}"), dtype, [shape.rows, shape.scales()]);
    parts.push(if shape.format.has_exponents() { factors(EXPONENTS, DType::U8) } else { factors(SCALES, DType::F16) });
    if shape.format.has_minima() {
        parts.push(factors(MINIMA, DType::F16));
    }
    if shape.format.steps().is_some() {
        parts.push((format!("{name}{STEPS}"), DType::U8, [shape.rows, 2 * shape.blocks()]));
    }
    parts
}

/// Says in `config` that some of `tensors`, quantized by `method`, are in our formats; nothing where none is.
pub(super) fn mark_quantized(config: &mut Value, tensors: &[TensorInfo], method: &str) {
    let mut names: Vec<_> = tensors.iter().filter_map(|info| info.format).map(QuantFormat::name).collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        config["quantization_config"] = json!({"quant_method": METHOD, "method": method, "formats": names});
    }
}

/// `file` as it is, or with its quantized tensors joined where its notes name some.
pub(super) fn joined(file: Safetensors) -> Result<Box<dyn WeightSource>> {
    let Some(notes) = file.metadata().get(notes::KEY) else { return Ok(Box::new(file)) };
    let shapes = notes::read(file.path(), notes)?;
    Ok(Box::new(Quantized::new(file, shapes)?))
}

impl Quantized {
    fn new(file: Safetensors, shapes: Vec<(String, QuantShape)>) -> Result<Self> {
        let mut stored: HashMap<&str, &TensorInfo> = file.tensors().iter().map(|info| (info.name.as_str(), info)).collect();
        let mut whole = HashMap::new();
        for (name, shape) in &shapes {
            let field = |part: &str| format!("tensor `{part}`");
            if stored.contains_key(name.as_str()) {
                return Err(Error::invalid(file.path(), field(name), "it beside a quantized one of its name", "one of them"));
            }
            let mut bytes = 0;
            for (part, dtype, dims) in parts(name, *shape) {
                let expected = format!("{} {dims:?}, as {} {:?} needs", dtype.name(), shape.format, [shape.rows, shape.width]);
                let Some(info) = stored.remove(part.as_str()) else {
                    return Err(Error::invalid(file.path(), field(&part), "nothing", expected));
                };
                if info.dtype != dtype || info.shape != dims {
                    return Err(Error::invalid(file.path(), field(&part), format!("{} {:?}", info.dtype.name(), info.shape), expected));
                }
                bytes += info.bytes;
            }
            let (format, dims) = (Some(shape.format), vec![shape.rows, shape.width]);
            let joined =
                TensorInfo { name: name.clone(), dtype: DType::U8, shape: dims, bytes, format, packing: None, file: file.path().into() };
            whole.insert(format!("{name}{VALUES}"), joined);
        }
        // In the order of the file, each where its values are.
        let listed = |info: &TensorInfo| whole.remove(&info.name).or_else(|| stored.contains_key(info.name.as_str()).then(|| info.clone()));
        let tensors = file.tensors().iter().filter_map(listed).collect();
        Ok(Self { tensors, shapes: shapes.into_iter().collect(), file })
    }
}

impl WeightSource for Quantized {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        if !self.shapes.contains_key(name) {
            return self.file.read(name);
        }
        let matrix = self.read_quantized(name)?.matrix();
        Ok(TensorData::new(matrix.dequantize(), [matrix.rows, matrix.width]))
    }

    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let unknown = || Error::invalid(self.file.path(), format!("tensor `{name}`"), "no such quantized tensor", "one");
        let shape = *self.shapes.get(name).ok_or_else(unknown)?;
        Ok(Box::new(Rows { file: &self.file, name: name.to_owned(), shape }))
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.file.blobs()
    }
}

/// The rows of one quantized tensor.
struct Rows<'a> {
    file: &'a Safetensors,
    name: String,
    shape: QuantShape,
}

impl Rows<'_> {
    /// The bytes of `part` in `count` rows from `first` on, of which a row has `of_row`.
    fn part<'b>(&self, part: &str, first: usize, count: usize, of_row: usize, bytes: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        bytes.resize(count * of_row, 0);
        self.file.read_bytes(&format!("{}{part}", self.name), first * of_row, bytes)?;
        Ok(bytes)
    }

    fn flaw(&self, Flaw { part, row, place, got, expected }: Flaw) -> Error {
        let field = format!("tensor `{}.{part}` at [{row}, {place}]", self.name);
        Error::invalid(self.file.path(), field, format!("`{got}`"), expected).with_hint("the file is damaged; quantize the model again")
    }
}

impl QuantRows for Rows<'_> {
    fn shape(&self) -> QuantShape {
        self.shape
    }

    fn read(&self, first: usize, out: RowsMut, bytes: &mut Vec<u8>) -> Result<()> {
        let (shape, count) = (out.shape, out.shape.rows);
        let factors = |bytes: &[u8], out: &mut [f16]| {
            out.iter_mut().zip(bytes.as_chunks().0).for_each(|(factor, bytes)| *factor = f16::from_le_bytes(*bytes));
        };
        if shape.format.has_exponents() {
            out.exponents.copy_from_slice(self.part(EXPONENTS, first, count, shape.scales(), bytes)?);
        } else {
            factors(self.part(SCALES, first, count, 2 * shape.scales(), bytes)?, out.scales);
        }
        if !out.minima.is_empty() {
            factors(self.part(MINIMA, first, count, 2 * shape.scales(), bytes)?, out.minima);
        }
        if !out.steps.is_empty() {
            out.steps.as_flattened_mut().copy_from_slice(self.part(STEPS, first, count, 2 * shape.blocks(), bytes)?);
        }
        let values = self.part(VALUES, first, count, shape.row_bytes(), bytes)?;
        for (bytes, row) in values.chunks_exact(shape.row_bytes()).zip(out.values.chunks_exact_mut(shape.width)) {
            get_planes(shape.format.bits(), bytes, row);
        }
        sound(out.check().and_then(|()| check_values(shape, values)), first, |flaw| self.flaw(flaw))
    }
}
