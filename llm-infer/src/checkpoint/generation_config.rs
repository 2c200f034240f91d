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
    pub top_k: Option<i64>,
    /// The share of probability that stays.
    pub top_p: Option<f64>,
    /// The least probability that stays, relative to the likeliest token's.
    pub min_p: Option<f64>,
    /// Divides the logits of tokens already seen; 1 is none.
    pub repetition_penalty: Option<f64>,
    /// The longest answer, in tokens.
    pub max_new_tokens: Option<u64>,
    /// Fields that ask for something that is not done here, as `name = value`.
    pub unsupported: Vec<String>,
}

/// Fields that change what is generated, and the values with which they do not.
const UNSUPPORTED: [(&str, &[&str]); 16] = [
    ("num_beams", &["1"]),
    ("num_beam_groups", &["1"]),
    ("penalty_alpha", &["0", "0.0"]),
    ("typical_p", &["1", "1.0"]),
    ("epsilon_cutoff", &["0", "0.0"]),
    ("eta_cutoff", &["0", "0.0"]),
    ("no_repeat_ngram_size", &["0"]),
    ("encoder_repetition_penalty", &["1", "1.0"]),
    ("guidance_scale", &["1", "1.0"]),
    ("min_length", &["0"]),
    ("min_new_tokens", &["0"]),
    ("bad_words_ids", &[]),
    ("suppress_tokens", &["[]"]),
    ("begin_suppress_tokens", &["[]"]),
    ("forced_bos_token_id", &[]),
    ("forced_eos_token_id", &[]),
];

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
        // That of the language model among others.
        let text = Fields { path: &config_path, value: model_config.get("text_config").unwrap_or(&Value::Null) };
        let ids = |name| match (fields.ids(name)?, fallback.ids(name)?) {
            (Some(ids), _) | (None, Some(ids)) => Ok(ids),
            (None, None) => Ok::<_, Error>(text.ids(name)?.unwrap_or_default()),
        };
        Ok(Self {
            eos_token_id: ids("eos_token_id")?,
            bos_token_id: ids("bos_token_id")?.first().copied(),
            pad_token_id: ids("pad_token_id")?.first().copied(),
            do_sample: fields.get("do_sample", "a boolean", Value::as_bool)?,
            temperature: fields.number("temperature", "a finite number of at least 0", |x| x >= 0.0)?,
            top_k: fields.get("top_k", "a whole number of at least 0", |value| value.as_i64().filter(|k| *k >= 0))?,
            top_p: fields.number("top_p", "a number above 0, at most 1", |x| x > 0.0 && x <= 1.0)?,
            min_p: fields.number("min_p", "a number from 0 to 1", |x| (0.0..=1.0).contains(&x))?,
            repetition_penalty: fields.number("repetition_penalty", "a finite number above 0", |x| x as f32 > 0.0)?,
            max_new_tokens: fields.get("max_new_tokens", "a whole number of at least 0", Value::as_u64)?,
            unsupported: fields.unsupported(),
        })
    }

    /// Checks that the tokens that end an answer exist, or it would never end; `path` is the model's.
    ///
    /// # Errors
    ///
    /// An id that is not below `vocab_size`.
    pub fn check_ids(&self, path: &Path, vocab_size: usize) -> Result<()> {
        match self.eos_token_id.iter().find(|id| **id as usize >= vocab_size) {
            Some(id) => Err(Error::invalid(path, "eos_token_id", format!("id {id}"), format!("an id below {vocab_size}"))),
            None => Ok(()),
        }
    }

    /// What the authors advise for sampling.
    pub fn sampling(&self) -> SamplingOptions {
        SamplingOptions {
            do_sample: self.do_sample,
            temperature: self.temperature.map(|x| x as f32),
            top_k: self.top_k,
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

    /// A number that is finite in f32, too, and `allowed`.
    fn number(&self, name: &str, expected: &str, allowed: impl Fn(f64) -> bool) -> Result<Option<f64>> {
        self.get(name, expected, |value| value.as_f64().filter(|number| (*number as f32).is_finite() && allowed(*number)))
    }

    fn unsupported(&self) -> Vec<String> {
        let asks = |(name, without): &(&str, &[&str])| {
            let value = self.value.get(*name).filter(|value| !value.is_null())?.to_string();
            let shown: String = value.chars().take(64).collect();
            (!without.contains(&value.as_str())).then(|| format!("{name} = {shown}"))
        };
        UNSUPPORTED.iter().filter_map(asks).collect()
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
        let inner = read(json!({}), json!({"text_config": {"eos_token_id": [5, 6]}})).unwrap();
        assert_eq!(inner.eos_token_id, vec![5, 6]);
        let config = read(json!({"temperature": 0.6, "top_k": 20}), json!({"eos_token_id": 5, "temperature": 9.0})).unwrap();
        assert_eq!((config.eos_token_id, config.temperature, config.top_k), (vec![5], Some(0.6), Some(20)));
        assert_eq!(GenerationConfig::from_json(Path::new("x"), None, &json!({})).unwrap(), GenerationConfig::default());
    }

    #[test]
    fn f38_ends_of_answers_are_tokens() {
        let config = read(json!({"eos_token_id": [2, 256]}), json!({})).unwrap();
        assert!(config.check_ids(Path::new("m"), 257).is_ok());
        let message = config.check_ids(Path::new("m"), 256).unwrap_err().to_string();
        assert_eq!(message, "m: eos_token_id: got id 256, expected an id below 256");
    }

    #[test]
    fn what_is_not_done_is_named() {
        let config = json!({"num_beams": 4, "typical_p": 1.0, "no_repeat_ngram_size": 0, "suppress_tokens": [1], "bad_words_ids": null});
        assert_eq!(read(config, json!({})).unwrap().unsupported, ["num_beams = 4", "suppress_tokens = [1]"]);
    }

    #[test]
    fn wrong_types_name_the_field() {
        let error = read(json!({"top_p": "high"}), json!({})).unwrap_err();
        assert_eq!(error.to_string(), "generation_config.json: top_p: got `high`, expected a number above 0, at most 1");
        for value in [json!({"top_p": 7}), json!({"top_k": 1u64 << 63}), json!({"temperature": 1e300}), json!({"repetition_penalty": 0})] {
            assert!(read(value.clone(), json!({})).is_err(), "{value}");
        }
        assert!(read(json!({"eos_token_id": [1, "2"]}), json!({})).is_err());
        assert!(read(json!({"eos_token_id": 4294967296u64}), json!({})).is_err());
    }
}
