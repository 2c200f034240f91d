//! Files of `torch.save` (.pt, .pth, .bin) that hold a dictionary of tensors, old ones and zip archives.
//!
//! Nothing in them is executed: [`objects`] knows what makes tensors and refuses everything else by name. Tensors are read from where
//! they lie, also those that are views of others.

mod legacy;
mod objects;
mod pickle;
#[cfg(test)]
mod tests;
mod zip;

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::TensorData;

use self::objects::{Object, Tensor, Value, text};
use self::pickle::Pickle;
use self::zip::Range;
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// The longest pickle that is read; that of a model has some 100 bytes a tensor.
const MAX_PICKLE: u64 = 64 << 20;
/// The most tensors of one file.
const MAX_TENSORS: usize = 1 << 16;
/// The most dimensions a tensor may have.
const MAX_RANK: usize = 8;
/// What helps with files that are not read.
const CONVERT: &str = "convert the checkpoint to safetensors, where PyTorch can load it";

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct PyTorch {
    blob: Blob,
    tensors: Vec<TensorInfo>,
    views: HashMap<String, View>,
}

/// Where the numbers of a tensor lie.
#[derive(Debug)]
struct View {
    /// Where its first number is in the file.
    begin: u64,
    /// Numbers from the first to the last, both counted.
    span: u64,
    /// Numbers from one place of a dimension to the next; none where they lie one after the other.
    stride: Option<Vec<usize>>,
}

/// Whether a file that begins like this was written by `torch.save`, or is a pickle at least.
pub(super) fn is_one(head: &[u8]) -> bool {
    match head {
        [b'P', b'K', 3, 4, ..] => true,
        // A safetensors header of 640 bytes begins alike, but its length ends in zeros.
        [0x80, 2..=5, _, _, 0, 0, 0, 0, ..] => false,
        [0x80, 2..=5, ..] => true,
        _ => false,
    }
}

impl PyTorch {
    /// Opens the file `path`; only its pickle is read.
    ///
    /// # Errors
    /// A file that is damaged, that holds something else than tensors by name, or tensors beyond its end.
    pub fn open(path: &Path) -> Result<Self> {
        let blob = Blob::open(path)?;
        let mut mark = [0; 2];
        let count = blob.len().min(2) as usize;
        blob.read_exact_at(0, &mut mark[..count])?;
        let (pickle, storages) = if mark == *b"PK" { from_zip(&blob)? } else { legacy::read(&blob)? };
        let mut source = Self { blob, tensors: Vec::new(), views: HashMap::new() };
        let named = named_tensors(&pickle, path)?;
        for (name, tensor) in named {
            source.add(name, tensor, &pickle, &storages)?;
        }
        Ok(source)
    }

    fn add(&mut self, name: &str, tensor: &Tensor, pickle: &Pickle, storages: &HashMap<String, Range>) -> Result<()> {
        let wrong = |got: String, expected: &str| {
            Error::invalid(self.blob.path(), format!("tensor `{}`", name.escape_debug()), got, expected.to_owned()).with_hint(CONVERT)
        };
        let Some(Object::Storage(storage)) = pickle.objects.get(tensor.storage) else {
            return Err(wrong("no numbers".to_owned(), "a storage of numbers"));
        };
        let Some(range) = storages.get(&storage.key) else {
            let shown: String = storage.key.chars().take(40).flat_map(char::escape_debug).collect();
            return Err(wrong(format!("the storage `{shown}`, which is missing"), "one in the file"));
        };
        let size = storage.dtype.size() as u64;
        let whole = range.length / size;
        let end = storage.begin.checked_add(storage.count).filter(|end| *end <= whole);
        if end.is_none() {
            return Err(wrong(format!("{} numbers from {} on", storage.count, storage.begin), "those that the storage has"));
        }
        let Tensor { offset, shape, stride, .. } = tensor;
        let count = shape.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim));
        let count = count.filter(|count| *count <= storage.count && shape.len() <= MAX_RANK);
        let Some(count) = count else {
            return Err(wrong(format!("shape {shape:?} of {} numbers", storage.count), "a tensor whose numbers are all stored"));
        };
        // The place of the last number.
        let last =
            shape.iter().zip(stride).try_fold(0_u64, |last, (dim, stride)| last.checked_add(dim.saturating_sub(1).checked_mul(*stride)?));
        let span = match last {
            Some(_) if count == 0 => Some(0),
            Some(last) => last.checked_add(1).filter(|span| offset.checked_add(*span).is_some_and(|end| end <= storage.count)),
            None => None,
        };
        let Some(span) = span else {
            let got = format!("shape {shape:?} with strides {stride:?} from {offset} on");
            return Err(wrong(got, "numbers within the storage"));
        };
        if name.chars().any(char::is_control) || name.is_empty() {
            return Err(wrong("such a name".to_owned(), "a name that can be shown"));
        }
        let shape: Vec<usize> = shape.iter().map(|dim| *dim as usize).collect();
        let stride: Vec<usize> = stride.iter().map(|stride| *stride as usize).collect();
        let view = View {
            begin: range.begin + (storage.begin + if count == 0 { 0 } else { *offset }) * size,
            span,
            stride: (count > 0 && !is_contiguous(&shape, &stride)).then_some(stride),
        };
        if self.views.insert(name.to_owned(), view).is_some() {
            return Err(wrong("two tensors".to_owned(), "one"));
        }
        let (dtype, file) = (storage.dtype, self.blob.path().clone());
        self.tensors.push(TensorInfo { name: name.to_owned(), dtype, format: None, packing: None, shape, bytes: count * size, file });
        Ok(())
    }
}

impl WeightSource for PyTorch {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let found = self.views.get(name).zip(self.tensors.iter().find(|info| info.name == name));
        let (view, info) = found.ok_or_else(|| Error::invalid(self.blob.path(), format!("tensor `{name}`"), "nothing", "a tensor"))?;
        let Some(stride) = &view.stride else { return self.blob.read_tensor(view.begin, &info.shape, info.dtype) };
        let mut data = TensorData::full_dtype(info.shape.clone(), 0, info.dtype);
        let size = info.dtype.size();
        let mut span = vec![0; view.span as usize * size];
        self.blob.read_exact_at(view.begin, &mut span)?;
        TensorData::with_bytes_mut([&mut data], |mut storage| gather(&span, &info.shape, stride, size, &mut storage[0][..]));
        Ok(data)
    }

    fn blobs(&self) -> Vec<&Blob> {
        vec![&self.blob]
    }
}

/// Whether numbers with these strides lie one after the other.
fn is_contiguous(shape: &[usize], stride: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(stride).rev().all(|(dim, stride)| {
        let fits = *dim == 1 || *stride == expected;
        expected *= dim;
        fits
    })
}

/// Puts numbers of `size` bytes, which lie in `span` by `stride`, one after the other.
fn gather(span: &[u8], shape: &[usize], stride: &[usize], size: usize, out: &mut [u8]) {
    let mut position = vec![0; shape.len()];
    for number in out.chunks_exact_mut(size) {
        let from: usize = position.iter().zip(stride).map(|(at, stride)| at * stride).sum();
        number.copy_from_slice(&span[from * size..(from + 1) * size]);
        for (at, dim) in position.iter_mut().zip(shape).rev() {
            *at += 1;
            if *at < *dim {
                break;
            }
            *at = 0;
        }
    }
}

/// The pickle of an archive, and where its storages are by their keys.
fn from_zip(blob: &Blob) -> Result<(Pickle, HashMap<String, Range>)> {
    let entries = zip::entries(blob)?;
    let mut pickles = entries.iter().filter(|(name, _)| name.rsplit('/').next() == Some("data.pkl"));
    let (Some((name, range)), None) = (pickles.next(), pickles.next()) else {
        return Err(Error::invalid(blob.path(), "archive", "no or several `data.pkl`", "a file of `torch.save`").with_hint(CONVERT));
    };
    if range.length > MAX_PICKLE {
        return Err(Error::invalid(blob.path(), "data.pkl", format!("{} bytes", range.length), format!("at most {MAX_PICKLE}")));
    }
    let prefix = name.trim_end_matches("data.pkl");
    if let Some(order) = entries.get(&format!("{prefix}byteorder")).filter(|order| order.length < 100) {
        let mut bytes = vec![0; order.length as usize];
        blob.read_exact_at(order.begin, &mut bytes)?;
        if bytes != b"little" {
            let got = String::from_utf8_lossy(&bytes).escape_debug().to_string();
            return Err(Error::invalid(blob.path(), "byteorder", format!("`{got}`"), "`little`").with_hint(CONVERT));
        }
    }
    let mut bytes = vec![0; range.length as usize];
    blob.read_exact_at(range.begin, &mut bytes)?;
    let pickle = pickle::read(&bytes).map_err(|flaw| refused(blob, flaw))?;
    let data = format!("{prefix}data/");
    let storages = entries.iter().filter_map(|(name, range)| Some((name.strip_prefix(&data)?.to_owned(), *range)));
    Ok((pickle, storages.collect()))
}

fn refused(blob: &Blob, (got, expected): pickle::Flaw) -> Error {
    Error::invalid(blob.path(), "pickle", got, expected).with_hint(CONVERT)
}

/// Keys under which a training run keeps the tensors of its model.
const INNER: [&str; 3] = ["state_dict", "model", "module"];

/// The tensors of the dictionary that the pickle is, or of the one that it has under a usual name.
fn named_tensors<'a>(pickle: &'a Pickle, path: &Path) -> Result<Vec<(&'a str, &'a Tensor)>> {
    let dict = |value: Value| match value {
        Value::Object(place) => match pickle.objects.get(place) {
            Some(Object::Dict(items)) => Some(items),
            _ => None,
        },
        _ => None,
    };
    let none = |got: &str| Error::invalid(path, "pickle", got, "a dictionary of tensors by name").with_hint(CONVERT);
    let whole = dict(pickle.value).ok_or_else(|| none("no dictionary"))?;
    let named = |items: &'a [(Value, Value)]| -> Vec<(&'a str, &'a Tensor)> {
        let tensor = |value: Value| match value {
            Value::Object(place) => match pickle.objects.get(place) {
                Some(Object::Tensor(tensor)) => Some(tensor),
                _ => None,
            },
            _ => None,
        };
        items.iter().filter_map(|(key, value)| Some((text(&pickle.objects, *key)?, tensor(*value)?))).collect()
    };
    let mut found = named(whole);
    if found.is_empty() {
        let inner = whole.iter().find(|(key, _)| text(&pickle.objects, *key).is_some_and(|key| INNER.contains(&key)));
        found = inner.and_then(|(_, value)| dict(*value)).map(|items| named(items)).unwrap_or_default();
    }
    match found.len() {
        0 => Err(none("a dictionary without tensors")),
        1..=MAX_TENSORS => Ok(found),
        count => Err(none(&format!("{count} tensors"))),
    }
}
