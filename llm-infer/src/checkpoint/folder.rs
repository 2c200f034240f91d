//! What lies where in a Hugging Face folder.

use std::path::{Path, PathBuf};

use super::gguf;
use super::pytorch::PyTorch;
use super::quantized;
use super::safetensors::Safetensors;
use super::sharded::Sharded;
use super::sniff::{self, Format};
use super::source::WeightSource;
use crate::{Error, Result};

/// The files of a checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// The folder that has config.json, tokenizer.json and the rest.
    pub folder: PathBuf,
    /// One file of weights, or the index of several.
    pub weights: PathBuf,
}

impl Files {
    /// Finds the files of the folder, or of the single weight file, at `path`.
    pub fn find(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
        if metadata.is_dir() {
            return Ok(Self { folder: path.to_owned(), weights: find_weights(path)? });
        }
        if !metadata.is_file() {
            return Err(Error::invalid(path, "file type", "a pipe or device", "a folder or a file of weights"));
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok(Self { folder: folder.to_owned(), weights: path.to_owned() })
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    pub fn generation_config(&self) -> PathBuf {
        self.folder.join("generation_config.json")
    }

    /// Opens the weights and checks their headers.
    pub fn open_weights(&self) -> Result<Box<dyn WeightSource>> {
        match sniff::format(&self.weights)? {
            Format::Index => Ok(Box::new(Sharded::open(&self.weights)?)),
            Format::PyTorch => Ok(Box::new(PyTorch::open(&self.weights)?)),
            _ => quantized::joined(Safetensors::open(&self.weights)?),
        }
    }
}

/// `model.safetensors`, else its index, else the only `.safetensors` file there is, else the same of PyTorch and GGUF.
fn find_weights(folder: &Path) -> Result<PathBuf> {
    for name in ["model.safetensors", "model.safetensors.index.json"] {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            return Ok(path);
        }
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
        names.push(PathBuf::from(entry.map_err(|error| Error::io(folder, error))?.file_name()));
    }
    names.sort();
    let with_extension = |extension: &str| names.iter().filter(|name| name.extension().is_some_and(|e| e == extension)).collect::<Vec<_>>();
    if let [only] = with_extension("safetensors")[..] {
        return Ok(folder.join(only));
    }
    for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() && with_extension("safetensors").is_empty() {
            return Ok(path);
        }
    }
    let gguf: Vec<_> = with_extension("gguf").into_iter().filter(|name| !gguf::is_later_piece(name)).collect();
    let torch: Vec<_> = ["pt", "pth", "bin"].into_iter().flat_map(with_extension).collect();
    if with_extension("safetensors").is_empty() {
        match (&gguf[..], &torch[..]) {
            ([only], []) | ([], [only]) => return Ok(folder.join(only)),
            _ => {}
        }
    }
    let hint = match () {
        () if !with_extension("safetensors").is_empty() => "name one of the `.safetensors` files, or add the index",
        () if !gguf.is_empty() => "name one of the `.gguf` files",
        () if !torch.is_empty() => "name one of the `.pt`, `.pth` or `.bin` files",
        () => "give a folder as Hugging Face lays it out: config.json, tokenizer.json, model.safetensors",
    };
    Err(Error::invalid(folder, "weights", "none", "`model.safetensors` or `model.safetensors.index.json`").with_hint(hint))
}
