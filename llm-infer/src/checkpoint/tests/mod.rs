//! Checkpoints made by hand, whole and broken; `fNN` are the rows of the fault list.

mod folder;
mod header;
mod llama2c;
mod load;
mod packed;
mod quantized;
mod save;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Distribution, Tensor};
use tempfile::TempDir;

use super::*;

/// The bytes of a safetensors file with this header and data.
fn file_bytes(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A file of f32 tensors, as name, shape and values.
fn tensor_file(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut entries = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        entries.insert((*name).to_owned(), entry);
    }
    file_bytes(&serde_json::Value::Object(entries).to_string(), &data)
}

/// A folder with these files.
pub(super) fn folder_with(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// Opens the file `path` and reads of it; once it was shortened meanwhile and once written again, this has to be noticed.
pub(super) fn require_changes_noticed<S, T>(path: &Path, open: impl Fn() -> Result<S>, read: impl Fn(&S) -> Result<T>) {
    let whole = std::fs::read(path).unwrap();
    let shorter = &whole[..whole.len() - 4];
    for (new, got) in [(shorter, format!("`{}` bytes", shorter.len())), (&whole[..], "a newer file".to_owned())] {
        std::fs::write(path, &whole).unwrap();
        let source = open().unwrap();
        assert!(read(&source).is_ok());
        std::fs::write(path, new).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
        let message = read(&source).err().expect("it is read").to_string();
        assert!(message.ends_with(&format!("changed while reading: got {got}, expected the file as it was opened")), "{message}");
    }
}

/// What opening the bytes as a safetensors file says, without the folder.
fn refusal(bytes: &[u8]) -> String {
    let folder = folder_with(&[("m.safetensors", bytes)]);
    let message = Safetensors::open(folder.path().join("m.safetensors")).unwrap_err().to_string();
    message.replace(&folder.path().join("").display().to_string(), "")
}

/// The material that is read but not part of the project, where it is there.
pub(super) fn shared_data(name: &str) -> Option<PathBuf> {
    let root =
        std::env::var_os("LLM_TEST_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {name} in ../shared/data or LLM_TEST_DATA");
    None
}

/// A module with a matrix in a list and behind an enum, and a vector; its weights cannot be initialised unless `random`.
#[derive(Module, Debug)]
struct Little {
    layers: Vec<Proj>,
    norm: Norm,
}

#[derive(Module, Debug)]
enum Proj {
    Dense(Dense),
}

#[derive(Module, Debug)]
struct Dense {
    weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
struct Norm {
    weight: Param<Tensor<1>>,
}

fn param<const D: usize>(shape: [usize; D], random: bool, device: &Device) -> Param<Tensor<D>> {
    let init = move |device: &Device, _| {
        assert!(random, "loading must not initialise");
        Tensor::random(shape, Distribution::Default, device)
    };
    Param::uninitialized(ParamId::new(), init, device.clone(), true, shape.into())
}

impl Little {
    fn new(random: bool, device: &Device) -> Self {
        let layers = (0..2).map(|_| Proj::Dense(Dense { weight: param([2, 3], random, device) })).collect();
        Self { layers, norm: Norm { weight: param([3], random, device) } }
    }

    fn matrix(&self, index: usize) -> Tensor<2> {
        let Proj::Dense(dense) = &self.layers[index];
        dense.weight.val()
    }
}

const MATRIX: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

/// The tensors that [`Little`] needs.
fn little_tensors() -> Vec<(&'static str, &'static [usize], &'static [f32])> {
    vec![
        ("model.norm.weight", &[3], &[1.0, 2.0, 3.0]),
        ("model.layers.0.weight", &[2, 3], &MATRIX),
        ("model.layers.1.weight", &[2, 3], &[6.0, 7.0, 8.0, 9.0, 10.0, 11.0]),
    ]
}

fn hf_name(path: &str) -> String {
    format!("model.{path}")
}
