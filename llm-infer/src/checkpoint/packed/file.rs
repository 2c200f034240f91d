//! A file of the packed cache.
//!
//! Numbers are little-endian: 8 bytes of magic, the version of the layout, the length of the header, the length of the file, and the
//! XXH3-128 of all that and the header, 48 bytes in all; then the header in JSON; then from the next page on the tensors, each at a
//! multiple of 64 bytes. The header says which key and model the file is for, and where which tensor lies. Whoever maps a file knows
//! from the model where its tensors must lie and takes a header that says something else for damage, so that no offset is believed.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::super::new_file::NewFile;
use super::super::source::open_regular;
use super::map::map;
use crate::Result;

/// Raise it when the same key would have other bytes: the header, what stands where, how matrices are packed into tiles.
pub const LAYOUT: u64 = 2;

const MAGIC: [u8; 8] = *b"LLMPACK\0";
/// Magic, version, two lengths, checksum.
const PREFIX: usize = 48;
/// What the checksum covers of it.
const CHECKED: usize = 32;
/// The longest header that is read.
const MAX_HEADER_BYTES: u64 = 16 << 20;
const PAGE: u64 = 4096;
const ALIGNMENT: u64 = 64;

/// A tensor as it is in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
}

impl Slot {
    fn bytes(&self) -> u64 {
        (self.shape.iter().product::<usize>() * self.dtype.size()) as u64
    }
}

/// Which tensors a file has, and where.
#[derive(Debug)]
pub struct Plan {
    slots: HashMap<String, (Slot, u64)>,
    /// The same for the header.
    tensors: Value,
    /// Bytes of the tensors and the gaps between them.
    data: u64,
}

impl Plan {
    /// Puts `slots` one behind the other.
    pub fn new(slots: Vec<Slot>) -> Self {
        let (mut data, mut tensors, mut placed) = (0_u64, Map::new(), HashMap::new());
        for slot in slots {
            data = data.next_multiple_of(ALIGNMENT);
            tensors.insert(slot.name.clone(), json!({"dtype": slot.dtype.name(), "shape": slot.shape, "begin": data}));
            let begin = data;
            data += slot.bytes();
            placed.insert(slot.name.clone(), (slot, begin));
        }
        Self { slots: placed, tensors: tensors.into(), data }
    }

    /// Names, types and places in one text.
    pub fn describe(&self) -> String {
        self.tensors.to_string()
    }
}

/// What a header says about the model.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Label {
    /// The name of the model.
    pub model: String,
    /// The format of most of its matrices.
    pub format: String,
}

/// The bytes before the data, which the data begin right behind.
fn head(key: &str, label: &Label, plan: &Plan) -> Vec<u8> {
    let header = json!({"key": key, "model": label.model, "format": label.format, "tensors": plan.tensors}).to_string();
    let start = ((PREFIX + header.len()) as u64).next_multiple_of(PAGE);
    let mut head = MAGIC.to_vec();
    for number in [LAYOUT, header.len() as u64, start + plan.data] {
        head.extend(number.to_le_bytes());
    }
    let checksum = checksum(&head, header.as_bytes());
    head.extend(checksum.to_le_bytes());
    head.extend(header.into_bytes());
    head.resize(start as usize, 0);
    head
}

fn checksum(prefix: &[u8], header: &[u8]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(prefix);
    hash.update(header);
    hash.digest128()
}

/// The header of a file of `len` bytes, or what is wrong with it.
fn read_header(file: &mut File, len: u64) -> std::result::Result<(Value, u64), String> {
    let mut prefix = [0; PREFIX];
    let text = |error: io::Error| error.to_string();
    if len < PREFIX as u64 {
        return Err(format!("it has {len} bytes"));
    }
    file.read_exact(&mut prefix).map_err(text)?;
    let number = |at: usize| prefix[at..at + 8].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    if prefix[..8] != MAGIC {
        return Err("it is no file of this cache".to_owned());
    }
    if number(8) != LAYOUT {
        return Err(format!("its layout is version {}, not {LAYOUT}", number(8)));
    }
    if number(24) != len {
        return Err(format!("it has {len} bytes of {}", number(24)));
    }
    if number(16) > MAX_HEADER_BYTES.min(len - PREFIX as u64) {
        return Err("its header is longer than it may be".to_owned());
    }
    let mut header = vec![0; number(16) as usize];
    file.read_exact(&mut header).map_err(text)?;
    if checksum(&prefix[..CHECKED], &header).to_le_bytes() != prefix[CHECKED..] {
        return Err("the checksum of its header is another".to_owned());
    }
    let value = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
    Ok((value, ((PREFIX + header.len()) as u64).next_multiple_of(PAGE)))
}

/// What the header of the file at `path` says; `None` where it is damaged.
pub fn read_label(path: &Path) -> Option<Label> {
    let (mut file, metadata) = open_regular(path).ok()?;
    let (header, _) = read_header(&mut file, metadata.len()).ok()?;
    let text = |key: &str| Some(header[key].as_str()?.to_owned());
    Some(Label { model: text("model")?, format: text("format")? })
}

/// A file whose tensors lie where the plan says.
#[derive(Debug)]
pub struct Mapped {
    bytes: bytes::Bytes,
    /// Where the tensors begin.
    start: u64,
}

/// Maps the file of `key` at `path`, or says what is wrong with it.
pub fn open(path: &Path, key: &str, plan: &Plan) -> std::result::Result<Mapped, String> {
    let (mut file, metadata) = open_regular(path).map_err(|error| error.to_string())?;
    let (header, start) = read_header(&mut file, metadata.len())?;
    if header["key"] != key || header["tensors"] != plan.tensors || start + plan.data != metadata.len() {
        return Err("it is for another model".to_owned());
    }
    let bytes = map(&file).map_err(|error| error.to_string())?;
    if bytes.len() as u64 != metadata.len() {
        return Err("its length changed".to_owned());
    }
    // The least recently used are the first to go; where the time cannot be set, the oldest are.
    drop(file.set_modified(std::time::SystemTime::now()));
    Ok(Mapped { bytes, start })
}

impl Mapped {
    /// The tensor `name` of the plan, which shares the memory of the file.
    pub fn tensor(&self, plan: &Plan, name: &str) -> Option<TensorData> {
        let (slot, begin) = plan.slots.get(name)?;
        let begin = usize::try_from(self.start + begin).ok()?;
        let bytes = self.bytes.slice(begin..begin + usize::try_from(slot.bytes()).ok()?);
        Some(TensorData::from_bytes(Bytes::from_shared(bytes, AllocationProperty::File), slot.shape.clone(), slot.dtype))
    }
}

/// A file that is being written; it appears when it is complete.
pub struct Writer {
    file: NewFile,
    plan: Plan,
    start: u64,
    missing: usize,
}

impl Writer {
    /// Starts the file of `key` at `path`.
    ///
    /// # Errors
    ///
    /// A folder that takes no file.
    pub fn create(path: &Path, key: &str, label: &Label, plan: Plan) -> Result<Self> {
        let head = head(key, label, &plan);
        let file = NewFile::create(path)?;
        file.write(|file| {
            file.write_all(&head)?;
            // A tensor may end before its slot does, and so may the file.
            file.set_len(head.len() as u64 + plan.data)
        })?;
        Ok(Self { file, start: head.len() as u64, missing: plan.slots.len(), plan })
    }

    /// Bytes that the file of `key` will have.
    pub fn size(key: &str, label: &Label, plan: &Plan) -> u64 {
        head(key, label, plan).len() as u64 + plan.data
    }

    /// Bytes of the complete file.
    pub fn len(&self) -> u64 {
        self.start + self.plan.data
    }

    /// Writes the tensor `name` to its place.
    ///
    /// # Errors
    ///
    /// A disk that is full, and a tensor that is not as planned.
    pub fn put(&mut self, name: &str, data: &TensorData) -> Result<()> {
        let place = self.plan.slots.get(name);
        let place = place.filter(|(slot, _)| data.dtype() == slot.dtype && data.shape().as_slice() == slot.shape);
        self.file.write(|file| {
            let (_, begin) = place.ok_or_else(|| io::Error::other(format!("`{name}` is not as planned")))?;
            file.seek(SeekFrom::Start(self.start + begin))?;
            file.write_all(data.as_bytes())
        })?;
        self.missing -= 1;
        Ok(())
    }

    /// Gives the file its name.
    ///
    /// # Errors
    ///
    /// A disk that is full, and tensors that are missing.
    pub fn finish(self) -> Result<()> {
        self.file.write(|_| if self.missing == 0 { Ok(()) } else { Err(io::Error::other("tensors are missing")) })?;
        self.file.finish()
    }
}
