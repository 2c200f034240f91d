//! `generation_config.json`: what the model's authors advise for sampling, and where an answer ends.

use std::path::Path;

use serde_json::Value;

use super::json::kind_of;
use crate::sample::SamplingOptions;
use crate::{Error, Result};

/// The fields of `generation_config.json` that matter here, under their own names; `None` where the file does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// The ids that end an answer; one or several, and none where the model has no end.
    pub eos_token_id: Vec<u32>,
    /// The id that begins a text.
    pub bos_token_id: Option<u32>,
    /// The id that fills up a batch.
    pub pad_token_id: Option<u32>,
    /// Whether to sample; `false` means greedy.
    pub do_sample: Option<bool>,
    /// Divides the logits before softmax.
    pub temperature: Option<f64>,
    /// How many of the likeliest tokens stay.
    pub top_k: Option<u64>,
    /// The share of probability that stays.
    pub top_p: Option<f64>,
    /// The least probability that stays, relative to the likeliest token's.
    pub min_p: Option<f64>,
    /// Divides the logits of tokens already seen; 1 is none.
    pub repetition_penalty: Option<f64>,
    /// The longest answer, in tokens.
    pub max_new_tokens: Option<u64>,
    /// The longest prompt and answer together, in tokens.
    pub max_length: Option<u64>,
}

impl GenerationConfig {
    /// Reads the fields of `value`; the ids that it lacks are taken from the model's own configuration, as transformers does.
    ///
    /// `path` is named in messages.
    ///
    /// # Errors
    ///
    /// A field of the wrong type or out of range.
    pub fn from_json(path: &Path, value: Option<&Value>, model_config: &Value) -> Result<Self> {
        let fields = Fields { path, value: value.unwrap_or(&Value::Null) };
        let config_path = path.with_file_name("config.json");
        let fallback = Fields { path: &config_path, value: model_config };
        let ids = |name| match fields.ids(name)? {
            Some(ids) => Ok(ids),
            None => Ok(fallback.ids(name)?.unwrap_or_default()),
        };
        Ok(Self {
            eos_token_id: ids("eos_token_id")?,
            bos_token_id: ids("bos_token_id")?.first().copied(),
            pad_token_id: ids("pad_token_id")?.first().copied(),
            do_sample: fields.get("do_sample", "a boolean", Value::as_bool)?,
            temperature: fields.number("temperature")?,
            top_k: fields.count("top_k")?,
            top_p: fields.number("top_p")?,
            min_p: fields.number("min_p")?,
            repetition_penalty: fields.number("repetition_penalty")?,
            max_new_tokens: fields.count("max_new_tokens")?,
            max_length: fields.count("max_length")?,
        })
    }

    /// What the authors advise for sampling.
    pub fn sampling(&self) -> SamplingOptions {
        SamplingOptions {
            do_sample: self.do_sample,
            temperature: self.temperature.map(|x| x as f32),
            top_k: self.top_k.map(|k| k as i64),
            top_p: self.top_p.map(|x| x as f32),
            min_p: self.min_p.map(|x| x as f32),
            repetition_penalty: self.repetition_penalty.map(|x| x as f32),
            ..SamplingOptions::default()
        }
    }
}

/// Typed access to the fields of one JSON object.
struct Fields<'a> {
    path: &'a Path,
    value: &'a Value,
}

impl Fields<'_> {
    fn get<T>(&self, name: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        match self.value.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(Error::invalid(self.path, name, shown(value), expected)),
            },
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        self.get(name, "a number of at least 0", |value| value.as_f64().filter(|number| *number >= 0.0))
    }

    fn count(&self, name: &str) -> Result<Option<u64>> {
        self.get(name, "a whole number of at least 0", Value::as_u64)
    }

    /// One id or a list; negative ones stand for "none" in older files.
    fn ids(&self, name: &str) -> Result<Option<Vec<u32>>> {
        let id = |value: &Value| match value.as_i64()? {
            none if none < 0 => Some(None),
            id => u32::try_from(id).ok().map(Some),
        };
        self.get(name, "a token id, or a list of them", |value| match value {
            Value::Array(list) => list.iter().map(id).collect::<Option<Vec<_>>>().map(|ids| ids.into_iter().flatten().collect()),
            value => id(value).map(|id| id.into_iter().collect()),
        })
    }
}

/// A value short enough for a message.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
        Value::String(text) => format!("`{}`", text.chars().take(64).flat_map(char::escape_debug).collect::<String>()),
        other => format!("`{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value, model: Value) -> Result<GenerationConfig> {
        GenerationConfig::from_json(Path::new("generation_config.json"), Some(&value), &model)
    }

    #[test]
    fn ids_are_single_or_listed() {
        let config = read(json!({"eos_token_id": [2, 7], "bos_token_id": 1, "pad_token_id": -1}), json!({})).unwrap();
        assert_eq!((config.eos_token_id, config.bos_token_id, config.pad_token_id), (vec![2, 7], Some(1), None));
    }

    #[test]
    fn the_models_ids_fill_in() {
        let config = read(json!({"temperature": 0.6, "top_k": 20}), json!({"eos_token_id": 5, "temperature": 9.0})).unwrap();
        assert_eq!((config.eos_token_id, config.temperature, config.top_k), (vec![5], Some(0.6), Some(20)));
        assert_eq!(GenerationConfig::from_json(Path::new("x"), None, &json!({})).unwrap(), GenerationConfig::default());
    }

    #[test]
    fn wrong_types_name_the_field() {
        let error = read(json!({"top_p": "high"}), json!({})).unwrap_err();
        assert_eq!(error.to_string(), "generation_config.json: top_p: got `high`, expected a number of at least 0");
        assert!(read(json!({"eos_token_id": [1, "2"]}), json!({})).is_err());
        assert!(read(json!({"eos_token_id": 4294967296u64}), json!({})).is_err());
    }
}
