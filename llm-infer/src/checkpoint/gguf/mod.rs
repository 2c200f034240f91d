//! GGUF files, in one piece or several, as if they were a Hugging Face checkpoint: names, shapes, configuration, tokenizer, template.
//!
//! What is quantized stays at its bits, in the order that our kernels read; what has no packed form, as blocks that are no matrix, is
//! widened to f32, which the report of a load says. Nothing is quantized again.

mod blocks;
mod config;
mod dequantize;
mod families;
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
mod unpack;
mod vocabulary;
pub(crate) mod write;

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use llm_model::ModelConfig;
use llm_model::quant::QuantShape;
use serde_json::Value;

use self::blocks::BlockRows;
use self::config::{Described, RopeFactors};
use self::header::{Entry, Header};
use self::names::Architecture;
pub(super) use self::names::unknown as unknown_architecture;
pub(super) use self::split::is_later_piece;
use self::types::GgmlType;
use super::derived::Derived;
use super::quantized::mark_quantized;
use super::rows::QuantRows;
use super::source::{Blob, TensorInfo, WeightSource, tensor};
use super::text::Templates;
use crate::tokenizer::Vocabulary;
use crate::{Error, Result};

/// Factors of rotary frequencies: tensors that are part of the configuration.
const ROPE_FACTORS: [&str; 3] = ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];
/// The most factors: half of the widest head.
const MAX_FACTORS: usize = 1 << 12;
/// The most experts of a layer.
const MAX_EXPERTS: usize = 1 << 12;

/// What a GGUF file holds beside its weights.
pub(super) struct Parts {
    /// The tensors, one for each parameter where the architecture is known.
    pub source: Box<dyn WeightSource>,
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
    /// The entry, or the part of it that holds one expert.
    entry: Entry,
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
    let mut config = match &architecture {
        Ok(architecture) => config::config(&Described { architecture, metadata, entries: &all }, &factors)?,
        Err(name) => config::of_unknown(name),
    };
    let source = |key: &str| metadata.text(key).map(|source| source.map(str::to_owned));
    let templates = Templates { default: source("tokenizer.chat_template")?, tool_use: source("tokenizer.chat_template.tool_use")? };
    let vocabulary = vocabulary::vocabulary(&mut files[0].1.metadata)?;
    let architecture = architecture.ok();
    let source = Box::new(Gguf::new(files, architecture)?);
    mark_quantized(&mut config, &source.tensors, "gguf");
    // A configuration that is not understood is refused by whoever asks for the model.
    let source: Box<dyn WeightSource> = match (architecture, ModelConfig::from_json(&config)) {
        (Some(architecture), Ok(model)) => Box::new(Derived::new(source, &architecture.layout(&model))?),
        _ => source,
    };
    Ok(Parts { source, config, vocabulary, templates })
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
    fn new(files: Vec<(Blob, Header)>, architecture: Option<&Architecture>) -> Result<Self> {
        let mut source = Self { blobs: Vec::new(), tensors: Vec::new(), places: HashMap::new() };
        for (blob, header) in files {
            for entry in header.tensors.into_iter().filter(|entry| !ROPE_FACTORS.contains(&entry.name.as_str())) {
                let name = architecture.and_then(|known| known.tensor_name(&entry.name)).unwrap_or_else(|| entry.name.clone());
                for (name, entry) in each(name, entry) {
                    source.add(name, entry, &blob)?;
                }
            }
            source.blobs.push(blob);
        }
        Ok(source)
    }

    /// Adds a tensor of `blob`, the next one of `self.blobs`.
    fn add(&mut self, name: String, entry: Entry, blob: &Blob) -> Result<()> {
        let format = blocks::format(&entry);
        self.tensors.push(TensorInfo {
            name: name.clone(),
            dtype: if format.is_some() { DType::U8 } else { entry.kind.dtype().unwrap_or(DType::F32) },
            format,
            packing: blocks::packing(&entry),
            shape: entry.shape.clone(),
            bytes: entry.bytes,
            file: blob.path().clone(),
        });
        if self.places.insert(name.clone(), Place { blob: self.blobs.len(), entry }).is_some() {
            return Err(Error::invalid(blob.path(), format!("tensor `{name}`"), "two tensors that mean it", "one"));
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Result<&Place> {
        self.places.get(name).ok_or_else(|| Error::invalid(self.blobs[0].path(), format!("tensor `{name}`"), "nothing", "a tensor"))
    }

    fn bytes(&self, Place { blob, entry }: &Place) -> Result<Vec<u8>> {
        self.blobs[*blob].read_bytes(entry.begin, entry.bytes as usize)
    }
}

/// The tensors of an entry that is called `name` elsewhere: one, or those of all experts where `name` has a `*` for their number.
fn each(name: String, mut entry: Entry) -> Vec<(String, Entry)> {
    // The gate of a shared expert is a vector in the file and a matrix of one row elsewhere.
    if name.ends_with("shared_expert_gate.weight") && entry.shape.len() == 1 {
        entry.shape.insert(0, 1);
    }
    let experts = entry.shape[0];
    if !name.contains('*') || entry.shape.len() < 2 || experts > MAX_EXPERTS {
        return vec![(name, entry)];
    }
    let bytes = entry.bytes / experts as u64;
    let part = |index: usize| Entry { shape: entry.shape[1..].to_vec(), begin: entry.begin + index as u64 * bytes, bytes, ..entry.clone() };
    (0..experts).map(|index| (name.replace('*', &index.to_string()), part(index))).collect()
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

    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let Place { blob, entry } = self.place(name)?;
        let (blob, kind) = (&self.blobs[*blob], entry.kind);
        let Some(format) = blocks::format(entry) else {
            return Err(Error::invalid(blob.path(), format!("tensor `{name}`"), kind.name(), "a type that has a packed form"));
        };
        let shape = QuantShape { format, rows: entry.shape[0], width: entry.shape[1] };
        Ok(Box::new(BlockRows { name: name.to_owned(), blob, kind, begin: entry.begin, shape }))
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.blobs.iter().collect()
    }
}
