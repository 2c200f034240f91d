//! A model that is ready to run: weights on their device, tokenizer, chat template, defaults.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::DType;
use llm_model::{CausalLm, DecoderLayer, LayerVisitor, ModelConfig, visit_layer};

use crate::chat::ChatTemplate;
use crate::checkpoint::{self, Checkpoint, GenerationConfig, LoadReport, PackedCache, Progress, WeightDtype};
use crate::device::DeviceInfo;
use crate::quantize::Scheme;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result, builtin};

/// Which model, where, and how exact.
pub struct ModelOptions<'a> {
    /// The device that holds and runs it.
    pub device: DeviceInfo,
    /// The type that weights are held in; packed ones are widened to it, unless it is [`WeightDtype::Auto`].
    pub dtype: WeightDtype,
    /// Packs the matrices as they are read.
    pub quantize: Option<Scheme>,
    /// Where packed weights are kept for the next load, on the CPU; `None` keeps none.
    pub cache: Option<PackedCache>,
    /// Whether tensors that the model has no place for are an error.
    pub strict: bool,
    /// Called before each tensor.
    pub progress: Option<&'a dyn Fn(&Progress)>,
    /// Stops the load when set.
    pub cancel: Option<&'a AtomicBool>,
}

impl ModelOptions<'_> {
    /// Weights as stored where `device` has the type, extra tensors reported.
    pub fn new(device: DeviceInfo) -> Self {
        Self { device, dtype: WeightDtype::Auto, quantize: None, cache: None, strict: false, progress: None, cancel: None }
    }
}

/// A loaded model. Cheap to clone; all clones share the weights.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    config: ModelConfig,
    lm: Box<dyn CausalLm>,
    tokenizer: Tokenizer,
    template: Result<ChatTemplate>,
    generation: GenerationConfig,
    device: DeviceInfo,
    report: LoadReport,
    dtype: WeightDtype,
    scheme: Option<Scheme>,
    load_s: f64,
}

impl Model {
    /// Loads the model at `path` (a Hugging Face folder, a weight file beside its config.json, or a GGUF file) or `builtin`.
    ///
    /// # Errors
    /// Whatever is wrong with the files, or a device that cannot hold it.
    pub fn load(path: &str, options: &ModelOptions) -> Result<Self> {
        let start = std::time::Instant::now();
        let opened = open(path)?;
        let config = opened.0.model_config()?;
        visit_layer(&config, Load { path, options, opened, start })
    }

    /// As [`Model::load`] with layers of type `L`.
    ///
    /// # Errors
    /// See [`Model::load`].
    pub fn load_with<L: DecoderLayer>(path: &str, options: &ModelOptions) -> Result<Self> {
        let start = std::time::Instant::now();
        Load { path, options, opened: open(path)?, start }.visit::<L>()
    }

    /// The name that reports carry: the folder's, or `builtin`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.inner.config
    }

    /// The network, whatever its layers are.
    pub fn lm(&self) -> &dyn CausalLm {
        self.inner.lm.as_ref()
    }

    /// Text to ids and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// The chat template. One that is missing or broken is an error only here, as plain generation does without.
    ///
    /// # Errors
    /// [`Error::Template`] where the model has none, or one that does not parse.
    pub fn template(&self) -> Result<&ChatTemplate> {
        self.inner.template.as_ref().map_err(|error| match error {
            Error::Template { message, hint } => Error::Template { message: message.clone(), hint: hint.clone() },
            other => Error::Template { message: other.to_string(), hint: other.hint().map(str::to_owned) },
        })
    }

    /// The defaults that came with the model.
    pub fn generation(&self) -> &GenerationConfig {
        &self.inner.generation
    }

    /// Where it runs.
    pub fn device(&self) -> &DeviceInfo {
        &self.inner.device
    }

    /// What was loaded, converted and left over.
    pub fn report(&self) -> &LoadReport {
        &self.inner.report
    }

    /// How the matrices are packed.
    pub fn scheme(&self) -> Option<Scheme> {
        self.inner.scheme
    }

    /// Seconds that loading took.
    pub fn load_s(&self) -> f64 {
        self.inner.load_s
    }

    /// The type of keys and values unless told otherwise: f16, but f32 where the device has no other or exactness was asked for.
    pub fn kv_dtype(&self) -> DType {
        Self::default_kv_dtype(&self.inner.device, self.inner.dtype)
    }

    /// As [`Model::kv_dtype`] of a model that is loaded on `device` as `dtype`.
    pub fn default_kv_dtype(device: &DeviceInfo, dtype: WeightDtype) -> DType {
        if dtype == WeightDtype::F32 || !device.device.supports_dtype(DType::F16) { DType::F32 } else { DType::F16 }
    }

    /// Whether keys stay valid when the sequence grows from `before` to `length` positions.
    pub(crate) fn keeps_keys(&self, before: usize, length: usize) -> bool {
        let config = &self.inner.config;
        config.rope.keeps_keys(before, length) && config.local_rope.as_ref().is_none_or(|rope| rope.keeps_keys(before, length))
    }
}

/// A load whose layer type is to be chosen.
struct Load<'a> {
    path: &'a str,
    options: &'a ModelOptions<'a>,
    opened: (Checkpoint, Tokenizer, Result<ChatTemplate>),
    start: std::time::Instant,
}

impl LayerVisitor for Load<'_> {
    type Output = Result<Model>;

    fn visit<L: DecoderLayer>(self) -> Result<Model> {
        let Load { path, options, opened: (checkpoint, tokenizer, template), start } = self;
        let config = checkpoint.model_config()?;
        tokenizer.check_ids(config.vocab_size)?;
        checkpoint.generation_config().check_ids(checkpoint.path(), config.vocab_size)?;
        let load = checkpoint::LoadOptions {
            device: options.device.device.clone(),
            dtype: options.dtype,
            quantize: options.quantize,
            cache: options.cache.clone(),
            strict: options.strict,
            progress: options.progress,
            cancel: options.cancel,
        };
        let (transformer, report) = checkpoint.load::<L>(&load)?;
        let inner = Inner {
            name: name(path),
            lm: Box::new(transformer),
            tokenizer,
            template,
            generation: checkpoint.generation_config().clone(),
            device: options.device.clone(),
            scheme: options.quantize.or_else(|| checkpoint.scheme().filter(|_| !report.quantized.is_empty())),
            report,
            dtype: options.dtype,
            load_s: start.elapsed().as_secs_f64(),
            config,
        };
        Ok(Model { inner: Arc::new(inner) })
    }
}

/// Opens checkpoint, tokenizer and template of `path` without reading weights; the template may be absent.
///
/// # Errors
/// Whatever is wrong with the files.
pub fn open(path: &str) -> Result<(Checkpoint, Tokenizer, Result<ChatTemplate>)> {
    if path == builtin::NAME {
        return builtin::open();
    }
    let checkpoint = Checkpoint::open(path)?;
    let (tokenizer, template) = (checkpoint.tokenizer()?, checkpoint.template());
    Ok((checkpoint, tokenizer, template))
}

fn name(path: &str) -> String {
    let last = Path::new(path).canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    last.filter(|_| path != builtin::NAME).unwrap_or_else(|| path.to_owned())
}
