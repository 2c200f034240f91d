//! A checkpoint in several files of safetensors or PyTorch, tied together by `model.safetensors.index.json` or its like.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use burn::tensor::TensorData;

use super::json::{self, Entries};
use super::pytorch::PyTorch;
use super::safetensors::Safetensors;
use super::sniff::{self, Format};
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// The largest index that is read, in bytes.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// The most tensors in all shards together.
const MAX_TENSORS: usize = 1 << 20;

/// The shard of each tensor, by name.
type WeightMap = Entries<String, MAX_TENSORS>;

/// The shards of one checkpoint.
pub struct Sharded {
    index: PathBuf,
    shards: Vec<Box<dyn WeightSource>>,
    tensors: Vec<TensorInfo>,
    /// The shard of each tensor.
    by_name: HashMap<String, usize>,
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: WeightMap,
}

impl fmt::Debug for Sharded {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Sharded").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Sharded {
    /// Opens the shards that the index at `path` names, all in its own folder.
    ///
    /// # Errors
    ///
    /// An index that is malformed, that names files elsewhere or missing ones (nothing is opened then), or that disagrees with the
    /// shards about which tensor is where.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.parent().unwrap_or(Path::new(""));
        let Index { weight_map } = json::parse(path, &json::read_bounded(path, MAX_INDEX_BYTES)?)?;
        if let Some(name) = weight_map.duplicate() {
            return Err(Error::invalid(path, format!("weight_map: `{name}`"), "two entries", "one"));
        }
        let names = shard_names(&weight_map);
        let paths = names.iter().map(|name| shard_path(path, folder, name)).collect::<Result<Vec<_>>>()?;
        let shards = paths.iter().map(|path| open_shard(path)).collect::<Result<Vec<_>>>()?;
        let mut source = Self { index: path.to_owned(), shards, tensors: Vec::new(), by_name: HashMap::new() };
        source.merge()?;
        source.check_index(&names, &weight_map)?;
        Ok(source)
    }

    /// The shard that has the tensor `name`.
    fn shard(&self, name: &str) -> Result<&dyn WeightSource> {
        let shard = self.by_name.get(name);
        let shard = *shard.ok_or_else(|| Error::invalid(&self.index, format!("tensor `{name}`"), "nothing", "a tensor"))?;
        Ok(&*self.shards[shard])
    }

    /// Joins the headers of the shards.
    fn merge(&mut self) -> Result<()> {
        for (shard, file) in self.shards.iter().enumerate() {
            for info in file.tensors() {
                if let Some(first) = self.by_name.insert(info.name.clone(), shard) {
                    let other = self.shards[first].tensors()[0].file.display();
                    let field = format!("tensor `{}`", info.name);
                    return Err(Error::invalid(&info.file, field, format!("a second one beside that of `{other}`"), "one"));
                }
                self.tensors.push(info.clone());
            }
        }
        Ok(())
    }

    /// Every tensor is where the index says, and the index names every tensor.
    fn check_index(&self, names: &[&str], weight_map: &WeightMap) -> Result<()> {
        for (tensor, shard) in &weight_map.entries {
            let found = self.by_name.get(tensor).map(|shard| names[*shard]);
            if found != Some(shard) {
                let got = found.map_or("no such tensor there".to_owned(), |found| format!("it in `{found}`"));
                return Err(Error::invalid(&self.index, format!("weight_map: `{tensor}`"), got, format!("it in `{shard}`")));
            }
        }
        if weight_map.entries.len() < self.tensors.len() {
            let known: HashSet<&String> = weight_map.entries.iter().map(|(name, _)| name).collect();
            if let Some(TensorInfo { name, file, .. }) = self.tensors.iter().find(|info| !known.contains(&info.name)) {
                return Err(Error::invalid(file, format!("tensor `{name}`"), "a tensor that the index lacks", "an entry for it"));
            }
        }
        Ok(())
    }
}

impl WeightSource for Sharded {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        self.shard(name)?.read(name)
    }

    fn read_part(&self, name: &str, index: usize) -> Result<TensorData> {
        self.shard(name)?.read_part(name, index)
    }

    fn blobs(&self) -> Vec<&Blob> {
        self.shards.iter().flat_map(|shard| shard.blobs()).collect()
    }
}

/// One file of those that an index names.
fn open_shard(path: &Path) -> Result<Box<dyn WeightSource>> {
    match sniff::format(path)? {
        Format::PyTorch => Ok(Box::new(PyTorch::open(path)?)),
        _ => Ok(Box::new(Safetensors::open(path)?)),
    }
}

/// The different files of an index, sorted.
fn shard_names(weight_map: &WeightMap) -> Vec<&str> {
    let mut names: Vec<_> = weight_map.entries.iter().map(|(_, shard)| shard.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The path of the shard `name`: a plain file name, in the folder even after links are followed.
fn shard_path(index: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    let mut components = Path::new(name).components();
    let plain = matches!((components.next(), components.next()), (Some(Component::Normal(part)), None) if part == name);
    if !plain || name.contains(['\\', '\0']) {
        return Err(Error::invalid(index, "weight_map", format!("`{}`", name.escape_debug()), "the name of a file in this folder"));
    }
    let path = folder.join(name);
    let io_error = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::invalid(index, "weight_map", format!("`{name}`, which is missing"), "a file in this folder")
            .with_hint("the download is incomplete; fetch the missing files again"),
        _ => Error::io(&path, error),
    };
    let target = path.canonicalize().map_err(io_error)?;
    let home = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let home = home.canonicalize().map_err(|error| Error::io(folder, error))?;
    if target.starts_with(&home) || hub_blobs(&home).is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(path);
    }
    Err(Error::invalid(&path, "link", format!("`{}`", target.display()), "a file inside the checkpoint's folder")
        .with_hint("copy the file into the folder"))
}

/// Where the Hugging Face cache keeps the files that `snapshots/<revision>` links to: `../../blobs`.
fn hub_blobs(folder: &Path) -> Option<PathBuf> {
    let snapshots = folder.parent()?;
    (snapshots.file_name()? == "snapshots").then(|| snapshots.with_file_name("blobs"))
}
