//! The directory of a zip archive whose entries are stored as they are, which is how PyTorch writes its files.
//!
//! Nothing is unpacked: an entry is a range of the file. Format: PKWARE's APPNOTE, with the fields for large files (zip64).

use std::collections::HashMap;

use super::super::source::Blob;
use crate::{Error, Result};

/// The most entries; checkpoints have one for each tensor.
const MAX_ENTRIES: u64 = 1 << 16;
/// The longest directory that is read.
const MAX_DIRECTORY: u64 = 64 << 20;
/// Bytes of the record that ends an archive, without its comment.
const END: usize = 22;

/// Where an entry lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// From the beginning of the file.
    pub begin: u64,
    /// In bytes.
    pub length: u64,
}

/// The entries of the archive by name.
///
/// # Errors
/// A file that is no such archive, entries that are packed, that have the same name or one that leads elsewhere, and ranges beyond the file.
pub fn entries(blob: &Blob) -> Result<HashMap<String, Range>> {
    let wrong = |field: &str, got: String, expected: &str| {
        Error::invalid(blob.path(), field, got, expected).with_hint("the file may be cut off or damaged: download it again")
    };
    let tail_length = blob.len().min(END as u64 + u64::from(u16::MAX));
    let mut tail = vec![0; tail_length as usize];
    blob.read_exact_at(blob.len() - tail_length, &mut tail)?;
    let at = tail.windows(4).rposition(|mark| mark == b"PK\x05\x06").filter(|at| tail.len() - at >= END);
    let Some(at) = at else { return Err(wrong("archive", "no end of its directory".to_owned(), "a zip archive")) };
    let end = &tail[at..];
    let (mut count, mut length, mut begin) = (u64::from(short(end, 10)), u64::from(word(end, 12)), u64::from(word(end, 16)));
    let end_at = blob.len() - tail_length + at as u64;
    if count == 0xffff || length == 0xffff_ffff || begin == 0xffff_ffff {
        let mut locator = [0; 20];
        let place = end_at.checked_sub(20).ok_or_else(|| wrong("archive", "no place of its directory".to_owned(), "one"))?;
        blob.read_exact_at(place, &mut locator)?;
        let place = long(&locator, 8);
        if locator[..4] != *b"PK\x06\x07" || place.checked_add(56).is_none_or(|end| end > blob.len()) {
            return Err(wrong("archive", "no place of its directory".to_owned(), "one"));
        }
        let mut record = [0; 56];
        blob.read_exact_at(place, &mut record)?;
        (count, length, begin) = (long(&record, 32), long(&record, 40), long(&record, 48));
    }
    if count > MAX_ENTRIES || length > MAX_DIRECTORY || begin.checked_add(length).is_none_or(|end| end > blob.len()) {
        return Err(wrong("archive", format!("a directory of {count} entries in {length} bytes"), "one within the file"));
    }
    let mut directory = vec![0; length as usize];
    blob.read_exact_at(begin, &mut directory)?;
    let mut entries = HashMap::new();
    let mut rest = directory.as_slice();
    for _ in 0..count {
        let (name, range, after) =
            entry(blob, rest).ok_or_else(|| wrong("archive", "a damaged entry".to_owned(), "entries within the file"))??;
        if entries.insert(name.clone(), range).is_some() {
            return Err(wrong(&format!("entry `{}`", name.escape_debug()), "two of that name".to_owned(), "one"));
        }
        rest = after;
    }
    Ok(entries)
}

/// Name and range of the first entry of `directory`, and the rest of it.
type Found<'a> = (String, Range, &'a [u8]);

/// The first entry of `directory`; `None` where there is none, or one that does not lie in the file.
fn entry<'a>(blob: &Blob, directory: &'a [u8]) -> Option<Result<Found<'a>>> {
    let head = directory.get(..46).filter(|head| head[..4] == *b"PK\x01\x02")?;
    let [name_length, extra_length, comment_length] = [28, 30, 32].map(|at| usize::from(short(head, at)));
    let name = String::from_utf8_lossy(directory.get(46..46 + name_length)?).into_owned();
    let extra = directory.get(46 + name_length..46 + name_length + extra_length)?;
    let rest = directory.get(46 + name_length + extra_length + comment_length..)?;
    let (flags, method) = (short(head, 8), short(head, 10));
    let mut sizes = [24, 20, 42].map(|at| u64::from(word(head, at)));
    // Sizes that do not fit stand in the extra field, in this order.
    let mut large = large_sizes(extra);
    for size in sizes.iter_mut().filter(|size| **size == 0xffff_ffff) {
        *size = large.next()?;
    }
    let [length, packed, begin] = sizes;
    let refused = |got: &str, expected: &str| {
        let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        Some(Err(Error::invalid(blob.path(), format!("entry `{shown}`"), got, expected).with_hint("convert the checkpoint to safetensors")))
    };
    if method != 0 || packed != length || flags & 1 != 0 {
        return refused("packed or encrypted data", "data as PyTorch stores it, which is not packed");
    }
    if name.split(['/', '\\']).any(|part| part == "..") || name.starts_with('/') {
        return refused("a name that leads elsewhere", "a name within the archive");
    }
    let mut local = [0; 30];
    begin.checked_add(30).filter(|end| *end <= blob.len())?;
    if let Err(error) = blob.read_exact_at(begin, &mut local) {
        return Some(Err(error));
    }
    let data = begin + 30 + u64::from(short(&local, 26)) + u64::from(short(&local, 28));
    let fits = local[..4] == *b"PK\x03\x04" && data.checked_add(length).is_some_and(|end| end <= blob.len());
    fits.then_some(Ok((name, Range { begin: data, length }, rest)))
}

/// The numbers of the extra field for large files.
fn large_sizes(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let Some(length) = extra.get(..4).map(|head| usize::from(short(head, 2))) {
        let Some(content) = extra.get(4..4 + length) else { break };
        if short(extra, 0) == 1 {
            found = content;
        }
        extra = &extra[4 + length..];
    }
    found.chunks_exact(8).map(|number| long(number, 0))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from(short(bytes, at)) | u32::from(short(bytes, at + 2)) << 16
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}
