//! The lines of a batch's input, read and checked before any work.

use std::path::Path;

use llm_infer::Error;
use llm_infer::chat::Message;
use llm_infer::generate::GenerateOptions;
use llm_infer::sample::SamplingConfig;
use llm_infer::stop::StopStrings;
use serde::Deserialize;
use serde_json::Value;

use crate::args::GenerateArgs;
use crate::settings::named_as_field;
use crate::ui::Failure;

/// One request as it stands in the file.
pub struct Line {
    pub raw: String,
    pub fields: Fields,
}

/// The fields of one line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    pub id: Option<Value>,
    pub prompt: Option<String>,
    pub messages: Option<Vec<Message>>,
    max_tokens: Option<usize>,
    stop: Option<Vec<String>>,
    ignore_eos: Option<bool>,
    temperature: Option<f32>,
    top_k: Option<i64>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    seed: Option<u64>,
}

/// The requests in `path`; blank lines are none.
///
/// # Errors
/// A file that cannot be read, and the first line that makes no sense.
pub fn read(path: &Path, args: &GenerateArgs) -> anyhow::Result<Vec<Line>> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let parsed = lines.map(|(index, line)| {
        let wrong = |failure: Failure| failure.within(&format!("{}: line {}", path.display(), index + 1));
        parse(line, args).map_err(wrong)
    });
    Ok(parsed.collect::<Result<_, Failure>>()?)
}

fn parse(line: &[u8], args: &GenerateArgs) -> Result<Line, Failure> {
    let raw = std::str::from_utf8(line).map_err(|error| {
        let at = error.valid_up_to();
        Failure::usage(format!("byte {}: got `0x{:02x}`, expected UTF-8", at + 1, line[at]))
    })?;
    let raw = raw.trim_end_matches('\r');
    let fields: Fields = serde_json::from_str(raw).map_err(|error| {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        Failure::usage(format!("column {}: {}", error.column(), text.strip_suffix(&place).unwrap_or(&text)))
    })?;
    fields.check(args)?;
    Ok(Line { raw: raw.to_owned(), fields })
}

impl Fields {
    fn check(&self, args: &GenerateArgs) -> Result<(), Failure> {
        if args.chat && self.messages.is_some() {
            return Err(Failure::usage("messages: got them with `--chat`, expected `prompt`"));
        }
        if self.prompt.is_some() == self.messages.is_some() {
            let got = if self.prompt.is_some() { "both" } else { "neither" };
            return Err(Failure::usage(format!("prompt, messages: got {got}, expected one of them")));
        }
        if self.max_tokens == Some(0) {
            return Err(Failure::usage("max_tokens: got 0, expected at least 1"));
        }
        let options = self.over(&GenerateOptions::new(SamplingConfig::default(), 1));
        let checked = options.sampling.validate().and_then(|()| StopStrings::new(&options.stop).map(drop));
        checked.map_err(|error| Failure::from(named_as_field(error)))
    }

    /// These settings over those of the command line.
    pub fn over(&self, base: &GenerateOptions) -> GenerateOptions {
        let of_base = &base.sampling;
        GenerateOptions {
            sampling: SamplingConfig {
                temperature: self.temperature.unwrap_or(of_base.temperature),
                top_k: self.top_k.unwrap_or(of_base.top_k),
                top_p: self.top_p.unwrap_or(of_base.top_p),
                min_p: self.min_p.unwrap_or(of_base.min_p),
                repetition_penalty: self.repetition_penalty.unwrap_or(of_base.repetition_penalty),
                presence_penalty: self.presence_penalty.unwrap_or(of_base.presence_penalty),
                frequency_penalty: self.frequency_penalty.unwrap_or(of_base.frequency_penalty),
                logit_bias: of_base.logit_bias.clone(),
                seed: self.seed.or(of_base.seed),
            },
            max_tokens: self.max_tokens.unwrap_or(base.max_tokens),
            stop: self.stop.clone().unwrap_or_else(|| base.stop.clone()),
            ignore_eos: self.ignore_eos.unwrap_or(base.ignore_eos),
            logprobs: base.logprobs,
            prefill_chunk: base.prefill_chunk,
        }
    }
}
