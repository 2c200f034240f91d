//! One `.safetensors` file: 8 bytes of header length, a JSON header, then the data.
//!
//! The header is believed only as far as the file bears it out: its length against the file's, each shape times dtype against its
//! offsets, and the offsets against the data, which they must cover without holes or overlaps.
//! Format: <https://huggingface.co/docs/safetensors>.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use burn::tensor::{BoolStore, DType, TensorData};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::json::{self, Entries};
use super::source::{Blob, TensorInfo, WeightSource};
use crate::{Error, Result};

/// The longest header that is read. The format allows 100 MB; checkpoints of a trillion parameters stay under 10.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// The most tensors in one file; checkpoints that have more are sharded.
const MAX_TENSORS: usize = 1 << 16;

/// The most dimensions a tensor may have.
const MAX_RANK: usize = 8;

/// The element types that are read, by their names in the format.
const DTYPES: [(&str, DType); 13] = [
    ("F64", DType::F64),
    ("F32", DType::F32),
    ("F16", DType::F16),
    ("BF16", DType::BF16),
    ("I64", DType::I64),
    ("I32", DType::I32),
    ("I16", DType::I16),
    ("I8", DType::I8),
    ("U64", DType::U64),
    ("U32", DType::U32),
    ("U16", DType::U16),
    ("U8", DType::U8),
    ("BOOL", DType::Bool(BoolStore::U8)),
];

/// The name of `dtype` in the format, where it has one.
pub(super) fn dtype_name(dtype: DType) -> Option<&'static str> {
    DTYPES.iter().find(|(_, known)| *known == dtype).map(|(name, _)| *name)
}

/// An open `.safetensors` file.
#[derive(Debug)]
pub struct Safetensors {
    blob: Blob,
    tensors: Vec<TensorInfo>,
    /// Where each tensor begins in the file.
    offsets: Vec<u64>,
    by_name: HashMap<String, usize>,
    metadata: HashMap<String, String>,
}

impl Safetensors {
    /// Opens `path` and checks its header; no tensor is read.
    ///
    /// # Errors
    ///
    /// A path that is no readable regular file, and any header that the format does not allow.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Blob::open(path.as_ref())?)
    }

    /// Reads a file that is part of the binary and called `name` in messages.
    ///
    /// # Errors
    ///
    /// Any header that the format does not allow.
    pub fn from_bytes(name: impl AsRef<Path>, bytes: &'static [u8]) -> Result<Self> {
        Self::new(Blob::memory(name.as_ref(), bytes))
    }

    /// The notes that whoever wrote the file left in it (`__metadata__`).
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Fills `buffer` with the bytes of the tensor `name` from `begin` on.
    ///
    /// # Errors
    ///
    /// An unknown name, bytes that the tensor does not have, and a file that cannot be read or changed since it was opened.
    pub(super) fn read_bytes(&self, name: &str, begin: usize, buffer: &mut [u8]) -> Result<()> {
        let index = self.index(name)?;
        let (begin, bytes) = (begin as u64, self.tensors[index].bytes);
        if begin + buffer.len() as u64 > bytes {
            let got = format!("`{bytes}` bytes");
            return Err(Error::invalid(self.path(), format!("tensor `{name}`"), got, format!("`{}`", begin + buffer.len() as u64)));
        }
        self.blob.read_exact_at(self.offsets[index] + begin, buffer)
    }

    fn index(&self, name: &str) -> Result<usize> {
        let index = self.by_name.get(name).copied();
        index.ok_or_else(|| Error::invalid(self.path(), format!("tensor `{name}`"), "nothing", "a tensor"))
    }

    /// The file, or the name of an embedded one.
    pub fn path(&self) -> &Path {
        self.blob.path()
    }

    fn new(blob: Blob) -> Result<Self> {
        let header = read_header(&blob)?;
        let parsed: Entries<Entry, MAX_TENSORS> = json::parse(blob.path(), &header)?;
        if let Some(name) = parsed.duplicate() {
            return Err(Error::invalid(blob.path(), format!("tensor `{name}`"), "two entries", "one"));
        }
        let data_start = 8 + header.len() as u64;
        let spans = check_entries(blob.path(), &parsed.entries, blob.len() - data_start)?;

        let (tensors, offsets, by_name) = (Vec::new(), Vec::new(), HashMap::new());
        let mut file = Self { tensors, offsets, by_name, metadata: parsed.metadata, blob };
        for Span { name, dtype, shape, begin, end } in spans {
            file.by_name.insert(name.to_owned(), file.tensors.len());
            file.offsets.push(data_start + begin);
            file.tensors.push(TensorInfo {
                name: name.to_owned(),
                dtype,
                shape,
                bytes: end - begin,
                format: None,
                packing: None,
                file: file.blob.path().clone(),
            });
        }
        Ok(file)
    }
}

impl WeightSource for Safetensors {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        let index = self.index(name)?;
        let info = &self.tensors[index];
        self.blob.read_tensor(self.offsets[index], &info.shape, info.dtype)
    }

    fn read_part(&self, name: &str, index: usize) -> Result<TensorData> {
        let wrong = || Error::invalid(self.blob.path(), format!("tensor `{name}`"), format!("no part {index}"), "one");
        let at = *self.by_name.get(name).ok_or_else(wrong)?;
        let info = &self.tensors[at];
        let count = info.shape.first().copied().filter(|count| index < *count).ok_or_else(wrong)?;
        let begin = self.offsets[at] + info.bytes / count as u64 * index as u64;
        let mut data = TensorData::full_dtype(info.shape[1..].to_vec(), 0, info.dtype);
        TensorData::with_bytes_mut([&mut data], |mut storage| self.blob.read_exact_at(begin, &mut storage[0][..]))?;
        Ok(data)
    }

    fn blobs(&self) -> Vec<&Blob> {
        vec![&self.blob]
    }
}

/// The JSON of the header, after its length was checked against the file's.
fn read_header(blob: &Blob) -> Result<Vec<u8>> {
    let (path, len) = (blob.path(), blob.len());
    let mut prefix = [0; 8];
    if len < 8 {
        return Err(Error::invalid(path, "header", format!("`{len}` bytes"), "at least `8`"));
    }
    blob.read_exact_at(0, &mut prefix)?;
    refuse_other_formats(path, &prefix)?;
    let header_len = u64::from_le_bytes(prefix);
    let invalid = |expected: String| Err(Error::invalid(path, "header length", format!("`{header_len}` bytes"), expected));
    if header_len > len - 8 {
        return invalid(format!("at most `{}`, which is what the file has", len - 8));
    }
    if header_len > MAX_HEADER_BYTES {
        return invalid(format!("at most `{MAX_HEADER_BYTES}`"));
    }
    let mut header = vec![0; header_len as usize];
    blob.read_exact_at(8, &mut header)?;
    if header.first() != Some(&b'{') {
        let got = header.first().map_or("nothing".to_owned(), |byte| format!("byte `0x{byte:02x}`"));
        return Err(Error::invalid(path, "header", got, "`{`"));
    }
    Ok(header)
}

/// Names the format of a file that is no safetensors file at all.
fn refuse_other_formats(path: &Path, prefix: &[u8; 8]) -> Result<()> {
    let got = match prefix {
        [b'G', b'G', b'U', b'F', ..] => "a GGUF file",
        [b'P', b'K', 3, 4, ..] => "a zip archive, as PyTorch writes them",
        // A header of 640 bytes begins alike, but its length ends in zeros.
        [0x80, 2..=5, .., 0, 0, 0, 0] => return Ok(()),
        [0x80, 2..=5, ..] => "a Python pickle",
        _ => return Ok(()),
    };
    Err(Error::invalid(path, "format", got, "a safetensors file").with_hint("convert the checkpoint to safetensors"))
}

/// One value of the header.
#[derive(serde::Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    dtype: Cow<'a, str>,
    shape: Dims,
    data_offsets: (u64, u64),
}

/// At most [`MAX_RANK`] dimensions, so that a shape of a million ones costs nothing.
struct Dims(Vec<u64>);

impl<'de> Deserialize<'de> for Dims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_seq(DimsVisitor)
    }
}

struct DimsVisitor;

impl<'de> Visitor<'de> for DimsVisitor {
    type Value = Dims;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "an array of at most {MAX_RANK} dimensions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Dims, A::Error> {
        let mut dims = Vec::new();
        while let Some(dim) = seq.next_element()? {
            if dims.len() == MAX_RANK {
                return Err(A::Error::custom(format_args!("more than {MAX_RANK} dimensions")));
            }
            dims.push(dim);
        }
        Ok(Dims(dims))
    }
}

/// An entry that the file bears out.
struct Span<'a> {
    name: &'a str,
    dtype: DType,
    shape: Vec<usize>,
    begin: u64,
    end: u64,
}

/// Checks every entry alone, then that together they cover the data exactly; returns them in file order.
fn check_entries<'a>(path: &Path, entries: &'a [(String, Entry)], data_len: u64) -> Result<Vec<Span<'a>>> {
    let mut spans = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        spans.push(check_entry(path, name, entry)?);
    }
    if let Some(Span { name, end, .. }) = spans.iter().find(|span| span.end > data_len) {
        let expected = format!("at most `{data_len}`, which is what the file has");
        return Err(Error::invalid(path, format!("tensor `{name}`: data_offsets"), format!("end `{end}`"), expected));
    }
    spans.sort_by_key(|span| (span.begin, span.end));
    let mut covered = 0;
    for Span { name, begin, end, .. } in &spans {
        if *begin != covered {
            let problem = if *begin > covered { "after a hole" } else { "inside another tensor" };
            let got = format!("`[{begin}, {end}]`, which begins {problem}");
            return Err(Error::invalid(path, format!("tensor `{name}`: data_offsets"), got, format!("begin `{covered}`")));
        }
        covered = *end;
    }
    if covered != data_len {
        return Err(Error::invalid(path, "data", format!("`{data_len}` bytes"), format!("`{covered}`, the end of the last tensor")));
    }
    Ok(spans)
}

fn check_entry<'a>(path: &Path, name: &'a str, entry: &Entry) -> Result<Span<'a>> {
    let (begin, end) = entry.data_offsets;
    let invalid = |field: &str, got: String, expected: String| Error::invalid(path, format!("tensor `{name}`: {field}"), got, expected);
    let Some((_, dtype)) = DTYPES.iter().find(|(known, _)| *known == entry.dtype) else {
        let known: Vec<_> = DTYPES.iter().map(|(name, _)| *name).collect();
        let got: String = entry.dtype.chars().take(32).flat_map(char::escape_debug).collect();
        return Err(invalid("dtype", format!("`{got}`"), format!("one of {}", known.join(", "))));
    };
    if begin > end {
        return Err(invalid("data_offsets", format!("`[{begin}, {end}]`"), "begin before end".to_owned()));
    }
    let overflow = || invalid("shape", format!("`{:?}`", entry.shape.0), "a product that fits 63 bits".to_owned());
    let bytes = entry.shape.0.iter().try_fold(dtype.size() as u64, |product, dim| product.checked_mul(*dim));
    let bytes = bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(overflow)?;
    if bytes != end - begin {
        let expected = format!("`{bytes}`, as shape `{:?}` of {} needs", entry.shape.0, entry.dtype);
        return Err(invalid("data_offsets", format!("`{}` bytes", end - begin), expected));
    }
    let shape = entry.shape.0.iter().map(|dim| usize::try_from(*dim)).collect::<std::result::Result<_, _>>().map_err(|_| overflow())?;
    Ok(Span { name, dtype: *dtype, shape, begin, end })
}
