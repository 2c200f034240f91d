//! Files that `torch.save` wrote before version 1.6: pickles one after the other, then the numbers.

use std::collections::HashMap;

use super::super::source::Blob;
use super::objects::{Object, Value, items, text};
use super::pickle::{self, Pickle};
use super::zip::Range;
use super::{CONVERT, MAX_PICKLE, refused};
use crate::{Error, Result};

/// The first pickle: a number by which PyTorch knows its files.
const MAGIC: [u8; 15] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// What the second one says.
const PROTOCOL: i64 = 1001;

/// The pickle of the tensors, and where their storages are by their keys.
pub fn read(blob: &Blob) -> Result<(Pickle, HashMap<String, Range>)> {
    let wrong = |field: &str, got: String, expected: &str| Error::invalid(blob.path(), field, got, expected).with_hint(CONVERT);
    let mut head = vec![0; blob.len().min(MAX_PICKLE) as usize];
    blob.read_exact_at(0, &mut head)?;
    if !head.starts_with(&MAGIC) {
        return Err(wrong("format", "a Python pickle".to_owned(), "a file of `torch.save`"));
    }
    let mut at = MAGIC.len();
    let mut next = || {
        let found = pickle::read(head.get(at..).unwrap_or_default()).map_err(|flaw| refused(blob, flaw))?;
        at += found.length;
        Ok::<_, Error>(found)
    };
    let (protocol, system, pickle, keys) = (next()?, next()?, next()?, next()?);
    if protocol.value != Value::Int(PROTOCOL) {
        return Err(wrong("protocol", "another one".to_owned(), "1001"));
    }
    let is_big = |(key, value): &(Value, Value)| text(&system.objects, *key) == Some("little_endian") && *value == Value::Bool(false);
    if system.objects.iter().any(|object| matches!(object, Object::Dict(items) if items.iter().any(is_big))) {
        return Err(wrong("little_endian", "false".to_owned(), "true"));
    }
    // Each storage is once in the list, however many tensors are views of it.
    let named = pickle.objects.iter().filter_map(|object| match object {
        Object::Storage(storage) => Some((storage.key.as_str(), storage.dtype)),
        _ => None,
    });
    let dtypes: HashMap<&str, _> = named.collect();
    let mut storages = HashMap::new();
    let mut begin = at as u64;
    for key in items(&keys.objects, keys.value).unwrap_or_default() {
        let key = text(&keys.objects, *key).unwrap_or_default();
        let Some(dtype) = dtypes.get(key) else {
            return Err(wrong("storages", "one that no tensor names".to_owned(), "those of the tensors"));
        };
        let mut count = [0; 8];
        if begin.checked_add(8).is_none_or(|end| end > blob.len()) {
            return Err(wrong("storages", "the end of the file".to_owned(), "all of them"));
        }
        blob.read_exact_at(begin, &mut count)?;
        let length = u64::from_le_bytes(count).checked_mul(dtype.size() as u64);
        let end = length.and_then(|length| (begin + 8).checked_add(length)).filter(|end| *end <= blob.len());
        let (Some(length), Some(end)) = (length, end) else {
            return Err(wrong("storages", format!("{} numbers", u64::from_le_bytes(count)), "as many as the file has"));
        };
        storages.insert(key.to_owned(), Range { begin: begin + 8, length });
        begin = end;
    }
    Ok((pickle, storages))
}
