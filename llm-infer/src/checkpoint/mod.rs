//! Checkpoints: the folders and files that models come in, read strictly and safely.
//!
//! [`Checkpoint::open`] finds the files and checks their headers; nothing is allocated on the word of a file that its size does not
//! bear out. [`Checkpoint::load`] streams the tensors into a [`Transformer`], one by one. [`save`] writes the same format.

mod check;
mod claim;
mod convert;
mod derived;
mod folder;
mod generation_config;
pub(crate) mod gguf;
mod grouped;
pub(crate) mod json;
mod layout;
mod llama2c;
mod load;
mod module;
mod new_file;
mod new_folder;
mod notes;
mod open;
mod options;
mod packed;
mod pytorch;
mod quantized;
mod quantized_file;
mod report;
pub(crate) mod resident;
mod restacked;
mod restored;
pub(crate) mod rows;
mod safetensors;
mod save;
mod sharded;
mod slow;
mod sniff;
mod source;
mod stacked;
#[cfg(test)]
mod tests;
mod text;
mod widen;

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use llm_model::quant::QuantFormat;
use llm_model::{DecoderLayer, ModelConfig, Transformer, arch};
use serde_json::Value;

use self::load::Origin;
pub use self::safetensors::Safetensors;
use self::text::TextSource;
pub(crate) use convert::{convert as cast, require_finite};
pub use generation_config::GenerationConfig;
pub(crate) use new_file::{require_writable, write_atomic};
pub(crate) use new_folder::NewFolder;
pub(crate) use notes::VERSION as QUANTIZATION_VERSION;
pub(crate) use options::require_uncancelled;
pub use options::{LoadOptions, Progress, SaveOptions, Stage, WeightDtype};
pub use packed::{CacheEntry, CacheReport, PackedCache};
pub(crate) use quantized_file::{Form, Planned, QuantizedFile};
pub use report::{CheckReport, Conversion, LoadReport, Unpacked};
pub(crate) use restored::Restored;
pub use rows::QuantRows;
pub use sharded::Sharded;
pub use slow::SlowPath;
pub use source::{TensorInfo, WeightSource};

use crate::chat::ChatTemplate;
use crate::quantize::Scheme;
use crate::tokenizer::{Tokenizer, TokenizerSummary, Vocabulary};
use crate::{Error, Result};

/// A model on disk or in the binary: its configuration, and its weights by name.
pub struct Checkpoint {
    path: PathBuf,
    text: TextSource,
    config_path: PathBuf,
    config: Value,
    generation_config: GenerationConfig,
    source: Box<dyn WeightSource>,
}

impl Checkpoint {
    /// The path it was opened by, or the name of an embedded one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that also has the tokenizer and the chat template; `None` where these are in the weight file or embedded.
    pub fn folder(&self) -> Option<&Path> {
        match &self.text {
            TextSource::Folder(folder) => Some(folder),
            TextSource::Tokens { .. } | TextSource::Embedded => None,
        }
    }

    /// Whether it is part of the binary.
    pub fn is_embedded(&self) -> bool {
        matches!(self.text, TextSource::Embedded)
    }

    /// The tokenizer that belongs to the weights.
    ///
    /// # Errors
    ///
    /// One that is missing or damaged, and an embedded checkpoint, which does not know its own.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        self.text.tokenizer(&self.path)
    }

    /// What the tokenizer that belongs to the weights has; one in the weight file is not built for it.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::tokenizer`].
    pub fn tokenizer_summary(&self) -> Result<TokenizerSummary> {
        self.text.summary(&self.path)
    }

    /// The chat template that belongs to the weights.
    ///
    /// # Errors
    ///
    /// One that is missing or damaged.
    pub fn template(&self) -> Result<ChatTemplate> {
        self.text.template(&self.path)
    }

    /// The list of tokens that is in the weight file, or in one beside it.
    pub(crate) fn vocabulary(&self) -> Option<&Vocabulary> {
        if let TextSource::Tokens { vocabulary, .. } = &self.text { vocabulary.as_deref() } else { None }
    }

    /// The tensors of a folder as they are stored, which may be others than those of [`Checkpoint::source`]; `None` where the weights
    /// are no folder's, or are no floats.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub(crate) fn stored(&self) -> Result<Option<Box<dyn WeightSource>>> {
        match &self.text {
            TextSource::Folder(_) if self.tensors().iter().all(|info| info.format.is_none() && info.packing.is_none()) => {
                Ok(Some(folder::Files::find(&self.path)?.open_weights()?))
            }
            TextSource::Folder(_) | TextSource::Tokens { .. } | TextSource::Embedded => Ok(None),
        }
    }

    /// The parameters as Hugging Face stores those of the family; `None` where it stores each one under its name.
    ///
    /// # Errors
    ///
    /// A model that reads images, too, of which only the language model is known here, and parameters that do not fit.
    pub(crate) fn restored(&self) -> Result<Option<Box<dyn WeightSource + '_>>> {
        let config = self.model_config()?;
        let Some(layout) = arch::layout(&config) else { return Ok(None) };
        if !layout.others.is_empty() {
            let expected = "a language model alone: transformers would ask for the parts that read images, which are not here any more";
            return Err(Error::invalid(&self.config_path, "model_type", format!("`{}`", config.model_type), expected)
                .with_hint("convert the folder that it was made from, or write a GGUF file"));
        }
        let restored = Restored::new(self.source(), &layout, &|name| Ok(!self.is_no_weight(name)?))?;
        Ok(Some(if layout.stacked_experts { Box::new(restacked::Restacked::new(restored)?) } else { Box::new(restored) }))
    }

    /// Writes tokenizer and template that are in the weight file to `folder`, as files of a Hugging Face folder.
    pub(crate) fn write_text(&self, folder: &Path) -> Result<()> {
        self.text.write(folder)
    }

    /// The content of config.json.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The content of generation_config.json, completed from config.json.
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.generation_config
    }

    /// All tensors, one for each parameter: where a family stores others (`llm_model::arch::layout`), these are made of them.
    pub fn tensors(&self) -> &[TensorInfo] {
        self.source.tensors()
    }

    /// The weights themselves.
    pub fn source(&self) -> &dyn WeightSource {
        &*self.source
    }

    /// The architecture that config.json describes.
    ///
    /// # Errors
    ///
    /// An unknown architecture (the known ones are listed), or a field that is missing or out of range.
    pub fn model_config(&self) -> Result<ModelConfig> {
        model_config(&self.config_path, &self.config)
    }

    /// Whether tensors are kept in few bits.
    pub fn is_quantized(&self) -> bool {
        self.tensors().iter().any(|info| info.format.is_some())
    }

    /// Whether tensors were rounded to few bits before, be they kept so or read as floats.
    pub fn is_rounded(&self) -> bool {
        self.tensors().iter().any(TensorInfo::is_rounded)
    }

    /// The formats of most of the layers' matrices and of the embedding; `None` where the embedding is in floats.
    pub(crate) fn scheme(&self) -> Option<Scheme> {
        let embedding = self.tensors().iter().find(|info| info.name == arch::tensor_name("embed_tokens.weight"))?.format?;
        let layers = self.tensors().iter().filter(|info| info.name.contains(".layers.")).filter_map(|info| info.format);
        let counts = QuantFormat::ALL.map(|format| (layers.clone().filter(|one| *one == format).count(), format));
        let layers = counts.into_iter().filter(|(count, _)| *count > 0).max_by_key(|(count, _)| *count);
        Some(Scheme { layers: layers.map_or(embedding, |(_, format)| format), embedding })
    }

    /// Reads the weights into a model whose layers are `L`.
    ///
    /// # Errors
    ///
    /// A configuration that is not understood, tensors that are missing or misshapen, with `strict` unexpected ones, a dtype that the
    /// device lacks, a file that changes meanwhile, and [`Error::Cancelled`].
    pub fn load<L: DecoderLayer>(&self, options: &LoadOptions) -> Result<(Transformer<L>, LoadReport)> {
        let config = self.model_config()?;
        if let Some(scheme) = options.quantize.filter(|_| self.is_rounded()) {
            return Err(Error::request("--quantize", format!("`{scheme}` for a model that is quantized already"), "a model in floats")
                .with_hint("leave `--quantize` out: the model runs as it was quantized"));
        }
        let model = config.init_with::<L>(&options.device);
        let (model, mut report) = load::fill(
            model,
            Transformer::weights_mut,
            Origin { source: &*self.source, path: &self.path, config: Some(&self.config) },
            &arch::tensor_name,
            &|name| is_no_weight(name, &config),
            options,
        )?;
        report.set_other_parts_apart(&config);
        Ok((model, report))
    }

    /// The dimensions of the tensor `name`; none where there is no such tensor.
    pub(crate) fn shape(&self, name: &str) -> &[usize] {
        self.tensors().iter().find(|info| info.name == name).map_or(&[], |info| &info.shape)
    }

    /// Refuses NaN and infinity in `data` of the tensor `name`.
    pub(crate) fn require_finite(&self, data: &TensorData, name: &str) -> Result<()> {
        self.tensors().iter().find(|info| info.name == name).map_or(Ok(()), |info| convert::require_finite(data, info))
    }

    /// Fills a part of the model, whose path is `prefix`, in f32 from `source`.
    pub(crate) fn load_part<M: Module>(&self, module: M, prefix: &str, source: &dyn WeightSource, device: &Device) -> Result<M> {
        let name_of = |path: &str| arch::tensor_name(&format!("{prefix}{path}"));
        let options = LoadOptions { dtype: WeightDtype::F32, ..LoadOptions::new(device) };
        let origin = Origin { source, path: &self.path, config: None };
        Ok(load::fill(module, |_| Vec::new(), origin, &name_of, &|_| true, &options)?.0)
    }

    /// Whether the tensor `name` is left out by every load: it is computed, or tied to another.
    pub(crate) fn is_no_weight(&self, name: &str) -> Result<bool> {
        Ok(is_no_weight(name, &self.model_config()?))
    }
}

/// Writes `model` as `model.safetensors` and `config` as `config.json` into `folder`, which transformers can load too.
///
/// A family that stores other tensors than its parameters (`llm_model::arch::layout`) is refused: transformers would not know them.
///
/// # Errors
///
/// Such a family, a `config` that does not describe the model's architecture, files that exist already (unless `overwrite`), a value that the
/// dtype cannot hold, a disk that is full or read-only, and [`Error::Cancelled`]; the old files then stay as they are.
pub fn save<L: DecoderLayer>(model: &Transformer<L>, config: &Value, folder: impl AsRef<Path>, options: &SaveOptions) -> Result<()> {
    let folder = folder.as_ref();
    let config_path = folder.join("config.json");
    let family = model_config(&config_path, config)?;
    require_plain_names(&config_path, &family, "such a model can be quantized, but not saved after a change")?;
    save::save_module(model, &arch::tensor_name, config, folder, options)
}

fn require_plain_names(path: &Path, family: &ModelConfig, hint: &str) -> Result<()> {
    if arch::layout(family).is_none() {
        return Ok(());
    }
    let expected = "a family whose parameters are stored one by one";
    Err(Error::invalid(path, "model_type", format!("`{}`", family.model_type), expected).with_hint(hint))
}

fn model_config(path: &Path, config: &Value) -> Result<ModelConfig> {
    ModelConfig::from_json(config).map_err(|error| {
        gguf::unknown_architecture(path, config).unwrap_or(Error::Invalid {
            path: path.to_owned(),
            field: error.field,
            got: error.got,
            expected: error.expected,
            hint: error.hint,
        })
    })
}

/// Tensors that older checkpoints store although they are computed, or tied to another.
fn is_no_weight(name: &str, config: &ModelConfig) -> bool {
    name.ends_with("rotary_emb.inv_freq")
        || (config.tie_word_embeddings && name == "lm_head.weight")
        || arch::layout(config).is_some_and(|layout| layout.other(name).is_some())
}
