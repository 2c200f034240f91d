//! The metadata of a GGUF file, read by key and type.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::{Error, Result};

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unsigned integers of all widths.
    Unsigned(u64),
    /// Signed integers of all widths.
    Signed(i64),
    /// f32 and f64.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text; what is no UTF-8 in it is replaced.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Numbers: scores, token types.
    Numbers(Vec<f64>),
    /// Arrays in an array, of which nothing is known to make use.
    Nested,
}

impl Value {
    /// A number as f64; 0 for what is none.
    pub fn number(&self) -> f64 {
        match self {
            Self::Unsigned(x) => *x as f64,
            Self::Signed(x) => *x as f64,
            Self::Float(x) => *x,
            Self::Bool(x) => f64::from(u8::from(*x)),
            _ => 0.0,
        }
    }

    fn whole(&self) -> Option<u64> {
        match self {
            Self::Unsigned(x) => Some(*x),
            Self::Signed(x) => u64::try_from(*x).ok(),
            _ => None,
        }
    }

    /// What it is, for messages.
    fn shown(&self) -> String {
        match self {
            Self::Unsigned(x) => x.to_string(),
            Self::Signed(x) => x.to_string(),
            Self::Float(x) => x.to_string(),
            Self::Bool(x) => x.to_string(),
            Self::Text(text) => format!("`{}`", text.chars().take(40).flat_map(char::escape_debug).collect::<String>()),
            Self::Texts(texts) => format!("{} texts", texts.len()),
            Self::Numbers(numbers) => format!("{} numbers", numbers.len()),
            Self::Nested => "arrays in an array".to_owned(),
        }
    }
}

/// The metadata of one file.
#[derive(Debug)]
pub struct Metadata {
    path: Arc<Path>,
    values: HashMap<String, Value>,
}

impl Metadata {
    /// The metadata of the file `path`.
    pub fn new(path: Arc<Path>, values: HashMap<String, Value>) -> Self {
        Self { path, values }
    }

    /// All keys and their values, in no order.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error about `key`.
    pub fn wrong(&self, key: &str, got: impl ToString, expected: impl ToString) -> Error {
        Error::invalid(&self.path, key, got, expected)
    }

    fn typed<'a, T>(&'a self, key: &str, expected: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(key, value.shown(), expected))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a text", |value| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
    }

    /// A whole number of at least 0.
    pub fn whole(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a whole number", Value::whole)
    }

    /// A whole number that the file must have.
    pub fn required(&self, key: &str) -> Result<u64> {
        self.whole(key)?.ok_or_else(|| self.wrong(key, "nothing", "a whole number"))
    }

    /// A whole number, or a list that has one for each layer, all alike.
    pub fn uniform(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a whole number, the same for all layers", |value| match value {
            Value::Numbers(numbers) => {
                let first = *numbers.first()?;
                let same = numbers.iter().all(|number| *number == first) && first >= 0.0 && first.fract() == 0.0;
                same.then_some(first as u64)
            }
            other => other.whole(),
        })
    }

    /// A finite number.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a finite number", |value| match value {
            Value::Float(x) => Some(*x).filter(|x| x.is_finite()),
            Value::Unsigned(_) | Value::Signed(_) => Some(value.number()),
            _ => None,
        })
    }

    /// A truth value.
    pub fn truth(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", |value| if let Value::Bool(truth) = value { Some(*truth) } else { None })
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.typed(key, "a list of texts", |value| match value {
            Value::Texts(texts) => Some(texts.as_slice()),
            Value::Numbers(numbers) if numbers.is_empty() => Some(&[][..]),
            _ => None,
        })
    }

    /// A list of texts, which is taken out.
    pub fn take_texts(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.texts(key)?;
        Ok(self.values.remove(key).map(|value| if let Value::Texts(texts) = value { texts } else { Vec::new() }))
    }

    /// A list of numbers.
    pub fn numbers(&self, key: &str) -> Result<Option<&[f64]>> {
        self.typed(key, "a list of numbers", |value| match value {
            Value::Numbers(numbers) => Some(numbers.as_slice()),
            Value::Texts(texts) if texts.is_empty() => Some(&[][..]),
            _ => None,
        })
    }
}
