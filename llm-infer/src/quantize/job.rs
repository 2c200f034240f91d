//! A model from one folder into another, quantized on the way.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use burn::tensor::{DType, Device, TensorData};
use llm_model::quant::{QuantFormat, QuantMatrix};
use llm_model::{DecoderLayer, LayerVisitor, arch, visit_layer};

use super::calibration::Calibration;
use super::moments::Moments;
use super::pack::widened;
use super::report::{MatrixReport, QuantizeReport, bits};
use super::{Method, Scheme, companions, layers, rtn, sensitivity};
use crate::chat::ChatTemplate;
use crate::checkpoint::{Checkpoint, Form, NewFolder, Planned, Progress, QuantizedFile, WeightSource, require_uncancelled};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// How to quantize.
pub struct QuantizeOptions<'a> {
    /// The formats.
    pub scheme: Scheme,
    /// How weights are rounded.
    pub method: Method,
    /// A text whose inputs say which weights matter; [`Method::Gptq`] and [`Method::Awq`] need one.
    pub calibration: Option<PathBuf>,
    /// The most bytes of the weight file: the scheme's formats of 4 bits and of 8 are then spread over the matrices.
    pub budget: Option<u64>,
    /// Whether a model that is at the target already is replaced.
    pub force: bool,
    /// Where the calibration text runs through the model.
    pub device: Device,
    /// Called after each tensor, while checking those for a calibration, while quantizing and while reading back.
    pub progress: Option<&'a dyn Fn(&Progress)>,
    /// Ends the work with [`Error::Cancelled`] once it is true; nothing is left behind then.
    pub cancel: Option<&'a AtomicBool>,
}

/// Writes the model `input` (a folder, a `.safetensors` file, or `builtin`) to the folder `output`, its matrices quantized.
///
/// The folder appears whole or not at all.
///
/// # Errors
/// Whatever is wrong with the model, one that is quantized already, weights that are no numbers, a target that is there already, is
/// being written or is part of the model, a calibration that is missing or unusable, a budget that is too small, a disk that is
/// full, and [`Error::Cancelled`].
pub fn quantize(input: &str, output: &Path, options: &QuantizeOptions) -> Result<QuantizeReport> {
    let opened = crate::open(input)?;
    let config = opened.0.model_config()?;
    visit_layer(&config, Quantize { input, opened, output, options })
}

/// As [`quantize`] of a model whose layers are `L`.
///
/// # Errors
/// See [`quantize`].
pub fn quantize_with<L: DecoderLayer>(input: &str, output: &Path, options: &QuantizeOptions) -> Result<QuantizeReport> {
    Quantize { input, opened: crate::open(input)?, output, options }.visit::<L>()
}

/// A run whose layer type is to be chosen.
struct Quantize<'a> {
    input: &'a str,
    opened: (Checkpoint, Tokenizer, Result<ChatTemplate>),
    output: &'a Path,
    options: &'a QuantizeOptions<'a>,
}

impl LayerVisitor for Quantize<'_> {
    type Output = Result<QuantizeReport>;

    fn visit<L: DecoderLayer>(self) -> Result<QuantizeReport> {
        run::<L>(self)
    }
}

fn run<L: DecoderLayer>(job: Quantize) -> Result<QuantizeReport> {
    let start = Instant::now();
    let Quantize { input, opened: (checkpoint, tokenizer, template), output, options } = job;
    if checkpoint.is_rounded() {
        return Err(Error::request("IN", format!("`{input}`, which is quantized already"), "a model in floats")
            .with_hint("quantize the model that it was made from"));
    }
    checkpoint.check_shapes_of::<L>()?;
    let config = checkpoint.model_config()?;
    tokenizer.check_ids(config.vocab_size)?;
    refuse_overlap(&checkpoint, output, "a model is never quantized in place")?;
    if options.method != Method::Rtn && options.calibration.is_none() {
        return Err(Error::request("--calibration", format!("none for `--method {}`", options.method), "a file of text")
            .with_hint("give a few pages of what the model will read, or use `--method rtn`, which needs none"));
    }
    let calibration = options.calibration.as_ref().map(|path| Calibration::read(path, &tokenizer, &template, &config)).transpose()?;

    let mut model = config.init_with::<L>(&Device::flex());
    let paths: Vec<String> = model.weights_mut().into_iter().map(|(path, _)| path).collect();
    drop(model);
    let mut formats: Formats = paths.iter().map(|path| (path.clone(), options.scheme.format_of(path))).collect();
    let folder = NewFolder::create(output, options.force)?;
    if calibration.is_some() {
        // What is no number would first be seen in the inputs of another matrix.
        checkpoint.check(options.progress, options.cancel)?;
    }
    if let Some(budget) = options.budget {
        let sequences = calibration.as_ref().map(|calibration| calibration.sequences.as_slice());
        let planned = |formats: &Formats| plan::<L>(&checkpoint, formats, options.method);
        formats = sensitivity::formats::<L>(&checkpoint, &paths, sequences, budget, options, &planned)?;
    }
    let planned = plan::<L>(&checkpoint, &formats, options.method)?;
    let file = QuantizedFile::create(&folder.path().join("model.safetensors"), &planned)?;
    let mut job = Job::new(&checkpoint, formats, file, &planned, options);
    match &calibration {
        Some(calibration) => layers::quantize::<L>(&mut job, &calibration.sequences, &config, &options.device)?,
        None => paths.iter().try_for_each(|path| job.round(path))?,
    }
    let (matrices, bytes_after, names) = job.finish()?;
    let mut config = checkpoint.config().clone();
    config["quantization_config"] = companions::quantization(options.method.name(), &names);
    companions::write(&checkpoint, &config, folder.path())?;
    let removed = folder.removed().to_vec();
    require_uncancelled(options.cancel)?;
    folder.finish()?;

    let parameters = planned.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    Ok(QuantizeReport {
        out: output.to_owned(),
        method: options.method.name(),
        matrices,
        parameters,
        bytes_before: checkpoint.tensors().iter().map(|info| info.bytes).sum(),
        bytes_after,
        bits_per_weight: bits(bytes_after, parameters),
        calibration_tokens: calibration.as_ref().map_or(0, Calibration::tokens),
        held_out: calibration.map_or_else(Vec::new, |calibration| calibration.held_out.concat()),
        quality: None,
        removed,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The format of each matrix, by its path in the model.
pub(super) type Formats = HashMap<String, QuantFormat>;

/// Neither folder may hold the other: the model that is read stays as it is.
pub(crate) fn refuse_overlap(checkpoint: &Checkpoint, output: &Path, hint: &str) -> Result<()> {
    // Of a target that is not there yet, the part that is.
    let there = output.ancestors().find(|part| part.exists()).filter(|part| !part.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let target = there.canonicalize().map_err(|error| Error::io(output, error))?;
    let files = || checkpoint.tensors().iter().map(|info| &*info.file).collect::<HashSet<_>>().into_iter().collect();
    let sources: Vec<&Path> = match checkpoint.folder() {
        Some(folder) => vec![folder],
        None if checkpoint.is_embedded() => Vec::new(),
        None => files(),
    };
    for source in sources {
        let source = source.canonicalize().map_err(|error| Error::io(source, error))?;
        if target.starts_with(&source) || (there == output && source.starts_with(&target)) {
            let got = format!("`{}`, which is or holds the model, or lies in it", output.display());
            return Err(Error::request("OUT", got, "a folder elsewhere").with_hint(hint));
        }
    }
    Ok(())
}

/// What the file will hold.
fn plan<L: DecoderLayer>(checkpoint: &Checkpoint, formats: &Formats, method: Method) -> Result<Vec<Planned>> {
    let by_name: HashMap<String, QuantFormat> = formats.iter().map(|(path, format)| (arch::tensor_name(path), *format)).collect();
    // What factors are moved out of is no longer what it was in its old type.
    let widened: HashSet<&str> = match method {
        Method::Awq => L::foldings().iter().map(|folding| folding.producer.trim_end_matches("weight")).collect(),
        Method::Rtn | Method::Gptq => HashSet::new(),
    };
    let is_widened = |name: &str| {
        let within = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')).map_or("", |(_, within)| within);
        let stem = within.strip_suffix("weight").or_else(|| within.strip_suffix("bias"));
        stem.is_some_and(|stem| widened.contains(stem))
    };
    let mut planned = Vec::new();
    for info in checkpoint.tensors() {
        let form = match by_name.get(&info.name) {
            Some(format) => Form::Quantized(*format),
            None if checkpoint.is_no_weight(&info.name)? => continue,
            None if info.is_float() && is_widened(&info.name) => Form::Plain(DType::F32),
            None => Form::Plain(info.dtype),
        };
        planned.push(Planned { name: info.name.clone(), shape: info.shape.clone(), form });
    }
    Ok(planned)
}

/// A file that is being filled with what comes out of a checkpoint.
pub(super) struct Job<'a> {
    pub checkpoint: &'a Checkpoint,
    pub options: &'a QuantizeOptions<'a>,
    formats: Formats,
    file: QuantizedFile,
    /// Tensors that are to be written, quantized or not, by their names.
    pending: HashMap<String, Form>,
    matrices: Vec<MatrixReport>,
    progress: RefCell<Done>,
}

/// How far it is.
struct Done {
    tensors: usize,
    total_tensors: usize,
    bytes: u64,
    total_bytes: u64,
}

impl<'a> Job<'a> {
    fn new(
        checkpoint: &'a Checkpoint,
        formats: Formats,
        file: QuantizedFile,
        planned: &[Planned],
        options: &'a QuantizeOptions<'a>,
    ) -> Self {
        let read: u64 = checkpoint.tensors().iter().map(|info| info.bytes).sum();
        let done = Done { tensors: 0, total_tensors: planned.len(), bytes: 0, total_bytes: read + file.bytes() };
        let pending = planned.iter().map(|tensor| (tensor.name.clone(), tensor.form)).collect();
        Self { checkpoint, options, formats, file, pending, matrices: Vec::new(), progress: RefCell::new(done) }
    }

    /// Whether the tensor at `path` is to be quantized.
    pub fn has(&self, path: &str) -> bool {
        self.formats.contains_key(path)
    }

    /// The format of the matrix at `path`.
    ///
    /// # Panics
    /// When it is not to be quantized.
    pub fn format(&self, path: &str) -> QuantFormat {
        self.formats[path]
    }

    /// The tensor at `path` of `source` in f32; all its numbers are finite.
    pub fn weights(&self, source: &dyn WeightSource, path: &str) -> Result<Vec<f32>> {
        require_uncancelled(self.options.cancel)?;
        let name = arch::tensor_name(path);
        let data = source.read(&name)?;
        self.checkpoint.require_finite(&data, &name)?;
        Ok(widened(&data, 0, data.num_elements()))
    }

    /// Rounds the matrix at `path` to nearest and writes it.
    fn round(&mut self, path: &str) -> Result<()> {
        let weights = self.weights(self.checkpoint.source(), path)?;
        let width = self.checkpoint.shape(&arch::tensor_name(path)).last().copied().unwrap_or(1);
        let matrix = rtn::matrix(self.format(path), &weights, width, None);
        self.put(path, &weights, &matrix, None)
    }

    /// Writes `matrix`, which was made of `weights`.
    pub fn put(&mut self, path: &str, weights: &[f32], matrix: &QuantMatrix, moments: Option<&Moments>) -> Result<()> {
        require_uncancelled(self.options.cancel)?;
        let name = arch::tensor_name(path);
        self.file.put_matrix(&name, matrix)?;
        self.matrices.push(MatrixReport::new(&name, weights, matrix, moments));
        self.pending.remove(&name);
        self.tell(&name);
        Ok(())
    }

    /// Writes a tensor that is not quantized.
    pub fn put_plain(&mut self, name: &str, data: &TensorData) -> Result<()> {
        require_uncancelled(self.options.cancel)?;
        self.file.put(name, data)?;
        self.pending.remove(name);
        self.tell(name);
        Ok(())
    }

    /// Copies what is left, and reads everything back; returns what was done, the bytes of the file, and the formats in it.
    fn finish(mut self) -> Result<(Vec<MatrixReport>, u64, Vec<&'static str>)> {
        for info in self.checkpoint.tensors() {
            let Some(Form::Plain(dtype)) = self.pending.get(&info.name).copied() else { continue };
            let data = self.checkpoint.source().read(&info.name)?;
            self.checkpoint.require_finite(&data, &info.name)?;
            let data =
                if data.dtype() == dtype { data } else { TensorData::new(widened(&data, 0, data.num_elements()), info.shape.clone()) };
            self.put_plain(&info.name, &data)?;
        }
        let Self { file, options, progress, matrices, formats, .. } = self;
        let bytes = file.finish(&|bytes| {
            require_uncancelled(options.cancel)?;
            progress.borrow_mut().bytes += bytes;
            show(&progress.borrow(), "", options);
            Ok(())
        })?;
        let used = |format: &QuantFormat| formats.values().any(|one| one == format);
        Ok((matrices, bytes, QuantFormat::ALL.into_iter().filter(used).map(QuantFormat::name).collect()))
    }

    fn tell(&self, name: &str) {
        let mut done = self.progress.borrow_mut();
        done.tensors += 1;
        done.bytes += self.checkpoint.tensors().iter().find(|info| info.name == name).map_or(0, |info| info.bytes);
        show(&done, name, self.options);
    }
}

fn show(done: &Done, tensor: &str, options: &QuantizeOptions) {
    if let Some(progress) = options.progress {
        let Done { tensors, total_tensors, bytes, total_bytes } = *done;
        progress(&Progress { tensor, tensors, total_tensors, bytes, total_bytes, ..Progress::default() });
    }
}
