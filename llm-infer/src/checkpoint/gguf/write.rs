//! Writing a GGUF file of version 3, one tensor in memory at a time.
//!
//! The file appears whole or not at all: it is written beside its place, flushed, read back and compared, then renamed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::super::claim::Claim;
use super::super::new_file::NewFile;
use super::super::source::Blob;
use super::header;
use super::types::GgmlType;
use crate::{Error, Result};

/// Where tensors begin.
const ALIGNMENT: u64 = 32;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A whole number.
    Whole(u32),
    /// A number.
    Number(f32),
    /// A truth value.
    Truth(bool),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Numbers.
    Numbers(Vec<f32>),
    /// Small whole numbers.
    Kinds(Vec<i32>),
    /// Truth values.
    Truths(Vec<bool>),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Keys and their values, in the order of the file.
pub type Keys = Vec<(String, Item)>;

/// A tensor that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its name in the file.
    pub name: String,
    /// Outermost first.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub kind: GgmlType,
}

impl Planned {
    /// Its bytes; rows are whole blocks.
    pub fn bytes(&self) -> u64 {
        self.kind.bytes(self.shape.iter().product::<usize>() as u64).unwrap_or(0)
    }
}

/// A file that is being written.
pub struct NewGguf {
    file: NewFile,
    path: std::path::PathBuf,
    tensors: Vec<Planned>,
    /// Where each begins in the file.
    begins: Vec<u64>,
    by_name: HashMap<String, usize>,
    /// What each was given, as a hash.
    written: Vec<Option<u64>>,
    end: u64,
    /// Dropped last.
    claim: Claim,
}

impl NewGguf {
    /// Starts the file `path`, and removes what killed processes had left of one.
    ///
    /// # Errors
    /// [`Error::Io`], two tensors of one name, and another process that writes the same file.
    pub fn create(path: &Path, keys: &Keys, tensors: Vec<Planned>) -> Result<Self> {
        let mut header = b"GGUF".to_vec();
        header.extend(3_u32.to_le_bytes());
        header.extend((tensors.len() as u64).to_le_bytes());
        header.extend((keys.len() as u64).to_le_bytes());
        for (key, item) in keys {
            put_text(&mut header, key);
            put_item(&mut header, item);
        }
        let (mut begins, mut by_name, mut end) = (Vec::new(), HashMap::new(), 0_u64);
        for (index, tensor) in tensors.iter().enumerate() {
            if by_name.insert(tensor.name.clone(), index).is_some() {
                return Err(Error::invalid(path, format!("tensor `{}`", tensor.name), "two tensors that become it", "one"));
            }
            put_text(&mut header, &tensor.name);
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|length| header.extend((*length as u64).to_le_bytes()));
            header.extend(tensor.kind.id().to_le_bytes());
            header.extend(end.to_le_bytes());
            begins.push(end);
            end = (end + tensor.bytes()).next_multiple_of(ALIGNMENT);
        }
        header.resize(header.len().next_multiple_of(ALIGNMENT as usize), 0);
        let start = header.len() as u64;
        begins.iter_mut().for_each(|begin| *begin += start);
        let claim = Claim::of(path)?;
        let file = NewFile::create(path)?;
        file.reserve(start + end)?;
        file.write(|file| file.write_all(&header))?;
        let written = vec![None; tensors.len()];
        Ok(Self { file, path: path.to_owned(), tensors, begins, by_name, written, end: start + end, claim })
    }

    /// What killed processes had left, and is gone now.
    pub fn removed(&self) -> &[std::path::PathBuf] {
        self.claim.removed()
    }

    /// Bytes of the whole file.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Writes the tensor `name`.
    ///
    /// # Errors
    /// [`Error::Io`].
    ///
    /// # Panics
    /// When no such tensor, or one of another size, was planned.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let index = self.by_name[name];
        assert_eq!(bytes.len() as u64, self.tensors[index].bytes(), "`{name}` is not as planned");
        let begin = self.begins[index];
        self.file.write(|file| {
            file.seek(SeekFrom::Start(begin))?;
            file.write_all(bytes)
        })?;
        self.written[index] = Some(hash(bytes));
        Ok(())
    }

    /// Flushes the file, compares what it holds with what was written, lets `check` look at it, and gives it its name; `tell` is given
    /// the bytes of each tensor.
    ///
    /// # Errors
    /// [`Error::Io`], a file that does not hold what was written, and what `check` and `tell` return.
    ///
    /// # Panics
    /// When a planned tensor was not written.
    pub fn finish(self, check: &dyn Fn(&Path) -> Result<()>, tell: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        self.file.write(|file| file.sync_all())?;
        let blob = Blob::open(self.file.path())?;
        let entries = header::read(&blob)?.tensors;
        for ((tensor, written), entry) in self.tensors.iter().zip(&self.written).zip(&entries) {
            let written = written.unwrap_or_else(|| panic!("`{}` was not written", tensor.name));
            let mut bytes = vec![0; entry.bytes as usize];
            blob.read_exact_at(entry.begin, &mut bytes)?;
            let same = (&tensor.name, &tensor.shape, tensor.kind) == (&entry.name, &entry.shape, entry.kind);
            if !same || hash(&bytes) != written {
                return Err(Error::invalid(&self.path, format!("tensor `{}`", tensor.name), "other bytes", "those that were written")
                    .with_hint("the disk does not keep what it is given"));
            }
            tell(entry.bytes)?;
        }
        check(self.file.path())?;
        self.file.finish()
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_item(out: &mut Vec<u8>, item: &Item) {
    let array = |out: &mut Vec<u8>, kind: u32, count: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    let scalar = |out: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match item {
        Item::Whole(value) => scalar(out, 4, &value.to_le_bytes()),
        Item::Number(value) => scalar(out, 6, &value.to_le_bytes()),
        Item::Truth(value) => scalar(out, 7, &[u8::from(*value)]),
        Item::Text(text) => {
            out.extend(8_u32.to_le_bytes());
            put_text(out, text);
        }
        Item::Texts(texts) => {
            array(out, 8, texts.len());
            texts.iter().for_each(|text| put_text(out, text));
        }
        Item::Numbers(numbers) => {
            array(out, 6, numbers.len());
            numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        }
        Item::Kinds(kinds) => {
            array(out, 5, kinds.len());
            kinds.iter().for_each(|kind| out.extend(kind.to_le_bytes()));
        }
        Item::Truths(truths) => {
            array(out, 7, truths.len());
            out.extend(truths.iter().map(|truth| u8::from(*truth)));
        }
        Item::Bytes(bytes) => {
            array(out, 0, bytes.len());
            out.extend(bytes);
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
