//! Weights into a module, one tensor at a time.
//!
//! Names, shapes and kinds are compared first, so a checkpoint that does not fit is refused before any data is read. Then each
//! tensor is read, converted, put on its device, and its host copy dropped: the peak is the model in its dtype plus one tensor.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use llm_model::quant::{BLOCK, QuantFormat, QuantShape};
use llm_model::{QuantWeight, Weight};
use serde_json::Value;

use super::convert::{convert, require_finite};
use super::module::{ModulePath, Parameter, parameters};
use super::options::{LoadOptions, Progress, Stage, WeightDtype, require_uncancelled};
use super::packed::{CacheReport, Packed, Slot};
use super::report::{LoadReport, Mismatch};
use super::resident::{Resident, tensor};
use super::source::{TensorInfo, WeightSource};
use super::widen::widen_rows;
use crate::quantize::{Room, pack, pack_rows, rtn};
use crate::{Error, Result};

/// Uploads wait for the device after this many bytes, so that its queue never holds the model a second time.
const SYNC_BYTES: usize = 64 << 20;

/// Where weights come from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub source: &'a dyn WeightSource,
    /// What messages name.
    pub path: &'a Path,
    /// The configuration of a whole model, whose packed weights may be cached.
    pub config: Option<&'a Value>,
}

/// Replaces every parameter of `module` by the tensor that `name_of` its path names.
///
/// `weights_of` lists the matrices of a module that stay quantized where they are, or are quantized if `options` ask for it.
pub(super) fn fill<M: Module>(
    mut module: M,
    weights_of: impl for<'m> Fn(&'m mut M) -> Vec<(String, &'m mut Weight)>,
    origin: Origin,
    name_of: &dyn Fn(&str) -> String,
    ignored: &dyn Fn(&str) -> bool,
    options: &LoadOptions,
) -> Result<(M, LoadReport)> {
    let start = Instant::now();
    let Origin { source, path, .. } = origin;
    let parameters = parameters(&module);
    let plan = Plan::new(&parameters, source, path, name_of, ignored, options.strict)?;
    let dtype = matrix_dtype(plan.wanted.values(), options)?;
    let report = LoadReport {
        tensors: 0,
        parameters: 0,
        bytes_read: 0,
        bytes: 0,
        dtype,
        quantized: Vec::new(),
        converted: Vec::new(),
        widened: Vec::new(),
        unpacked: Vec::new(),
        unexpected: plan.unexpected,
        ignored: plan.ignored,
        other_parts: Vec::new(),
        cache: CacheReport::default(),
        seconds: 0.0,
    };
    let mut packed = Packed::off();
    if let Some(config) = origin.config.filter(|_| options.cache.is_some()) {
        let shapes = weights_of(&mut module).into_iter().filter_map(|(path, weight)| {
            let [rows, width] = weight.shape();
            let format = format_of(plan.wanted.get(&path)?, &path, options)?;
            Some((path, QuantShape { format, rows, width }))
        });
        let shapes: HashMap<String, QuantShape> = shapes.collect();
        if let Some(format) = most_used(shapes.values().map(|shape| shape.format)) {
            let slots = parameters.iter().flat_map(|parameter| slots(parameter, &plan.wanted, &shapes, dtype)).collect();
            packed = Packed::open(source, path, config, slots, format.to_string(), options)?;
        }
    }
    let total_bytes = plan.wanted.values().map(|info| info.bytes).sum();
    let path = ModulePath::default();
    let resident = Resident::new(&options.device);
    let mut loader =
        Loader { source, wanted: plan.wanted, total_bytes, unsynced: 0, options, path, packed, resident, report, failure: None };
    for (path, weight) in weights_of(&mut module) {
        loader.pack(&path, weight)?;
    }
    let module = module.map(&mut loader);
    if let Some(error) = loader.failure {
        return Err(error);
    }
    sync(&options.device)?;
    let bytes_read = if loader.packed.is_mapped() { 0 } else { loader.report.bytes_read };
    let written = loader.packed.bytes();
    if let Some(progress) = options.progress.filter(|_| written > 0) {
        let tensors = loader.report.tensors;
        let stage = Stage::Writing;
        progress(&Progress { stage, tensor: "", tensors, total_tensors: tensors, bytes: written, total_bytes: written });
    }
    let cache = loader.packed.finish();
    Ok((module, LoadReport { bytes_read, cache, seconds: start.elapsed().as_secs_f64(), ..loader.report }))
}

/// Checks that the weights fill every parameter of `module`, without reading them; arguments as for [`fill`].
pub(super) fn compare<M: Module>(module: &M, source: &dyn WeightSource, path: &Path, name_of: &dyn Fn(&str) -> String) -> Result<()> {
    Plan::new(&parameters(module), source, path, name_of, &|_| false, false).map(drop)
}

/// What to read, by the module's paths, and what to leave.
struct Plan<'a> {
    wanted: HashMap<String, &'a TensorInfo>,
    unexpected: Vec<String>,
    ignored: Vec<String>,
}

impl<'a> Plan<'a> {
    fn new(
        parameters: &[Parameter],
        source: &'a dyn WeightSource,
        path: &Path,
        name_of: &dyn Fn(&str) -> String,
        is_ignored: &dyn Fn(&str) -> bool,
        strict: bool,
    ) -> Result<Self> {
        let stored: HashMap<&str, &TensorInfo> = source.tensors().iter().map(|info| (info.name.as_str(), info)).collect();
        let mut mismatch = Mismatch::default();
        let mut wanted = HashMap::with_capacity(parameters.len());
        let mut used = HashSet::with_capacity(parameters.len());
        for parameter in parameters {
            let name = name_of(&parameter.path);
            match stored.get(name.as_str()) {
                None => mismatch.missing.push(format!("`{name}`")),
                Some(info) if info.shape == parameter.shape && info.is_float() == parameter.float => {
                    wanted.insert(parameter.path.clone(), *info);
                }
                Some(info) => mismatch.misshapen.push(difference(info, parameter)),
            }
            used.insert(name);
        }
        let rest = source.tensors().iter().map(|info| &info.name).filter(|name| !used.contains(*name)).cloned();
        let (ignored, unexpected): (Vec<_>, Vec<_>) = rest.partition(|name| is_ignored(name));
        if strict {
            mismatch.unexpected = unexpected.iter().map(|name| format!("`{name}`")).collect();
        }
        if mismatch.is_empty() {
            return Ok(Self { wanted, unexpected, ignored });
        }
        let hint = if mismatch.missing.is_empty() && mismatch.misshapen.is_empty() {
            "without `--strict` they are reported and left out"
        } else {
            "config.json and the weights do not belong together, or the download is incomplete"
        };
        Err(Error::Tensors { path: path.to_owned(), report: mismatch.to_string(), hint: Some(hint.to_owned()) })
    }
}

fn difference(info: &TensorInfo, parameter: &Parameter) -> String {
    if info.shape == parameter.shape {
        let expected = if parameter.float { "floats" } else { "integers" };
        return format!("`{}` (got {}, expected {expected})", info.name, info.type_name());
    }
    format!("`{}` (got {:?}, expected {:?})", info.name, info.shape, parameter.shape)
}

/// The dtype that all matrices get, so that no two of them differ.
fn matrix_dtype<'a>(wanted: impl Iterator<Item = &'a &'a TensorInfo> + Clone, options: &LoadOptions) -> Result<DType> {
    let asked = match options.dtype {
        WeightDtype::F32 => DType::F32,
        WeightDtype::F16 => DType::F16,
        WeightDtype::Bf16 => DType::BF16,
        WeightDtype::Auto => {
            let matrices = wanted.filter(|info| info.shape.len() > 1);
            let bytes = |dtype| matrices.clone().filter(|info| info.dtype == dtype).map(|info| info.bytes).sum::<u64>();
            let half = if bytes(DType::F16) > bytes(DType::BF16) { DType::F16 } else { DType::BF16 };
            let mostly_half = bytes(half) > bytes(DType::F32) + bytes(DType::F64);
            return Ok(if mostly_half && options.device.supports_dtype(half) { half } else { DType::F32 });
        }
    };
    if options.device.supports_dtype(asked) {
        return Ok(asked);
    }
    let message = format!("it does not compute in `{}`", options.dtype);
    Err(Error::Device { device: format!("{:?}", options.device), message, hint: Some("use `--dtype auto` or `--dtype f32`".to_owned()) })
}

/// The dtype that a tensor has in memory where `matrices` have theirs.
fn held_dtype(info: &TensorInfo, matrices: DType) -> DType {
    match info.shape.len() {
        _ if !info.is_float() => info.dtype,
        0 | 1 => DType::F32,
        _ => matrices,
    }
}

/// The format that the matrix at `path` is packed in; `None` for one that is held in floats.
fn format_of(info: &TensorInfo, path: &str, options: &LoadOptions) -> Option<QuantFormat> {
    match info.format {
        Some(format) => (options.dtype == WeightDtype::Auto).then_some(format),
        None => options.quantize.map(|scheme| scheme.format_of(path)),
    }
}

/// The format that most of the matrices have.
fn most_used(formats: impl Iterator<Item = QuantFormat> + Clone) -> Option<QuantFormat> {
    let count = |format| formats.clone().filter(|one| *one == format).count();
    QuantFormat::ALL.into_iter().filter(|format| count(*format) > 0).max_by_key(|format| count(*format))
}

/// What a parameter is in memory: one tensor, or the two of a matrix that is packed.
fn slots(parameter: &Parameter, wanted: &HashMap<String, &TensorInfo>, packed: &HashMap<String, QuantShape>, dtype: DType) -> Vec<Slot> {
    let Parameter { path, shape, .. } = parameter;
    if let Some(shape) = packed.get(path) {
        let slot = |name, dtype, dims: [usize; 4]| Slot { name, dtype, shape: dims.to_vec() };
        let ([values, factors], [values_name, factors_name], format) = (shape.dims(), part_names(path), shape.format);
        return vec![slot(values_name, DType::I32, values), slot(factors_name, format.factor_dtype(), factors)];
    }
    let dtype = wanted.get(path).map_or(dtype, |info| held_dtype(info, dtype));
    vec![Slot { name: path.clone(), dtype, shape: shape.clone() }]
}

/// What the packed cache calls values and factors of the matrix at `path`.
fn part_names(path: &str) -> [String; 2] {
    ["values", "factors"].map(|part| format!("{path}.{part}"))
}

/// Puts the planned tensors where the module's parameters are.
struct Loader<'a> {
    source: &'a dyn WeightSource,
    wanted: HashMap<String, &'a TensorInfo>,
    total_bytes: u64,
    unsynced: usize,
    options: &'a LoadOptions<'a>,
    path: ModulePath,
    packed: Packed,
    resident: Resident,
    report: LoadReport,
    failure: Option<Error>,
}

impl<'a> Loader<'a> {
    /// The next tensor in the dtype it shall have; `None` once anything failed.
    fn next(&mut self, device: &Device) -> Option<TensorData> {
        if self.failure.is_some() {
            return None;
        }
        let path = self.path.join();
        let info = self.wanted.remove(&path)?;
        self.read(info, &path, device).map_err(|error| self.failure = Some(error)).ok()
    }

    fn read(&mut self, info: &'a TensorInfo, path: &str, device: &Device) -> Result<TensorData> {
        require_uncancelled(self.options.cancel)?;
        let target = held_dtype(info, self.report.dtype);
        let data = match self.packed.tensor(path) {
            Some(data) => data,
            None => {
                let data = match info.format {
                    Some(_) => self.widened(info, target)?,
                    None => self.resident.keep(convert(self.source.read(&info.name)?, target, info)?),
                };
                self.packed.put(path, &data);
                data
            }
        };
        self.unsynced += data.as_bytes().len();
        if self.unsynced > SYNC_BYTES {
            sync(device)?;
            self.unsynced = 0;
        }
        self.report.count(info, target);
        self.tell(info, None);
        Ok(data)
    }

    /// The floats that a packed matrix means.
    fn widened(&mut self, info: &TensorInfo, target: DType) -> Result<TensorData> {
        let mut room = self.resident.room(info.elements() * target.size());
        let rows = self.source.quantized_rows(&info.name)?;
        widen_rows(&*rows, info, target, &mut room, |done| self.step(info, done))?;
        Ok(tensor(room, &info.shape, target))
    }

    /// Reads the matrix at `path` where it stays quantized, or shall be; only its tiles go to the device.
    fn pack(&mut self, path: &str, weight: &mut Weight) -> Result<()> {
        let Some(info) = self.wanted.get(path).copied() else { return Ok(()) };
        let Some(format) = format_of(info, path, self.options) else { return Ok(()) };
        self.wanted.remove(path);
        require_uncancelled(self.options.cancel)?;
        let [rows, width] = weight.shape();
        let shape = QuantShape { format, rows, width };
        let names = part_names(path);
        let [values, factors] = match (self.packed.tensor(&names[0]), self.packed.tensor(&names[1])) {
            (Some(values), Some(factors)) => [values, factors],
            _ => {
                let parts = self.tiles(info, shape)?;
                names.iter().zip(&parts).for_each(|(name, data)| self.packed.put(name, data));
                parts
            }
        };
        *weight = Weight::Quantized(QuantWeight::from_data(values, factors, shape, &self.options.device));
        self.report.count_packed(info, [rows, width], format);
        self.tell(info, None);
        Ok(())
    }

    /// Values and factors of a matrix that is quantized in the file, or is quantized here.
    fn tiles(&mut self, info: &TensorInfo, shape: QuantShape) -> Result<[TensorData; 2]> {
        let ([values, factors], format) = (shape.dims(), shape.format);
        let mut rooms = [(values, DType::I32), (factors, format.factor_dtype())]
            .map(|(dims, dtype)| self.resident.room(dims.iter().product::<usize>() * dtype.size()));
        let step = |done: usize| self.step(info, done);
        let [values_room, factors_room] = &mut rooms;
        let room = Room { values: values_room, factors: factors_room };
        if info.format.is_some() {
            pack_rows(&*self.source.quantized_rows(&info.name)?, room, step)?;
        } else {
            let data = self.source.read(&info.name)?;
            require_finite(&data, info)?;
            pack(&data, format, room, |weights, values| rtn::round(format, weights, &[1.0; BLOCK], values), step)?;
        }
        let [values_room, factors_room] = rooms;
        Ok([tensor(values_room, &values, DType::I32), tensor(factors_room, &factors, format.factor_dtype())])
    }

    /// Says that `done` rows of the tensor `info` are, and may end the load.
    fn step(&self, info: &TensorInfo, done: usize) -> Result<()> {
        let rows = info.shape.first().copied().unwrap_or(1).max(1) as u64;
        self.tell(info, Some(info.bytes / rows * done as u64));
        require_uncancelled(self.options.cancel)
    }

    /// Says that the tensor `info` is done, or of how many of its bytes something is made.
    fn tell(&self, info: &TensorInfo, part: Option<u64>) {
        if let Some(progress) = self.options.progress {
            let LoadReport { tensors, bytes_read, .. } = self.report;
            let total_tensors = tensors + self.wanted.len() + usize::from(part.is_some());
            let bytes = bytes_read + part.unwrap_or(0);
            let stage = Stage::Tensors;
            progress(&Progress { stage, tensor: &info.name, tensors, total_tensors, bytes, total_bytes: self.total_bytes });
        }
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let device = param.lazy_device();
        let Some(data) = self.next(&device) else { return param };
        let dtype = data.dtype();
        let tensor = device.memory_persistent_allocations(data, |data| Tensor::from_data(data, (&device, dtype)));
        let id = param.id;
        param.transform_for_load(tensor, id)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let device = param.lazy_device();
        let Some(data) = self.next(&device) else { return param };
        let dtype = data.dtype();
        let tensor = device.memory_persistent_allocations(data, |data| Tensor::from_data(data, (&device, dtype)));
        let id = param.id;
        param.transform_for_load(tensor, id)
    }
}

fn sync(device: &Device) -> Result<()> {
    device.sync().map_err(|error| Error::Device { device: format!("{device:?}"), message: error.to_string(), hint: None })
}
