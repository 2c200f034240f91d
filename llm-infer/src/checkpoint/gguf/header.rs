//! The header of a GGUF file: version, metadata, and where which tensor lies.
//!
//! Nothing is allocated on the word of the file alone: a count or length is believed as far as the rest of the file has room for
//! it. Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::super::source::Blob;
use super::metadata::{Metadata, Value};
use super::types::GgmlType;
use crate::{Error, Result};

/// Bytes that are read of the header at once.
const CHUNK: usize = 1 << 20;
/// The longest header that is read; vocabularies of 256k tokens with their merges take some 20 MB.
const MAX_HEADER: u64 = 256 << 20;
/// The most tensors and the most keys; models of a trillion parameters stay below 10,000.
const MAX_TENSORS: u64 = 1 << 16;
const MAX_KEYS: u64 = 1 << 16;
/// The longest key or tensor name, as the specification says.
const MAX_NAME: usize = 1 << 16;
/// The most dimensions of a tensor.
const MAX_RANK: u32 = 4;
/// Arrays in arrays.
const MAX_NESTING: usize = 8;

/// A tensor as the header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Outermost first, as everywhere but in the file.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub kind: GgmlType,
    /// Where it begins, from the beginning of the file.
    pub begin: u64,
    /// Its length.
    pub bytes: u64,
}

/// What a file says of itself.
#[derive(Debug)]
pub struct Header {
    /// The metadata.
    pub metadata: Metadata,
    /// In the order of the file.
    pub tensors: Vec<Entry>,
}

/// Reads and checks the header of `blob`.
///
/// # Errors
/// Whatever the format does not allow.
pub fn read(blob: &Blob) -> Result<Header> {
    let mut reader = Reader::new(blob);
    reader.magic_and_version()?;
    let (tensors, keys) = (reader.count("tensor_count")?, reader.count("kv_count")?);
    reader.limit("tensor_count", tensors, MAX_TENSORS, 8)?;
    reader.limit("kv_count", keys, MAX_KEYS, 8)?;
    let mut metadata = HashMap::new();
    for _ in 0..keys {
        let key = reader.name("key")?;
        let value = reader.value(&key)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(reader.wrong(&format!("key `{key}`"), "two values", "one"));
        }
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Value::Unsigned(alignment)) if alignment.is_power_of_two() && (8..=1 << 16).contains(alignment) => *alignment,
        Some(other) => return Err(reader.wrong("general.alignment", &format!("{other:?}"), "a power of two from 8 to 65536")),
    };
    let mut entries = Vec::new();
    for _ in 0..tensors {
        entries.push(reader.entry()?);
    }
    let start = reader.position().next_multiple_of(alignment);
    place(blob, &mut entries, start, alignment)?;
    Ok(Header { metadata: Metadata::new(blob.path().clone(), metadata), tensors: entries })
}

/// Turns offsets within the data, which begins at `start`, into places in the file, and checks that tensors lie in it one by one.
fn place(blob: &Blob, entries: &mut [Entry], start: u64, alignment: u64) -> Result<()> {
    let wrong =
        |entry: &Entry, got: String, expected: String| Error::invalid(blob.path(), format!("tensor `{}`", entry.name), got, expected);
    let mut names = HashSet::new();
    for entry in entries.iter_mut() {
        if !names.insert(entry.name.clone()) {
            return Err(wrong(entry, "two entries".to_owned(), "one".to_owned()));
        }
        if !entry.begin.is_multiple_of(alignment) {
            return Err(wrong(entry, format!("offset {}", entry.begin), format!("a multiple of {alignment}")));
        }
        let end = start.checked_add(entry.begin).and_then(|begin| begin.checked_add(entry.bytes));
        if end.is_none_or(|end| end > blob.len()) {
            let got = format!("{} bytes from offset {} of the data on", entry.bytes, entry.begin);
            return Err(wrong(entry, got, format!("an end within the file of {} bytes", blob.len()))
                .with_hint("the file may be cut off: download it again"));
        }
        entry.begin += start;
    }
    let mut order: Vec<&Entry> = entries.iter().filter(|entry| entry.bytes > 0).collect();
    order.sort_by_key(|entry| entry.begin);
    for pair in order.windows(2) {
        if pair[0].begin + pair[0].bytes > pair[1].begin {
            return Err(wrong(pair[1], format!("bytes of `{}`", pair[0].name), "bytes of its own".to_owned()));
        }
    }
    Ok(())
}

/// The number that was meant by the nearest one of 32 bits: 1e-5, and not 9.999999747378752e-6.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// Reads the header piece by piece.
struct Reader<'a> {
    blob: &'a Blob,
    buffer: Vec<u8>,
    /// Where the buffer begins in the file.
    start: u64,
    /// Where in the buffer to go on.
    at: usize,
    /// Lengths and counts have 4 bytes in version 1 and 8 later.
    long: bool,
}

impl<'a> Reader<'a> {
    fn new(blob: &'a Blob) -> Self {
        Self { blob, buffer: Vec::new(), start: 0, at: 0, long: true }
    }

    fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    fn rest(&self) -> u64 {
        self.blob.len() - self.position()
    }

    fn path(&self) -> &Path {
        self.blob.path()
    }

    fn wrong(&self, field: &str, got: &str, expected: &str) -> Error {
        Error::invalid(self.path(), field, got, expected)
    }

    fn take(&mut self, count: usize, field: &str) -> Result<&[u8]> {
        if self.rest() < count as u64 || self.position() + count as u64 > MAX_HEADER {
            let got = format!("{count} bytes where {} are left", self.rest().min(MAX_HEADER.saturating_sub(self.position())));
            return Err(self.wrong(field, &got, "a header within the file").with_hint("the file may be cut off: download it again"));
        }
        if self.buffer.len() - self.at < count {
            self.start = self.position();
            let length = (self.blob.len() - self.start).min(CHUNK.max(count) as u64) as usize;
            self.buffer.resize(length, 0);
            self.at = 0;
            self.blob.read_exact_at(self.start, &mut self.buffer)?;
        }
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
    }

    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N, field)?);
        Ok(bytes)
    }

    fn u32(&mut self, field: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    fn count(&mut self, field: &str) -> Result<u64> {
        if self.long { Ok(u64::from_le_bytes(self.array(field)?)) } else { self.u32(field).map(u64::from) }
    }

    /// Refuses more of a thing than `most`, or than the file has room for at `bytes` each.
    fn limit(&self, field: &str, count: u64, most: u64, bytes: u64) -> Result<()> {
        let most = most.min(self.rest() / bytes);
        if count <= most {
            return Ok(());
        }
        Err(self.wrong(field, &count.to_string(), &format!("at most {most}, as the file has {} bytes", self.blob.len())))
    }

    fn magic_and_version(&mut self) -> Result<()> {
        let magic: [u8; 4] = self.array("magic")?;
        if magic != *b"GGUF" {
            return Err(self.wrong("magic", &format!("{magic:02x?}"), "`GGUF`").with_hint("the file is none, or of another format"));
        }
        let version = self.u32("version")?;
        self.long = version > 1;
        match version {
            1..=3 => Ok(()),
            other if (1..=3).contains(&other.swap_bytes()) => Err(self.wrong("version", "big-endian numbers", "a little-endian file")),
            other => Err(self.wrong("version", &other.to_string(), "1, 2 or 3")),
        }
    }

    fn text(&mut self, field: &str) -> Result<String> {
        let length = self.count(field)?;
        self.limit(field, length, MAX_HEADER, 1)?;
        Ok(String::from_utf8_lossy(self.take(length as usize, field)?).into_owned())
    }

    /// The name of a key or tensor.
    fn name(&mut self, field: &str) -> Result<String> {
        let name = self.text(field)?;
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(self.wrong(field, &format!("a name of {} bytes", name.len()), &format!("1 to {MAX_NAME} bytes")));
        }
        Ok(name)
    }

    fn value(&mut self, key: &str) -> Result<Value> {
        let kind = self.u32(key)?;
        match kind {
            8 => Ok(Value::Text(self.text(key)?)),
            9 => self.values(key, 0),
            _ => self.scalar(kind, key),
        }
    }

    fn scalar(&mut self, kind: u32, key: &str) -> Result<Value> {
        Ok(match kind {
            0 => Value::Unsigned(u64::from(self.array::<1>(key)?[0])),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.array(key)?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array(key)?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.array(key)?))),
            4 => Value::Unsigned(u64::from(self.u32(key)?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.array(key)?))),
            6 => Value::Float(decimal(f32::from_le_bytes(self.array(key)?))),
            7 => Value::Bool(self.truth(key)?),
            10 => Value::Unsigned(u64::from_le_bytes(self.array(key)?)),
            11 => Value::Signed(i64::from_le_bytes(self.array(key)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(key)?)),
            other => return Err(self.wrong(key, &format!("a value of type {other}"), "a type from 0 to 12")),
        })
    }

    fn truth(&mut self, key: &str) -> Result<bool> {
        match self.array::<1>(key)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.wrong(key, &format!("a truth value of {other}"), "0 or 1")),
        }
    }

    /// An array, which may hold arrays.
    fn values(&mut self, key: &str, depth: usize) -> Result<Value> {
        if depth >= MAX_NESTING {
            return Err(self.wrong(key, "arrays in arrays without end", &format!("at most {MAX_NESTING} levels")));
        }
        let kind = self.u32(key)?;
        let count = self.count(key)?;
        let smallest = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            // A text is a length at least, an array a type and a count.
            8 => {
                if self.long {
                    8
                } else {
                    4
                }
            }
            9 => 8,
            other => return Err(self.wrong(key, &format!("an array of type {other}"), "a type from 0 to 12")),
        };
        self.limit(key, count, MAX_HEADER, smallest)?;
        match kind {
            8 => (0..count).map(|_| self.text(key)).collect::<Result<_>>().map(Value::Texts),
            9 => {
                for _ in 0..count {
                    self.values(key, depth + 1)?;
                }
                Ok(Value::Nested)
            }
            _ => (0..count).map(|_| self.scalar(kind, key).map(|value| value.number())).collect::<Result<_>>().map(Value::Numbers),
        }
    }

    fn entry(&mut self) -> Result<Entry> {
        let name = self.name("tensor")?;
        let field = format!("tensor `{name}`");
        let rank = self.u32(&field)?;
        if !(1..=MAX_RANK).contains(&rank) {
            return Err(self.wrong(&field, &format!("{rank} dimensions"), &format!("1 to {MAX_RANK}")));
        }
        let mut shape = Vec::new();
        let mut elements = 1_u64;
        for _ in 0..rank {
            let length = self.count(&field)?;
            elements = elements
                .checked_mul(length)
                .filter(|count| *count > 0 && *count < 1 << 48)
                .ok_or_else(|| self.wrong(&field, &format!("a dimension of {length}"), "a tensor of 1 to 2^48 elements"))?;
            shape.insert(0, length as usize);
        }
        let id = self.u32(&field)?;
        let kind = GgmlType::from_id(id).ok_or_else(|| {
            self.wrong(&field, &format!("numbers of type {id}"), &format!("one of {}", GgmlType::names()))
                .with_hint("convert the model with a type that is read here")
        })?;
        let begin = u64::from_le_bytes(self.array(&field)?);
        let width = *shape.last().unwrap_or(&1) as u64;
        let Some(bytes) = kind.bytes(elements).filter(|_| width.is_multiple_of(kind.block() as u64)) else {
            return Err(self.wrong(
                &field,
                &format!("rows of {width}"),
                &format!("a multiple of {}, as {} has", kind.block(), kind.name()),
            ));
        };
        Ok(Entry { name, shape, kind, begin, bytes })
    }
}
