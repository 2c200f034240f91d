//! Parameters shown as the tensors that a family, or a file of another format, stores them in: `derived.rs` the other way.

use std::collections::HashMap;

use burn::tensor::{DType, TensorData};
use llm_model::arch::{Layout, Stored, StoredPart};
use llm_model::quant::{QuantShape, StoredMatrix};

use super::rows::QuantRows;
use super::source::{TensorInfo, WeightSource};
use super::stacked::transposed;
use crate::{Error, Result};

/// A source whose tensors are made of the parameters of another.
pub(crate) struct Restored<'a> {
    source: &'a dyn WeightSource,
    tensors: Vec<TensorInfo>,
    all: HashMap<String, (Stored, Vec<TensorInfo>)>,
}

impl<'a> Restored<'a> {
    /// The parameters among the tensors of `source`, those that `is_weight` says, as `layout` stores them.
    ///
    /// # Errors
    /// A parameter that the layout has no place for, and what `is_weight` returns.
    pub fn new(source: &'a dyn WeightSource, layout: &Layout, is_weight: &dyn Fn(&str) -> Result<bool>) -> Result<Self> {
        let mut parameters = HashMap::new();
        let mut shapes: Vec<(&str, &[usize])> = Vec::new();
        for info in source.tensors() {
            if is_weight(&info.name)? {
                let path = info.name.strip_prefix("model.").unwrap_or(&info.name);
                parameters.insert(path, info);
                shapes.push((path, &info.shape));
            }
        }
        let stored = layout.stored(&shapes).map_err(|path| {
            let (file, shape) = parameters.get(path.as_str()).map_or((std::path::Path::new(""), &[][..]), |info| (&info.file, &info.shape));
            Error::invalid(file, format!("tensor `{path}`"), format!("{shape:?}"), "one that the family stores")
        })?;
        let mut restored = Self { source, tensors: Vec::new(), all: HashMap::new() };
        for stored in stored {
            let parts: Vec<TensorInfo> = stored.parts.iter().map(|part| parameters[part.path.as_str()].clone()).collect();
            restored.tensors.push(info(&stored, &parts));
            restored.all.insert(stored.name.clone(), (stored, parts));
        }
        Ok(restored)
    }
}

/// What the tensor looks like.
fn info(stored: &Stored, parts: &[TensorInfo]) -> TensorInfo {
    let first = &parts[0];
    let alike = parts.iter().all(|part| (part.dtype, part.format, part.packing) == (first.dtype, first.format, first.packing));
    let is_packed = parts.iter().any(|part| part.format.is_some());
    let share = |(part, info): (&StoredPart, &TensorInfo)| {
        info.bytes * part.rows.len() as u64 / info.shape.first().copied().unwrap_or(1).max(1) as u64
    };
    let format = first.format.filter(|_| alike && !stored.transposed);
    TensorInfo {
        name: stored.name.clone(),
        dtype: if format.is_some() || (alike && !is_packed && !stored.minus_one) { first.dtype } else { DType::F32 },
        format,
        // Packed weights that cannot lie in one packed tensor.
        packing: if format.is_none() && is_packed { Some("packed weights of several kinds") } else { first.packing },
        shape: stored.shape.clone(),
        bytes: stored.parts.iter().zip(parts).map(share).sum(),
        file: first.file.clone(),
    }
}

/// Whether the tensor is the parameter.
fn is_whole(stored: &Stored, parts: &[TensorInfo]) -> bool {
    stored.is_plain() && stored.shape == parts[0].shape
}

impl Restored<'_> {
    /// The names of the parameters that the tensor `name` is made of.
    pub fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        self.all.get(name).into_iter().flat_map(|(_, parts)| parts).map(|info| info.name.as_str())
    }

    fn entry(&self, name: &str) -> Result<&(Stored, Vec<TensorInfo>)> {
        let file = self.tensors.first().map(|info| info.file.clone());
        let missing = || Error::invalid(file.as_deref().unwrap_or("".as_ref()), format!("tensor `{name}`"), "nothing", "a tensor");
        self.all.get(name).ok_or_else(missing)
    }
}

impl WeightSource for Restored<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let (stored, parts) = self.entry(name)?;
        if is_whole(stored, parts) {
            return self.source.read(&parts[0].name);
        }
        let mut read = parts.iter().map(|part| self.source.read(&part.name)).collect::<Result<Vec<_>>>()?;
        if read.iter().any(|data| data.dtype() != read[0].dtype()) {
            read = read.into_iter().map(|data| data.convert_dtype(DType::F32)).collect();
        }
        let dtype = read[0].dtype();
        let rows = stored.parts.iter().map(|part| part.rows.len()).sum::<usize>();
        let width = stored.shape.iter().product::<usize>() / rows.max(1);
        let mut bytes = vec![0; rows * width * dtype.size()];
        for (part, data) in stored.parts.iter().zip(&read) {
            scatter(data.as_bytes(), part, width * dtype.size(), &mut bytes);
        }
        let data = TensorData::from_bytes_vec(bytes, if stored.transposed { vec![rows, width] } else { stored.shape.clone() }, dtype);
        let data = if stored.transposed { transposed(&data) } else { data };
        if !stored.minus_one {
            return Ok(data);
        }
        Ok(TensorData::new(data.iter::<f32>().map(|w| w - 1.0).collect::<Vec<_>>(), stored.shape.clone()))
    }

    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let (stored, parts) = self.entry(name)?;
        if is_whole(stored, parts) {
            return self.source.quantized_rows(&parts[0].name);
        }
        let first = self.source.read_quantized(&parts[0].name)?;
        let rows = stored.parts.iter().map(|part| part.rows.len()).sum();
        let shape = QuantShape { rows, ..first.shape };
        let (bytes, scales, blocks) = (shape.row_bytes(), shape.scales(), shape.blocks());
        let mut out = StoredMatrix::zeros(shape);
        for (index, (part, info)) in stored.parts.iter().zip(parts).enumerate() {
            let read = if index == 0 { None } else { Some(self.source.read_quantized(&info.name)?) };
            let matrix = read.as_ref().unwrap_or(&first);
            scatter(&matrix.values, part, bytes, &mut out.values);
            scatter(&matrix.scales, part, scales, &mut out.scales);
            scatter(&matrix.exponents, part, scales, &mut out.exponents);
            scatter(&matrix.minima, part, scales, &mut out.minima);
            scatter(&matrix.steps, part, blocks, &mut out.steps);
        }
        Ok(Box::new(out))
    }
}

/// Puts the rows of `from`, `width` long, that are `part` to their places in `out`; nothing where a format has none of them.
fn scatter<T: Copy>(from: &[T], part: &StoredPart, width: usize, out: &mut [T]) {
    if out.is_empty() {
        return;
    }
    for (row, place) in (part.first..).zip(&part.rows) {
        out[place * width..][..width].copy_from_slice(&from[row * width..][..width]);
    }
}
