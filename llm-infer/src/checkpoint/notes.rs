//! What the `__metadata__` of a file with quantized tensors says: which tensors these are, and how anyone can unpack them.

use llm_model::quant::{BLOCK, QuantFormat, QuantShape, Steps, planes};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;

use super::json::{self, Entries};
use crate::{Error, Result};

/// The entry of `__metadata__`; its value is JSON.
pub(super) const KEY: &str = "quantization";

/// The version of all that is written here.
pub(crate) const VERSION: u64 = 1;

/// The most quantized tensors of one file.
const MAX_TENSORS: usize = 1 << 16;

/// Sizes above this are no matrix of any model; products of two still fit.
const MAX_SIZE: usize = 1 << 30;

#[derive(Deserialize)]
struct Notes {
    version: u64,
    block_size: usize,
    tensors: Entries<Entry, MAX_TENSORS>,
}

#[derive(Deserialize)]
struct Entry {
    format: String,
    shape: [usize; 2],
}

/// How a weight is computed in a format.
fn described(format: QuantFormat) -> Value {
    let weight = match format.table() {
        Some(_) => "scale * table[q]".to_owned(),
        None if format.has_minima() => "scale * q + minimum".to_owned(),
        None => format!("scale * (q - {})", format.zero()),
    };
    let planes: Vec<usize> = planes(format.bits()).iter().map(|(_, bits)| *bits).collect();
    let mut described = json!({"bits": format.bits(), "planes": planes, "weight": weight});
    if let Some(table) = format.table() {
        described["table"] = json!(table.numbers());
    }
    if format.has_exponents() {
        described["scale"] = json!("2^(exponent - 128)");
    }
    if let Some(steps) = format.steps() {
        described["scale_block_size"] = json!(format.sharing() * BLOCK);
        described["steps"] = json!(match steps {
            Steps::Both => "of a block, scale and minimum are multiplied by its first and second byte",
            Steps::Halves => "the scale is multiplied by a signed byte for each half of a block",
            Steps::Nibbles => "scale and minimum are multiplied by the low and the high half of a byte for each half of a block",
        });
    }
    described
}

/// The `__metadata__` with the notes about `matrices`, by their names; without any it has no notes.
pub(super) fn write(matrices: &[(String, QuantShape)]) -> Value {
    // Transformers refuses files that do not say which framework's layout they follow.
    if matrices.is_empty() {
        return json!({"format": "pt"});
    }
    let (mut formats, mut tensors) = (Map::new(), Map::new());
    for (name, QuantShape { format, rows, width }) in matrices {
        formats.insert(format.to_string(), described(*format));
        tensors.insert(name.clone(), json!({"format": format.name(), "shape": [rows, width]}));
    }
    let mut layout = json!({
        "X.values": "U8 [rows, bytes]: the q of each row in order, in planes, one after the other; a plane of p bits has ceil(width * p / 8) bytes, the first input in the lowest bits of the first",
        "X.scales": "F16 [rows, ceil(width / s)], where s is the format's `scale_block_size`, or else block_size: input i of a row has scale i / s",
        "X.minima": "as the scales, in formats with a minimum",
        "X.steps": "U8 [rows, 2 * ceil(width / block_size)]: two bytes for each block, in formats that say what they mean",
    });
    if matrices.iter().any(|(_, shape)| shape.format.has_exponents()) {
        layout["X.exponents"] = json!("U8, as the scales and in place of them, in formats that say what they mean; 255 is none");
    }
    let notes = json!({"version": VERSION, "block_size": BLOCK, "formats": formats, "layout": layout, "tensors": tensors});
    json!({"format": "pt", KEY: notes.to_string()})
}

/// The quantized tensors that `text` names, the notes of the file `path`.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<(String, QuantShape)>> {
    let field = format!("__metadata__: {KEY}");
    let invalid = |key: &str, got: String, expected: String| Error::invalid(path, format!("{field}: {key}"), got, expected);
    // The version decides how the rest is read.
    let version = serde_json::from_str::<Value>(text).ok().and_then(|notes| notes.get("version")?.as_u64());
    if let Some(version) = version.filter(|version| *version != VERSION) {
        return Err(invalid("version", version.to_string(), VERSION.to_string()).with_hint("a newer `llm` wrote it; use that one"));
    }
    let notes: Notes = json::parse(path, text.as_bytes()).map_err(|error| match error {
        Error::Invalid { path, field: place, got, expected, hint } => {
            Error::Invalid { path, field: format!("{field}: {place}"), got, expected, hint }
        }
        other => other,
    })?;
    debug_assert_eq!(notes.version, VERSION);
    if notes.block_size != BLOCK {
        return Err(invalid("block_size", notes.block_size.to_string(), BLOCK.to_string()));
    }
    if let Some(name) = notes.tensors.duplicate() {
        return Err(invalid(&format!("tensor `{name}`"), "two entries".to_owned(), "one".to_owned()));
    }
    notes.tensors.entries.into_iter().map(|(name, entry)| entry.shape(&name, &invalid).map(|shape| (name, shape))).collect()
}

impl Entry {
    fn shape(self, name: &str, invalid: &dyn Fn(&str, String, String) -> Error) -> Result<QuantShape> {
        let Some(format) = QuantFormat::from_name(&self.format) else {
            let known = QuantFormat::ALL.map(QuantFormat::name).join(", ");
            let got: String = self.format.chars().take(32).flat_map(char::escape_debug).collect();
            return Err(invalid(&format!("tensor `{name}`: format"), format!("`{got}`"), format!("one of {known}")));
        };
        let [rows, width] = self.shape;
        if !(1..=MAX_SIZE).contains(&rows) || !(1..=MAX_SIZE).contains(&width) {
            let expected = format!("sizes from 1 to {MAX_SIZE}");
            return Err(invalid(&format!("tensor `{name}`: shape"), format!("{:?}", self.shape), expected));
        }
        Ok(QuantShape { format, rows, width })
    }
}
