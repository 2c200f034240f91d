//! Where weights come from: the [`WeightSource`] trait, and bytes that are read in place and never mapped. Only files of the packed
//! cache, which are our own, are mapped.
//!
//! A mapped file that another program truncates kills the process with SIGBUS; a file that is read can only fail, and says
//! "changed while reading".

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData};
use llm_model::ops::memory::use_huge_pages;
use llm_model::ops::threads;
use llm_model::quant::{QuantFormat, StoredMatrix};

use super::rows::{QuantRows, stored};
use crate::{Error, Result};

/// Bytes that one thread reads at a time: several huge pages, so that two threads seldom ask for the same one.
const PIECE: usize = 8 << 20;

/// Bytes that the widest numbers are aligned to.
const ALIGNMENT: usize = 8;

/// What a weight file says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The name, as stored: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// The stored element type; that of the values where the tensor is quantized.
    pub dtype: DType,
    /// How a quantized tensor is read; its values and factors count as one tensor.
    pub format: Option<QuantFormat>,
    /// The type that it is stored in where that is neither `dtype` nor `format`, and takes more bits when it is read: `gptq-act-order`.
    pub packing: Option<&'static str>,
    /// The dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The stored size in bytes.
    pub bytes: u64,
    /// The file that holds it.
    pub file: Arc<Path>,
}

impl TensorInfo {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it was rounded to few bits before, be it kept so or read as floats.
    pub fn is_rounded(&self) -> bool {
        self.format.is_some() || self.packing.is_some()
    }

    /// Whether it stands for floats, stored as such or quantized.
    pub fn is_float(&self) -> bool {
        self.format.is_some() || self.dtype.is_float()
    }

    /// The name of its format or element type: `int4`, `bf16`.
    pub fn type_name(&self) -> String {
        if let Some(packing) = self.packing {
            return packing.to_owned();
        }
        self.format.map_or_else(|| format!("{:?}", self.dtype).to_lowercase(), |format| format.to_string())
    }
}

/// A set of named tensors, read one at a time.
pub trait WeightSource: Send + Sync {
    /// All tensors, in the order in which they are stored.
    fn tensors(&self) -> &[TensorInfo];

    /// Reads the tensor `name` in its stored dtype, or in f32 where it is quantized.
    ///
    /// # Errors
    ///
    /// An unknown name, a file that cannot be read, and one that changed since it was opened.
    fn read(&self, name: &str) -> Result<TensorData>;

    /// Reads element `index` of the outermost dimension of the tensor `name`, which is not quantized: the matrix of one expert.
    ///
    /// # Errors
    ///
    /// As [`WeightSource::read`], and an index that the tensor does not have.
    fn read_part(&self, name: &str, index: usize) -> Result<TensorData> {
        let whole = self.read(name)?;
        let bytes = whole.as_bytes().len() / whole.shape().first().copied().unwrap_or(1).max(1);
        let part = whole.as_bytes().get(index * bytes..(index + 1) * bytes);
        let part = part.ok_or_else(|| Error::invalid(Path::new(""), format!("tensor `{name}`"), format!("part {index}"), "one it has"))?;
        Ok(TensorData::from_bytes_vec(part.to_vec(), whole.shape()[1..].to_vec(), whole.dtype()))
    }

    /// The quantized tensor `name`, to be read by rows.
    ///
    /// # Errors
    ///
    /// As [`WeightSource::read`], and a tensor that is not quantized.
    fn quantized_rows(&self, name: &str) -> Result<Box<dyn QuantRows + '_>> {
        let file = self.tensors().first().map(|info| info.file.clone());
        let file = file.as_deref().unwrap_or(Path::new(""));
        Err(Error::invalid(file, format!("tensor `{name}`"), "floats", "a quantized tensor"))
    }

    /// Reads the quantized tensor `name` whole.
    ///
    /// # Errors
    ///
    /// As [`WeightSource::quantized_rows`] and [`QuantRows::read`].
    fn read_quantized(&self, name: &str) -> Result<StoredMatrix> {
        stored(&*self.quantized_rows(name)?)
    }

    /// The bytes behind all tensors, by which a cache knows them; none, as where tensors are computed, is never cached.
    #[doc(hidden)]
    fn blobs(&self) -> Vec<&Blob> {
        Vec::new()
    }
}

/// Bytes with a name: an open file, or a part of the binary.
#[derive(Debug)]
pub enum Blob {
    File { file: File, path: Arc<Path>, stamp: Stamp },
    Memory { name: Arc<Path>, bytes: &'static [u8] },
}

/// What tells one version of a file from the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self { len: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Blob {
    /// Opens the regular file `path`; pipes and devices are refused before opening, which could hang.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, metadata) = open_regular(path)?;
        Ok(Self::File { file, path: path.into(), stamp: Stamp::from(&metadata) })
    }

    /// The bytes of an embedded file, called `name` in messages.
    pub(super) fn memory(name: &Path, bytes: &'static [u8]) -> Self {
        Self::Memory { name: name.into(), bytes }
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        match self {
            Self::File { path, .. } => path,
            Self::Memory { name, .. } => name,
        }
    }

    /// The length in bytes when it was opened.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { stamp, .. } => stamp.len,
            Self::Memory { bytes, .. } => bytes.len() as u64,
        }
    }

    /// Fills `buffer` from `offset`, and fails where the file is no longer the one that was opened.
    pub(super) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match self {
            Self::File { file, path, stamp } => {
                unchanged(file, path, stamp)?;
                read_file_at(file, offset, buffer).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => changed(path, "a shorter file"),
                    _ => Error::io(path, error),
                })?;
                unchanged(file, path, stamp)
            }
            Self::Memory { name, bytes } => {
                let start = usize::try_from(offset).ok();
                let part = start.and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
                let part = part.ok_or_else(|| Error::invalid(name, "data", format!("{} bytes", bytes.len()), "more"))?;
                buffer.copy_from_slice(part);
                Ok(())
            }
        }
    }
}

impl Blob {
    /// The `length` bytes from `offset` on, by all threads, in huge pages where they are many: those are asked for before anything is
    /// written, as moving the bytes there later takes longer than reading them.
    pub(super) fn read_bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        use_huge_pages(bytes.as_ptr(), length);
        let pieces: Vec<_> = bytes.chunks_mut(PIECE).map(|piece| Mutex::new((piece, Ok(())))).collect();
        threads::for_each(pieces.len(), |index| {
            let mut piece = pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
            let (piece, result) = &mut *piece;
            *result = self.read_exact_at(offset + (index * PIECE) as u64, piece);
        });
        let results = pieces.into_iter().map(|piece| piece.into_inner().unwrap_or_else(PoisonError::into_inner).1);
        results.collect::<Result<()>>()?;
        Ok(bytes)
    }

    /// The tensor that begins at `offset`.
    pub(super) fn read_tensor(&self, offset: u64, shape: &[usize], dtype: DType) -> Result<TensorData> {
        let length = shape.iter().product::<usize>() * dtype.size();
        Ok(tensor(self.read_bytes(offset, length)?, shape, dtype))
    }
}

/// The tensor of these `bytes`, which are not copied: the allocator aligns them for every type.
pub(super) fn tensor(bytes: Vec<u8>, shape: &[usize], dtype: DType) -> TensorData {
    if bytes.is_empty() || !(bytes.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        let mut data = TensorData::full_dtype(shape.to_vec(), 0, dtype);
        TensorData::with_bytes_mut([&mut data], |mut storage| storage[0].copy_from_slice(&bytes));
        return data;
    }
    TensorData::from_bytes(Bytes::from_shared(bytes.into(), AllocationProperty::Other), shape.to_vec(), dtype)
}

/// Opens `path` where it is a regular file, or a link to one.
pub(super) fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let io_error = |error| Error::io(path, error);
    require_regular(path, &std::fs::metadata(path).map_err(io_error)?)?;
    let file = File::open(path).map_err(io_error)?;
    let metadata = file.metadata().map_err(io_error)?;
    require_regular(path, &metadata)?;
    Ok((file, metadata))
}

fn require_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let got = if metadata.is_dir() { "a directory" } else { "a pipe or device" };
    Err(Error::invalid(path, "file type", got, "a regular file"))
}

fn unchanged(file: &File, path: &Path, stamp: &Stamp) -> Result<()> {
    let now = Stamp::from(&file.metadata().map_err(|error| Error::io(path, error))?);
    if now == *stamp {
        return Ok(());
    }
    let got = if now.len == stamp.len { "a newer file".to_owned() } else { format!("`{}` bytes", now.len) };
    Err(changed(path, &got))
}

fn changed(path: &Path, got: &str) -> Error {
    Error::invalid(path, "changed while reading", got, "the file as it was opened")
        .with_hint("another program writes to this file; wait until it is done")
}

#[cfg(unix)]
fn read_file_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_file_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
