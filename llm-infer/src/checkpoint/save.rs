//! A module as `model.safetensors` beside its `config.json`, so that what was trained here loads anywhere, transformers included.
//!
//! Both files are written beside their place, flushed to the disk, then renamed: a crash leaves the old ones or the new ones.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Int, Tensor, TensorData};
use serde_json::{Value, json};

use super::convert::convert;
use super::layout::{Layout, Slot};
use super::module::ModulePath;
use super::new_file::NewFile;
use super::options::{Progress, SaveOptions, WeightDtype, require_uncancelled};
use super::source::TensorInfo;
use crate::{Error, Result};

/// Writes `module` and `config` into `folder`, each parameter under the name that `name_of` gives its path.
pub(super) fn save_module<M: Module>(
    module: &M,
    name_of: &dyn Fn(&str) -> String,
    config: &Value,
    folder: &Path,
    options: &SaveOptions,
) -> Result<()> {
    let (weights, config_path) = (folder.join("model.safetensors"), folder.join("config.json"));
    if !options.overwrite {
        refuse_existing(&[&weights, &config_path])?;
    }
    let mut planner = Planner { path: ModulePath::default(), name_of, options, file: &weights, tensors: Vec::new(), quantized: None };
    module.visit(&mut planner);
    if let Some(name) = planner.quantized {
        return Err(Error::invalid(folder, format!("tensor `{name}`"), "quantized weights", "floats")
            .with_hint("`llm quantize` writes quantized models; save the one that they were made from"));
    }
    // Transformers refuses files that do not say which framework's layout they follow.
    let layout = Layout::new(planner.tensors, json!({"format": "pt"}))?;
    let config = with_dtype(config, &layout, &config_path)?;

    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let new_config = NewFile::create(&config_path)?;
    new_config.write(|file| file.write_all(format!("{config:#}\n").as_bytes()))?;
    let new_weights = NewFile::create(&weights)?;
    new_weights.write(|file| file.write_all(&layout.header))?;
    let mut writer =
        Writer { path: ModulePath::default(), layout: &layout, file: &new_weights, options, tensors: 0, bytes: 0, failure: None };
    module.visit(&mut writer);
    if let Some(error) = writer.failure {
        return Err(error);
    }
    new_weights.finish()?;
    new_config.finish()
}

fn refuse_existing(paths: &[&Path]) -> Result<()> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => {
            Err(Error::invalid(path, "file", "one that exists already", "none").with_hint("name a new folder, or allow overwriting"))
        }
        None => Ok(()),
    }
}

/// `config` with the dtype of the saved matrices in the key that transformers reads.
fn with_dtype(config: &Value, layout: &Layout, path: &Path) -> Result<Value> {
    let mut config = config.clone();
    let Some(fields) = config.as_object_mut() else {
        return Err(Error::invalid(path, "document", super::json::kind_of(&config), "a JSON object"));
    };
    let matrix = layout.slots.iter().find(|slot| slot.info.shape.len() > 1 && slot.info.dtype.is_float());
    let name = match matrix.map(|slot| slot.info.dtype) {
        Some(DType::F16) => "float16",
        Some(DType::BF16) => "bfloat16",
        Some(DType::F32) => "float32",
        _ => return Ok(config),
    };
    let key = if fields.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    fields.insert(key.to_owned(), name.into());
    Ok(config)
}

/// Collects the tensors of a module and the dtypes they are saved in.
struct Planner<'a> {
    path: ModulePath,
    name_of: &'a dyn Fn(&str) -> String,
    options: &'a SaveOptions<'a>,
    file: &'a Path,
    tensors: Vec<Slot>,
    /// The first matrix that is no longer in floats.
    quantized: Option<String>,
}

impl Planner<'_> {
    fn plan(&mut self, shape: Vec<usize>, dtype: DType) {
        let dtype = match self.options.dtype {
            WeightDtype::F32 if dtype.is_float() => DType::F32,
            WeightDtype::F16 if dtype.is_float() => DType::F16,
            WeightDtype::Bf16 if dtype.is_float() => DType::BF16,
            _ => dtype,
        };
        let path = self.path.join();
        let bytes = (shape.iter().product::<usize>() * dtype.size()) as u64;
        let info = TensorInfo { name: (self.name_of)(&path), dtype, shape, bytes, format: None, packing: None, file: self.file.into() };
        self.tensors.push(Slot { path, info, begin: 0 });
    }
}

impl ModuleVisitor for Planner<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
        if name == "Quantized" && self.quantized.is_none() {
            self.quantized = Some((self.name_of)(&self.path.join()));
        }
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.plan(param.lazy_shape().to_vec(), param.val().dtype());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.plan(param.lazy_shape().to_vec(), param.val().dtype());
    }
}

/// Writes each tensor to its place, one on the host at a time.
struct Writer<'a> {
    path: ModulePath,
    layout: &'a Layout,
    file: &'a NewFile,
    options: &'a SaveOptions<'a>,
    tensors: usize,
    bytes: u64,
    failure: Option<Error>,
}

impl Writer<'_> {
    fn put(&mut self, data: impl FnOnce() -> std::result::Result<TensorData, String>) {
        if self.failure.is_none() {
            self.failure = self.write(data).err();
        }
    }

    fn write(&mut self, data: impl FnOnce() -> std::result::Result<TensorData, String>) -> Result<()> {
        require_uncancelled(self.options.cancel)?;
        let path = self.path.join();
        let Some(Slot { info, begin, .. }) = self.layout.slots.iter().find(|slot| slot.path == path) else { return Ok(()) };
        let data = data().map_err(|message| Error::Device { device: "of the model".to_owned(), message, hint: None })?;
        let data = convert(data, info.dtype, info)?;
        self.file.write(|file| {
            file.seek(SeekFrom::Start(self.layout.header.len() as u64 + begin))?;
            file.write_all(data.as_bytes())
        })?;
        self.tensors += 1;
        self.bytes += info.bytes;
        if let Some(progress) = self.options.progress {
            let (total_tensors, total_bytes) = (self.layout.slots.len(), self.layout.data_bytes);
            let (tensors, bytes) = (self.tensors, self.bytes);
            progress(&Progress { tensor: &info.name, tensors, total_tensors, bytes, total_bytes, ..Progress::default() });
        }
        Ok(())
    }
}

impl ModuleVisitor for Writer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.put(|| param.val().try_into_data().map_err(|error| error.to_string()));
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.put(|| param.val().try_into_data().map_err(|error| error.to_string()));
    }
}
