//! What the user, the model and the defaults say about sampling.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Below this temperature the distribution is a single token within `f32`, and decoding is greedy.
const GREEDY_BELOW: f32 = 1e-5;

/// How the next token is picked; the names are those of transformers' `GenerationConfig`, or else of the OpenAI API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingConfig {
    /// Divides the logits; 0 (anything below 1e-5) is greedy. Default 0.7.
    pub temperature: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all. Default 50, as in transformers.
    pub top_k: i64,
    /// Keeps the smallest set of tokens whose probabilities sum to this, in (0, 1]. Default 1: all.
    pub top_p: f32,
    /// Keeps tokens at least this likely relative to the likeliest, in [0, 1]. Default 0: all.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens seen in prompt or output. Default 1: none.
    pub repetition_penalty: f32,
    /// Subtracted from the logits of tokens generated at least once. Default 0.
    pub presence_penalty: f32,
    /// Subtracted from the logits of generated tokens, times how often they were generated. Default 0.
    pub frequency_penalty: f32,
    /// Added to the logits of these ids. Default none.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Makes the draws repeatable; without it each sampler makes up its own ([`super::Sampler::seed`] tells it). Default none.
    pub seed: Option<u64>,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 50,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            seed: None,
        }
    }
}

/// The fields of [`SamplingConfig`] that someone set: a `generation_config.json`, flags, a request.
///
/// It reads from a whole `generation_config.json`; what does not concern sampling is left to others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingOptions {
    /// `false` is greedy decoding, whatever the temperature beside it (a key of `generation_config.json`).
    pub do_sample: Option<bool>,
    /// See [`SamplingConfig::temperature`].
    pub temperature: Option<f32>,
    /// See [`SamplingConfig::top_k`].
    pub top_k: Option<i64>,
    /// See [`SamplingConfig::top_p`].
    pub top_p: Option<f32>,
    /// See [`SamplingConfig::min_p`].
    pub min_p: Option<f32>,
    /// See [`SamplingConfig::repetition_penalty`].
    pub repetition_penalty: Option<f32>,
    /// See [`SamplingConfig::presence_penalty`].
    pub presence_penalty: Option<f32>,
    /// See [`SamplingConfig::frequency_penalty`].
    pub frequency_penalty: Option<f32>,
    /// See [`SamplingConfig::logit_bias`].
    pub logit_bias: Option<BTreeMap<u32, f32>>,
    /// See [`SamplingConfig::seed`].
    pub seed: Option<u64>,
}

impl SamplingOptions {
    /// A model that samples without naming a temperature means transformers' default of 1.
    fn effective_temperature(&self) -> Option<f32> {
        match self.do_sample {
            Some(false) => Some(0.0),
            Some(true) => Some(self.temperature.unwrap_or(1.0)),
            None => self.temperature,
        }
    }
}

impl SamplingConfig {
    /// Field by field: what the user set, else what the model's `generation_config.json` says, else the default.
    pub fn resolve(model: &SamplingOptions, user: &SamplingOptions) -> Self {
        let default = Self::default();
        Self {
            temperature: user.effective_temperature().or(model.effective_temperature()).unwrap_or(default.temperature),
            top_k: user.top_k.or(model.top_k).unwrap_or(default.top_k),
            top_p: user.top_p.or(model.top_p).unwrap_or(default.top_p),
            min_p: user.min_p.or(model.min_p).unwrap_or(default.min_p),
            repetition_penalty: user.repetition_penalty.or(model.repetition_penalty).unwrap_or(default.repetition_penalty),
            presence_penalty: user.presence_penalty.or(model.presence_penalty).unwrap_or(default.presence_penalty),
            frequency_penalty: user.frequency_penalty.or(model.frequency_penalty).unwrap_or(default.frequency_penalty),
            logit_bias: user.logit_bias.as_ref().or(model.logit_bias.as_ref()).cloned().unwrap_or_default(),
            seed: user.seed.or(model.seed),
        }
    }

    /// Whether the largest logit is taken instead of a draw.
    pub fn is_greedy(&self) -> bool {
        self.temperature < GREEDY_BELOW
    }

    /// Checks every value that can be checked without knowing the model.
    ///
    /// # Errors
    /// [`Error::Request`] that names the flag of the command line, for the first value that is not allowed.
    pub fn validate(&self) -> Result<()> {
        let finite = f32::MIN..=f32::MAX;
        let checks = [
            ("--temperature", self.temperature, (0.0..=f32::MAX).contains(&self.temperature), "a finite number, at least 0"),
            ("--top-p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "a number above 0, at most 1"),
            ("--min-p", self.min_p, (0.0..=1.0).contains(&self.min_p), "a number from 0 to 1"),
            (
                "--repetition-penalty",
                self.repetition_penalty,
                self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite(),
                "a finite number above 0",
            ),
            ("--presence-penalty", self.presence_penalty, finite.contains(&self.presence_penalty), "a finite number"),
            ("--frequency-penalty", self.frequency_penalty, finite.contains(&self.frequency_penalty), "a finite number"),
        ];
        for (flag, value, allowed, expected) in checks {
            if !allowed {
                return Err(Error::request(flag, value, expected));
            }
        }
        if self.top_k < 0 {
            return Err(Error::request("--top-k", self.top_k, "a whole number, at least 0").with_hint("0 keeps all tokens"));
        }
        match self.logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            Some((id, bias)) => Err(Error::request("--logit-bias", format!("{id}={bias}"), "a finite number for each id")),
            None => Ok(()),
        }
    }

    /// Checks that `logit_bias` names tokens of the vocabulary.
    ///
    /// # Errors
    /// [`Error::Request`] with the largest id that is none.
    pub(super) fn validate_ids(&self, vocab_size: usize) -> Result<()> {
        match self.logit_bias.last_key_value() {
            Some((&id, bias)) if id as usize >= vocab_size => {
                let expected = format!("ids below the vocabulary's size of {vocab_size}");
                Err(Error::request("--logit-bias", format!("{id}={bias}"), expected).with_hint("`llm tokenize` shows the ids of a text"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SamplingConfig)) -> String {
        let mut config = SamplingConfig::default();
        change(&mut config);
        config.validate().expect_err("must be refused").to_string()
    }

    #[test]
    fn f53_f72_temperature_is_a_finite_number_of_at_least_zero() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0] {
            let message = refused(|config| config.temperature = value);
            assert_eq!(message, format!("--temperature: got {value}, expected a finite number, at least 0"));
        }
        for value in [0.0, -0.0, 1e-12, 2.0, 1e30] {
            assert!(SamplingConfig { temperature: value, ..Default::default() }.validate().is_ok(), "{value}");
        }
    }

    #[test]
    fn f73_filters_and_penalties_out_of_range() {
        for value in [0.0, 1.1, -0.5, f32::NAN, f32::INFINITY] {
            assert!(refused(|config| config.top_p = value).starts_with("--top-p: got"), "{value}");
        }
        for value in [-0.1, 1.1, f32::NAN] {
            assert!(refused(|config| config.min_p = value).starts_with("--min-p: got"), "{value}");
        }
        for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(refused(|config| config.repetition_penalty = value).starts_with("--repetition-penalty: got"), "{value}");
        }
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(refused(|config| config.presence_penalty = value).starts_with("--presence-penalty: got"), "{value}");
            assert!(refused(|config| config.frequency_penalty = value).starts_with("--frequency-penalty: got"), "{value}");
        }
        assert_eq!(refused(|config| config.top_k = -1), "--top-k: got -1, expected a whole number, at least 0");
    }

    #[test]
    fn f74_logit_bias_not_a_number_or_unknown_id() {
        for value in [f32::NAN, f32::INFINITY] {
            let message = refused(|config| config.logit_bias = BTreeMap::from([(3, value)]));
            assert_eq!(message, format!("--logit-bias: got 3={value}, expected a finite number for each id"));
        }
        let config = SamplingConfig { logit_bias: (0..1_000_000).map(|id| (id, 1.0)).collect(), ..Default::default() };
        let message = config.validate_ids(10).expect_err("unknown id").to_string();
        assert_eq!(message, "--logit-bias: got 999999=1, expected ids below the vocabulary's size of 10");
        assert!(config.validate_ids(1_000_000).is_ok());
    }

    #[test]
    fn user_wins_over_model_and_model_over_default() {
        let json = r#"{"bos_token_id": 1, "do_sample": true, "temperature": 0.6, "top_p": 0.9, "min_p": null, "eos_token_id": [2, 3]}"#;
        let model: SamplingOptions = serde_json::from_str(json).expect("generation_config.json");
        let user = SamplingOptions { temperature: Some(0.2), min_p: Some(0.05), ..Default::default() };
        let config = SamplingConfig::resolve(&model, &user);
        assert_eq!(config, SamplingConfig { temperature: 0.2, top_p: 0.9, min_p: 0.05, ..Default::default() });
    }

    #[test]
    fn do_sample_chooses_the_temperature() {
        let read = |json| serde_json::from_str::<SamplingOptions>(json).expect("options");
        let none = SamplingOptions::default();
        assert_eq!(SamplingConfig::resolve(&read(r#"{"do_sample": false, "temperature": 0.6}"#), &none).temperature, 0.0);
        assert_eq!(SamplingConfig::resolve(&read(r#"{"do_sample": true}"#), &none).temperature, 1.0);
        assert_eq!(SamplingConfig::resolve(&read("{}"), &none).temperature, 0.7);
        let user = SamplingOptions { temperature: Some(0.9), ..Default::default() };
        assert_eq!(SamplingConfig::resolve(&read(r#"{"do_sample": false}"#), &user).temperature, 0.9);
    }
}
