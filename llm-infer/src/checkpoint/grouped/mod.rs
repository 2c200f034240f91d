//! Folders whose matrices GPTQ or AWQ packed, as if they were a Hugging Face checkpoint in our formats.
//!
//! A weight is s·(q − z): q has a few bits, and groups of inputs of an output share a scale s in f16 and a whole number z. Where groups
//! are whole blocks and follow each other, that is what a block of ours says with q − z for its value, exactly: of four bits in int4 where
//! all z are 8, else in int5, which has the numbers from −16 to 15. Other matrices are widened to f32 when they are read, which the
//! report of a load says; nothing is quantized again.

mod layout;
mod matrix;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use llm_model::quant::{BLOCK, METHOD, QuantFormat, QuantShape, RowsMut};
use llm_model::{ModelConfig, arch};
use serde_json::{Value, json};

use self::layout::Packing;
use self::matrix::{Numbers, Parts};
use super::json;
use super::rows::{QuantRows, sound};
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// The tensors of a checkpoint whose packed matrices are shown as one tensor each.
pub(super) struct Grouped {
    source: Box<dyn WeightSource>,
    tensors: Vec<TensorInfo>,
    matrices: HashMap<String, Parts>,
}

/// Where older folders say how their weights are packed, and which method those are of.
const OLD_CONFIGS: [(&str, &str); 2] = [("quantize_config.json", "gptq"), ("quant_config.json", "awq")];

/// `source` with its packed matrices under the names of their weights, and `config`, the content of `path` in `folder`, with what that
/// means here; both as they are where the weights are packed neither by GPTQ nor by AWQ.
///
/// # Errors
/// A packing that is not known, and tensors that do not belong together.
pub(super) fn unpacked(folder: &Path, path: &Path, source: Box<dyn WeightSource>, config: &mut Value) -> Result<Box<dyn WeightSource>> {
    if !source.tensors().iter().any(|info| info.name.ends_with(".qweight")) {
        return Ok(source);
    }
    let mut path = path.to_owned();
    if config.get("quantization_config").is_none_or(Value::is_null)
        && let Some((name, method)) = OLD_CONFIGS.iter().find(|(name, _)| folder.join(name).symlink_metadata().is_ok())
    {
        path = folder.join(name);
        let mut old = json::read_object(&path)?;
        old["quant_method"] = json!(method);
        config["quantization_config"] = old;
    }
    let Some(packing) = Packing::of(&path, config)? else { return Ok(source) };
    let mut family = config.clone();
    family.as_object_mut().map(|fields| fields.remove("quantization_config"));
    let layout = ModelConfig::from_json(&family).ok().and_then(|family| arch::layout(&family));
    if layout.as_ref().is_some_and(|layout| !layout.transposed.is_empty()) {
        let got = format!("{} of a family that stores its matrices with the inputs first", packing.method.name());
        return Err(Error::invalid(&path, "quantization_config", got, "weights in floats").with_hint("fetch the model in floats"));
    }
    let grouped = Grouped::new(source, packing, layout.is_none())?;
    let mut formats: Vec<&str> = grouped.tensors.iter().filter_map(|info| info.format.map(QuantFormat::name)).collect();
    formats.sort_unstable();
    formats.dedup();
    let Some(fields) = config.as_object_mut() else { return Ok(Box::new(grouped)) };
    fields.remove("quantization_config");
    if !formats.is_empty() {
        let described = json!({"quant_method": METHOD, "method": packing.method.name(), "bits": packing.bits, "formats": formats});
        fields.insert("quantization_config".to_owned(), described);
    }
    Ok(Box::new(grouped))
}

impl Grouped {
    fn new(source: Box<dyn WeightSource>, packing: Packing, keep: bool) -> Result<Self> {
        let by_name: HashMap<&str, &TensorInfo> = source.tensors().iter().map(|info| (info.name.as_str(), info)).collect();
        let (mut tensors, mut matrices) = (Vec::new(), HashMap::new());
        for info in source.tensors() {
            let stem =
                |ending: &str| info.name.strip_suffix(ending).filter(|stem| by_name.contains_key(format!("{stem}.qweight").as_str()));
            if let Some(stem) = stem(".qweight") {
                let parts = Parts::new(stem, &by_name, packing)?;
                let name = format!("{stem}.weight");
                if let Some(other) = by_name.get(name.as_str()) {
                    return Err(Error::invalid(
                        &other.file,
                        format!("tensor `{name}`"),
                        "it beside packed ones of its name",
                        "one of them",
                    ));
                }
                let held = parts.held(&*source, keep)?;
                tensors.push(TensorInfo {
                    name: name.clone(),
                    dtype: if held.is_ok() { DType::U8 } else { DType::F32 },
                    format: held.ok(),
                    packing: held.err(),
                    shape: vec![parts.rows, parts.width],
                    bytes: parts.bytes,
                    file: info.file.clone(),
                });
                matrices.insert(name, parts);
            } else if [".qzeros", ".scales", ".g_idx"].iter().all(|ending| stem(ending).is_none()) {
                tensors.push(info.clone());
            }
        }
        drop(by_name);
        Ok(Self { source, tensors, matrices })
    }

    fn format(&self, name: &str) -> Option<QuantFormat> {
        self.tensors.iter().find(|info| info.name == name)?.format
    }
}

impl WeightSource for Grouped {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let Some(parts) = self.matrices.get(name) else { return self.source.read(name) };
        Ok(TensorData::new(parts.read(&*self.source)?.widened(), [parts.rows, parts.width]))
    }

    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let (Some(parts), Some(format)) = (self.matrices.get(name), self.format(name)) else { return self.source.quantized_rows(name) };
        let numbers = parts.read(&*self.source)?;
        let shape = QuantShape { format, rows: numbers.rows, width: numbers.width };
        Ok(Box::new(GroupedRows { name: name.to_owned(), file: &parts.file, numbers, shape }))
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.source.blobs()
    }
}

/// One packed matrix in a format of ours.
struct GroupedRows<'a> {
    name: String,
    file: &'a Path,
    numbers: Numbers,
    shape: QuantShape,
}

impl QuantRows for GroupedRows<'_> {
    fn shape(&self) -> QuantShape {
        self.shape
    }

    fn read(&self, first: usize, mut out: RowsMut, _: &mut Vec<u8>) -> Result<()> {
        self.numbers.put(first, out.part(0..out.shape.rows));
        sound(out.check(), first, |flaw| {
            let field = format!("tensor `{}`: {} at [{}, {}]", self.name, flaw.part, flaw.row, flaw.place * BLOCK);
            Error::invalid(self.file, field, format!("`{}`", flaw.got), flaw.expected).with_hint("the file is damaged: download it again")
        })
    }
}
