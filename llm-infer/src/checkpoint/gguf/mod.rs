//! GGUF files, in one piece or several, as if they were a Hugging Face checkpoint: names, shapes, configuration, tokenizer, template.
//!
//! Q8_0, Q4_0 and Q4_1 are our own formats but for the order of their bits, and stay at their bits. Other quantized types are widened
//! to f32 when they are read, which the report of a load says; nothing is quantized again.

mod blocks;
mod config;
mod dequantize;
mod header;
pub(crate) mod keys;
mod metadata;
pub(crate) mod names;
pub(crate) mod pack;
mod split;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
pub(crate) mod types;
mod vocabulary;
pub(crate) mod write;

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use llm_model::arch::Interleaved;
use llm_model::quant::{Flaw, QuantFormat, QuantShape, StoredMatrix};
use serde_json::Value;

use self::config::RopeFactors;
use self::header::{Entry, Header};
use self::names::Architecture;
pub(super) use self::split::is_later_piece;
use self::types::GgmlType;
use super::rows;
use super::source::{Blob, TensorInfo, WeightSource, tensor};
use super::text::Templates;
use crate::tokenizer::Vocabulary;
use crate::{Error, Result};

/// Factors of rotary frequencies: tensors that are part of the configuration.
const ROPE_FACTORS: [&str; 3] = ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];
/// The most factors: half of the widest head.
const MAX_FACTORS: usize = 1 << 12;

/// What a GGUF file holds beside its weights.
pub(super) struct Parts {
    pub source: Gguf,
    /// What config.json would say.
    pub config: Value,
    /// `None` where the file has no tokens.
    pub vocabulary: Option<Vocabulary>,
    /// The sources of the chat template, and of the one for conversations that offer tools.
    pub templates: Templates,
}

/// The tensors of a GGUF file, or of several that belong together.
#[derive(Debug)]
pub(super) struct Gguf {
    blobs: Vec<Blob>,
    tensors: Vec<TensorInfo>,
    places: HashMap<String, Place>,
}

/// Where a tensor lies.
#[derive(Debug)]
struct Place {
    blob: usize,
    entry: Entry,
    interleaved: Option<Interleaved>,
}

/// Opens the file `path`, and those that belong to it; only headers are read.
///
/// # Errors
/// Files that are no GGUF files or malformed ones, an architecture or a type of numbers that is not known, files that are missing.
pub(super) fn open(path: &Path) -> Result<Parts> {
    let mut files = split::open(path)?;
    let metadata = &files[0].1.metadata;
    // A file of another architecture still has a tokenizer; whoever asks for the model hears which ones are known.
    let architecture = Architecture::of(metadata)?;
    let factors = rope_factors(&files)?;
    let all: Vec<&Entry> = files.iter().flat_map(|(_, header)| &header.tensors).collect();
    let mut formats: Vec<QuantFormat> = Vec::new();
    for entry in &all {
        formats.extend(blocks::format(entry).filter(|format| !formats.contains(format)));
    }
    let config = match &architecture {
        Ok(architecture) => config::config(architecture, metadata, &all, &factors, &formats)?,
        Err(name) => config::of_unknown(name, &formats),
    };
    let source = |key: &str| metadata.text(key).map(|source| source.map(str::to_owned));
    let templates = Templates { default: source("tokenizer.chat_template")?, tool_use: source("tokenizer.chat_template.tool_use")? };
    let vocabulary = vocabulary::vocabulary(&mut files[0].1.metadata)?;
    Ok(Parts { source: Gguf::new(files, architecture.ok(), &config)?, config, vocabulary, templates })
}

/// The factors of rotary frequencies among the tensors.
fn rope_factors(files: &[(Blob, Header)]) -> Result<RopeFactors> {
    let [always, short, long] = ROPE_FACTORS.map(|name| {
        let found = files.iter().find_map(|(blob, header)| Some((blob, header.tensors.iter().find(|entry| entry.name == name)?)));
        let Some((blob, entry)) = found else { return Ok(None) };
        let count = entry.shape.iter().product::<usize>();
        if count > MAX_FACTORS || entry.kind != GgmlType::F32 {
            let got = format!("{count} numbers of {}", entry.kind.name());
            return Err(Error::invalid(blob.path(), format!("tensor `{name}`"), got, format!("at most {MAX_FACTORS} of F32")));
        }
        let mut bytes = vec![0; entry.bytes as usize];
        blob.read_exact_at(entry.begin, &mut bytes)?;
        let mut factors = vec![0.0; count];
        dequantize::dequantize(entry.kind, &bytes, &mut factors);
        Ok(Some(factors))
    });
    Ok(RopeFactors { always: always?, short: short?, long: long? })
}

impl Gguf {
    fn new(files: Vec<(Blob, Header)>, architecture: Option<&Architecture>, config: &Value) -> Result<Self> {
        let mut source = Self { blobs: Vec::new(), tensors: Vec::new(), places: HashMap::new() };
        for (blob, header) in files {
            for entry in header.tensors.into_iter().filter(|entry| !ROPE_FACTORS.contains(&entry.name.as_str())) {
                let name = architecture.and_then(|known| known.tensor_name(&entry.name)).unwrap_or_else(|| entry.name.clone());
                let pairs = architecture.is_some_and(|known| known.interleaved);
                let interleaved = rows::interleaved(&name, &entry.shape, config).filter(|_| pairs);
                let format = blocks::format(&entry);
                let packed = format.is_none() && entry.kind.dtype().is_none();
                source.tensors.push(TensorInfo {
                    name: name.clone(),
                    dtype: if format.is_some() { DType::U8 } else { entry.kind.dtype().unwrap_or(DType::F32) },
                    format,
                    packing: packed.then(|| entry.kind.lowercase()),
                    shape: entry.shape.clone(),
                    bytes: entry.bytes,
                    file: blob.path().clone(),
                });
                if source.places.insert(name.clone(), Place { blob: source.blobs.len(), entry, interleaved }).is_some() {
                    return Err(Error::invalid(blob.path(), format!("tensor `{name}`"), "two tensors that mean it", "one"));
                }
            }
            source.blobs.push(blob);
        }
        Ok(source)
    }

    fn place(&self, name: &str) -> Result<&Place> {
        self.places.get(name).ok_or_else(|| Error::invalid(self.blobs[0].path(), format!("tensor `{name}`"), "nothing", "a tensor"))
    }

    /// The bytes of a tensor, its rows in the order that they have elsewhere.
    fn bytes(&self, Place { blob, entry, interleaved }: &Place) -> Result<Vec<u8>> {
        let bytes = self.blobs[*blob].read_bytes(entry.begin, entry.bytes as usize)?;
        Ok(rows::ordered(bytes, entry.shape[0], *interleaved))
    }
}

impl WeightSource for Gguf {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let place = self.place(name)?;
        let (bytes, entry) = (self.bytes(place)?, &place.entry);
        if let Some(dtype) = entry.kind.dtype() {
            return Ok(tensor(bytes, &entry.shape, dtype));
        }
        Ok(TensorData::new(blocks::widened(entry.kind, &bytes), entry.shape.clone()))
    }

    fn read_quantized(&self, name: &str) -> Result<StoredMatrix> {
        let place = self.place(name)?;
        let file = self.blobs[place.blob].path();
        let Some(format) = blocks::format(&place.entry) else {
            return Err(Error::invalid(file, format!("tensor `{name}`"), place.entry.kind.name(), "one of Q8_0, Q4_0, Q4_1"));
        };
        let shape = QuantShape { format, rows: place.entry.shape[0], width: place.entry.shape[1] };
        let stored = blocks::stored(shape, &self.bytes(place)?);
        stored.check().map_err(|Flaw { part, row, place, got, expected }| {
            Error::invalid(file, format!("tensor `{name}`: {part} at [{row}, {place}]"), format!("`{got}`"), expected)
                .with_hint("the file is damaged: download it again")
        })?;
        Ok(stored)
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.blobs.iter().collect()
    }
}
