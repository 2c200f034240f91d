//! A model from one format into another: Hugging Face folders, GGUF files, and our own folders of packed weights.
//!
//! Whatever the loader reads can be written. Numbers stay what they are unless a type is asked for; what is quantized already is
//! rounded a second time only where that is asked for by name.

mod folder;
mod gguf;
mod kinds;
mod report;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

pub use kinds::WeightType;
pub use report::ConvertReport;

use crate::checkpoint::{Checkpoint, Progress, require_uncancelled};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result, builtin};

/// A format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A folder with config.json and model.safetensors in floats, as transformers reads it.
    HuggingFace,
    /// A GGUF file.
    Gguf,
    /// A folder as `llm quantize` writes it, its weights packed as they are in the source.
    Packed,
}

impl Target {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::HuggingFace => "hf",
            Self::Gguf => "gguf",
            Self::Packed => "packed",
        }
    }

    /// What `output` asks for: a file that is called `.gguf`, else a folder, of packed weights where the model has such.
    fn of(output: &Path, checkpoint: &Checkpoint) -> Self {
        match output.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("gguf") => Self::Gguf,
            _ if checkpoint.is_quantized() => Self::Packed,
            _ => Self::HuggingFace,
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "hf" => Ok(Self::HuggingFace),
            "gguf" => Ok(Self::Gguf),
            "packed" => Ok(Self::Packed),
            "onnx" => Err(Error::request("--to", "`onnx`, which Burn cannot write for such a model", "hf, gguf or packed").with_hint(
                "the exporter of burn-onnx 0.22 lacks the transpositions, masks and rotations of attention; \
                 write a folder with `--to hf` and export that one with Hugging Face's optimum",
            )),
            other => Err(Error::request("--to", format!("`{other}`"), "hf, gguf or packed")),
        }
    }
}

/// How to convert.
#[derive(Clone, Default)]
pub struct ConvertOptions<'a> {
    /// The format; `None` is what the name of the output says.
    pub target: Option<Target>,
    /// The type of the matrices.
    pub dtype: WeightType,
    /// Whether weights that are quantized already may be rounded again.
    pub requantize: bool,
    /// Whether what is at the target already is replaced.
    pub force: bool,
    /// Called after each tensor, while writing and while reading back.
    pub progress: Option<&'a dyn Fn(&Progress)>,
    /// Ends the work with [`Error::Cancelled`] once it is true; nothing is left behind then.
    pub cancel: Option<&'a AtomicBool>,
}

/// Writes the model `input` (whatever [`Checkpoint::open`] reads, or `builtin`) to `output`, which appears whole or not at all.
///
/// # Errors
/// Whatever is wrong with the model, one that the format cannot say, weights that would be rounded a second time, values that the type
/// cannot hold, a target that is there already or is part of the model, a disk that is full, and [`Error::Cancelled`].
pub fn convert(input: &str, output: &Path, options: &ConvertOptions) -> Result<ConvertReport> {
    let start = Instant::now();
    let subject = Subject::open(input)?;
    subject.checkpoint.check_shapes()?;
    let target = options.target.unwrap_or_else(|| Target::of(output, &subject.checkpoint));
    let job = Job::new(&subject.checkpoint, options);
    let report = match target {
        Target::Gguf => gguf::write(&subject, output, &job)?,
        Target::HuggingFace | Target::Packed => folder::write(&subject, output, target, &job)?,
    };
    Ok(ConvertReport { format: target.name(), seconds: start.elapsed().as_secs_f64(), ..report })
}

/// A model that is to be converted.
struct Subject {
    name: String,
    checkpoint: Checkpoint,
    tokenizer: Result<Tokenizer>,
    /// The sources of the chat template, and of that for tools.
    template: Option<(String, Option<String>)>,
}

impl Subject {
    fn open(input: &str) -> Result<Self> {
        let (checkpoint, tokenizer, template) = if input == builtin::NAME {
            let (checkpoint, tokenizer, template) = builtin::open()?;
            (checkpoint, Ok(tokenizer), template)
        } else {
            let checkpoint = Checkpoint::open(input)?;
            let (tokenizer, template) = (checkpoint.tokenizer(), checkpoint.template());
            (checkpoint, tokenizer, template)
        };
        let sources = |(default, tool_use): (&str, Option<&str>)| (default.to_owned(), tool_use.map(str::to_owned));
        let name = Path::new(input).file_stem().map_or_else(|| input.to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, checkpoint, tokenizer, template: template.ok().map(|template| sources(template.given())) })
    }
}

/// How far it is, and when to stop.
struct Job<'a> {
    options: &'a ConvertOptions<'a>,
    done: RefCell<Progress<'static>>,
}

impl<'a> Job<'a> {
    fn new(checkpoint: &Checkpoint, options: &'a ConvertOptions<'a>) -> Self {
        let total_bytes = checkpoint.tensors().iter().map(|info| info.bytes).sum();
        let done = Progress { total_tensors: checkpoint.tensors().len(), total_bytes, ..Progress::default() };
        Self { options, done: RefCell::new(done) }
    }

    /// Counts in the `bytes` that are to be read back.
    fn expect(&self, bytes: u64) {
        self.done.borrow_mut().total_bytes += bytes;
    }

    /// One more tensor, or with an empty name a part of what is read back, of these `bytes` is done.
    fn step(&self, tensor: &str, bytes: u64) -> Result<()> {
        require_uncancelled(self.options.cancel)?;
        let mut done = self.done.borrow_mut();
        done.tensors += usize::from(!tensor.is_empty());
        done.bytes += bytes;
        if let Some(progress) = self.options.progress {
            progress(&Progress { tensor, ..done.clone() });
        }
        Ok(())
    }
}
