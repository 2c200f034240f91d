//! Opening a checkpoint: which format it has, where its configuration and text are, and its tensors as a model's parameters.

use std::path::Path;

use llm_model::{arch, quant};
use serde_json::Value;

use super::safetensors::Safetensors;
use super::sniff::{self, Format};
use super::source::WeightSource;
use super::text::{Templates, TextSource};
use super::{Checkpoint, GenerationConfig, derived, folder, gguf, grouped, json, llama2c, model_config, notes, quantized, stacked};
use crate::{Error, Result};

impl Checkpoint {
    /// Opens a Hugging Face folder, a file of safetensors or PyTorch beside its config.json, a GGUF file, or one of llama2.c; no tensor
    /// is read. What a file is decides its content, not its name.
    ///
    /// # Errors
    ///
    /// Files that are missing, unreadable, no regular files, or malformed in any way; see [`Safetensors`] for what is checked.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let files = folder::Files::find(path)?;
        match sniff::format(&files.weights)? {
            Format::Gguf => Self::open_gguf(path, &files.weights),
            Format::Llama2c => Self::open_llama2c(path, &files.weights),
            _ => Self::open_folder(path, files),
        }
    }

    fn open_gguf(path: &Path, file: &Path) -> Result<Self> {
        let gguf::Parts { source, config, vocabulary, templates } = gguf::open(file)?;
        let text = TextSource::Tokens { vocabulary: vocabulary.map(Box::new), templates };
        Self::of_one_file(path, file, source, config, text)
    }

    fn open_llama2c(path: &Path, file: &Path) -> Result<Self> {
        let (source, config, vocabulary) = llama2c::open(file)?;
        let text = TextSource::Tokens { vocabulary: vocabulary.map(Box::new), templates: Templates::default() };
        Self::of_one_file(path, file, source, config, text)
    }

    /// A model whose `file` says all that config.json would.
    fn of_one_file(path: &Path, file: &Path, source: Box<dyn WeightSource>, config: Value, text: TextSource) -> Result<Self> {
        let checkpoint = Self {
            path: path.to_owned(),
            text,
            config_path: file.to_owned(),
            generation_config: GenerationConfig::from_json(file, None, &config)?,
            config,
            source,
        };
        checkpoint.check_quantization()?;
        Ok(checkpoint)
    }

    fn open_folder(path: &Path, files: folder::Files) -> Result<Self> {
        let config_path = files.config();
        if config_path.symlink_metadata().is_err() {
            return Err(Error::invalid(path, "config.json", "nothing", "the model's configuration beside its weights")
                .with_hint("give a folder as Hugging Face lays it out: config.json, tokenizer.json, model.safetensors"));
        }
        let mut config = json::read_object(&config_path)?;
        let source = grouped::unpacked(&files.folder, &config_path, files.open_weights()?, &mut config)?;
        let generation_path = files.generation_config();
        let has_generation_config = generation_path.symlink_metadata().is_ok();
        let generation_config = if has_generation_config { Some(json::read_object(&generation_path)?) } else { None };
        let source = as_parameters(source, &config_path, &config)?;
        if config["quantization_config"]["quant_method"] == stacked::METHOD {
            quantized::mark_quantized(&mut config, source.tensors(), stacked::METHOD);
        }
        let checkpoint = Self {
            path: path.to_owned(),
            generation_config: GenerationConfig::from_json(&generation_path, generation_config.as_ref(), &config)?,
            source,
            text: TextSource::Folder(files.folder),
            config_path,
            config,
        };
        checkpoint.check_quantization()?;
        Ok(checkpoint)
    }

    /// A checkpoint that is part of the binary, called `name` in messages.
    ///
    /// # Errors
    ///
    /// The same as for files.
    pub fn from_bytes(name: &str, config: &str, generation_config: Option<&str>, safetensors: &'static [u8]) -> Result<Self> {
        let path = Path::new(name);
        let (config_path, generation_path) = (path.join("config.json"), path.join("generation_config.json"));
        let config = json::parse_object(&config_path, config.as_bytes())?;
        let generation_config = generation_config.map(|text| json::parse_object(&generation_path, text.as_bytes())).transpose()?;
        let checkpoint = Self {
            path: path.to_owned(),
            text: TextSource::Embedded,
            generation_config: GenerationConfig::from_json(&generation_path, generation_config.as_ref(), &config)?,
            source: as_parameters(
                quantized::joined(Safetensors::from_bytes(path.join("model.safetensors"), safetensors)?)?,
                &config_path,
                &config,
            )?,
            config_path,
            config,
        };
        checkpoint.check_quantization()?;
        Ok(checkpoint)
    }

    /// Refuses a configuration and weights of which only one speaks of our quantization.
    fn check_quantization(&self) -> Result<()> {
        let method = self.config.get("quantization_config").and_then(|quantization| quantization.get("quant_method"));
        let said = method.and_then(Value::as_str) == Some(quant::METHOD);
        if said == self.is_quantized() {
            return Ok(());
        }
        let (path, field, got, expected) = if said {
            let weights = self.tensors().first().map_or(self.path.as_path(), |info| &info.file);
            (weights, format!("__metadata__: {}", notes::KEY), "nothing", "how to unpack the weights that config.json calls quantized")
        } else {
            (self.config_path.as_path(), "quantization_config".to_owned(), "nothing", "the method by which the weights are quantized")
        };
        Err(Error::invalid(path, field, got, expected).with_hint("another program rewrote the file; quantize the model again"))
    }
}

/// `source` as the parameters of the model that `config` describes. What `llm quantize` wrote holds these already, whatever the family,
/// and a configuration that is not understood is refused by whoever asks for it.
fn as_parameters(source: Box<dyn WeightSource>, config_path: &Path, config: &Value) -> Result<Box<dyn WeightSource>> {
    let quantized = source.tensors().iter().any(|info| info.format.is_some());
    let layout = model_config(config_path, config).ok().filter(|_| !quantized).and_then(|config| arch::layout(&config));
    Ok(match layout {
        Some(layout) => {
            let source = if layout.stacked_experts { Box::new(stacked::Stacked::new(source)?) } else { source };
            Box::new(derived::Derived::new(source, &layout)?)
        }
        None => source,
    })
}
