//! JSON from files that may be anything: bounded in size and depth, with errors that name the place.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::source::open_regular;
use crate::{Error, Result};

/// The largest `config.json` or file of its kind that is read, in bytes; real ones have a few thousand, with lists of tokens a million.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Reads the regular file `path` of at most `limit` bytes; pipes, devices and directories are refused before they are opened.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, metadata) = open_regular(path)?;
    let mut bytes = Vec::new();
    if metadata.len() <= limit {
        // A file that grows meanwhile ends at the limit too.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    }
    if metadata.len().max(bytes.len() as u64) > limit {
        return Err(Error::invalid(path, "size", format!("`{}` bytes", metadata.len()), format!("at most `{limit}`")));
    }
    Ok(bytes)
}

/// Reads a JSON object, such as `config.json`.
pub(crate) fn read_object(path: &Path) -> Result<Value> {
    parse_object(path, &read_bounded(path, MAX_CONFIG_BYTES)?)
}

/// Parses a JSON object, called `path` in messages.
pub(crate) fn parse_object(path: &Path, bytes: &[u8]) -> Result<Value> {
    let value: Value = parse(path, bytes)?;
    if value.is_object() { Ok(value) } else { Err(Error::invalid(path, "document", kind_of(&value), "a JSON object")) }
}

/// Parses JSON into `T`, naming line and column where it fails.
pub(super) fn parse<'a, T: Deserialize<'a>>(path: &Path, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        // The message may quote a string of any length.
        let message: String = message.strip_suffix(&place).unwrap_or(&message).chars().take(200).filter(|c| !c.is_control()).collect();
        let got = format!("{} ({message})", excerpt(bytes, error.line(), error.column()));
        Error::invalid(path, format!("JSON{place}"), got, "well-formed JSON of the right types")
    })
}

/// The text that ends at `column` of `line`, both counted from 1: the field that is wrong mostly stands there.
fn excerpt(bytes: &[u8], line: usize, column: usize) -> String {
    let line = bytes.split(|byte| *byte == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let end = column.min(line.len());
    let text = String::from_utf8_lossy(&line[end.saturating_sub(40)..end]);
    let text = text.trim();
    if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", text.replace(char::is_control, "")) }
}

/// What kind of value this is, for messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The notes under `__metadata__` may be this many.
const MAX_NOTES: usize = 1 << 12;

/// A JSON object by its entries, in their order and duplicates included; at most `MAX`, which bounds the memory.
pub(super) struct Entries<V, const MAX: usize> {
    pub entries: Vec<(String, V)>,
    /// The strings under the key `__metadata__`, which is no entry.
    pub metadata: HashMap<String, String>,
}

impl<V, const MAX: usize> Entries<V, MAX> {
    /// The first name that stands more than once.
    pub fn duplicate(&self) -> Option<&str> {
        let mut seen = HashSet::with_capacity(self.entries.len());
        self.entries.iter().map(|(name, _)| name.as_str()).find(|name| !seen.insert(*name))
    }
}

impl<'de, V: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Entries<V, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V, const MAX: usize>(PhantomData<V>);

impl<'de, V: Deserialize<'de>, const MAX: usize> Visitor<'de> for EntriesVisitor<V, MAX> {
    type Value = Entries<V, MAX>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let (mut entries, mut metadata, mut noted) = (Vec::new(), HashMap::new(), false);
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if std::mem::replace(&mut noted, true) {
                    return Err(A::Error::custom("`__metadata__` twice"));
                }
                let notes = map.next_value::<Option<Entries<String, MAX_NOTES>>>()?;
                metadata.extend(notes.into_iter().flat_map(|notes| notes.entries));
                continue;
            }
            if entries.len() == MAX {
                return Err(A::Error::custom(format_args!("more than {MAX} entries")));
            }
            if name.chars().any(char::is_control) {
                return Err(A::Error::custom(format_args!("control characters in the name `{}`", name.escape_debug())));
            }
            entries.push((name, map.next_value()?));
        }
        Ok(Entries { entries, metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_order_and_find_duplicates() {
        let entries: Entries<u8, 3> = serde_json::from_str(r#"{"b": 1, "__metadata__": {"x": "y"}, "a": 2, "b": 3}"#).unwrap();
        assert_eq!(entries.metadata["x"], "y");
        assert_eq!(entries.entries, [("b".to_owned(), 1), ("a".to_owned(), 2), ("b".to_owned(), 3)]);
        assert_eq!(entries.duplicate(), Some("b"));
        assert!(serde_json::from_str::<Entries<u8, 1>>(r#"{"a": 1, "b": 2}"#).is_err());
        assert!(serde_json::from_str::<Entries<u8, 1>>(r#"{"__metadata__": {}, "__metadata__": {}}"#).is_err());
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = parse_object(Path::new("config.json"), b"{\n \"a\": }").unwrap_err();
        assert!(error.to_string().starts_with(r#"config.json: JSON at line 2 column 7: got `"a": }` (expected value)"#), "{error}");
        let error = parse_object(Path::new("config.json"), b"[]").unwrap_err();
        assert_eq!(error.to_string(), "config.json: document: got an array, expected a JSON object");
    }
}
