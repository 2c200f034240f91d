//! The commands of a conversation: lines that begin with a slash.

use std::path::PathBuf;

use llm_infer::generate::GenerateOptions;
use llm_infer::sample::{Sampler, SamplingConfig};
use serde_json::Value;

use crate::settings::named_as_field;
use crate::ui::Failure;

/// What `/help` shows.
pub const HELP: &str = "\
/system TEXT   set the system message, or remove it without TEXT
/reset         forget the conversation
/regenerate    answer the last message again
/save FILE     keep the conversation and its cache
/load FILE     go on with a saved one
/stats         tokens, speed and memory
/set [K=V]     show or change temperature, top_k, top_p, min_p, repetition_penalty, seed, max_tokens, stop, ...
/exit          leave (also Ctrl-D)
A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of several lines. Ctrl-C stops an answer.";

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub enum Slash {
    Help,
    System(Option<String>),
    Reset,
    Regenerate,
    Save(PathBuf),
    Load(PathBuf),
    Stats,
    Set(Option<(String, String)>),
    Exit,
}

/// The command on `line`; `None` where it does not begin with a slash.
pub fn parse(line: &str) -> Option<Result<Slash, Failure>> {
    let rest = line.trim().strip_prefix('/')?;
    let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(command(name, argument.trim()))
}

fn command(name: &str, argument: &str) -> Result<Slash, Failure> {
    let file = || {
        let wrong = || Failure::usage(format!("/{name}: got nothing, expected a file"));
        if argument.is_empty() { Err(wrong()) } else { Ok(PathBuf::from(argument)) }
    };
    let bare = |slash| {
        let wrong = || Failure::usage(format!("/{name}: got `{argument}`, expected nothing"));
        if argument.is_empty() { Ok(slash) } else { Err(wrong()) }
    };
    match name {
        "help" | "?" => bare(Slash::Help),
        "system" => Ok(Slash::System((!argument.is_empty()).then(|| argument.to_owned()))),
        "reset" => bare(Slash::Reset),
        "regenerate" => bare(Slash::Regenerate),
        "save" => file().map(Slash::Save),
        "load" => file().map(Slash::Load),
        "stats" => bare(Slash::Stats),
        "set" if argument.is_empty() => Ok(Slash::Set(None)),
        "set" => match argument.split_once('=') {
            Some((key, value)) => Ok(Slash::Set(Some((key.trim().replace('-', "_"), value.trim().to_owned())))),
            None => Err(Failure::usage(format!("/set: got `{argument}`, expected as in temperature=0.7"))),
        },
        "exit" | "quit" | "bye" => bare(Slash::Exit),
        _ => Err(Failure::usage(format!("/{name}: no such command")).with_hint("/help lists them")),
    }
}

/// Changes the setting `key` of answers in `vocab_size` tokens; `options` are as before where that fails.
///
/// # Errors
/// A key that does not exist or a value that it cannot have.
pub fn set(options: &mut GenerateOptions, vocab_size: usize, key: &str, value: &str) -> anyhow::Result<()> {
    match key {
        "max_tokens" => options.max_tokens = value.parse().ok().filter(|count| *count > 0).ok_or_else(|| wrong(key, value))?,
        "stop" => options.stop = if value.is_empty() { Vec::new() } else { vec![value.to_owned()] },
        "ignore_eos" => options.ignore_eos = value.parse().map_err(|_| wrong(key, value))?,
        _ => options.sampling = changed(&options.sampling, vocab_size, key, value)?,
    }
    Ok(())
}

fn changed(sampling: &SamplingConfig, vocab_size: usize, key: &str, value: &str) -> anyhow::Result<SamplingConfig> {
    let mut fields = serde_json::to_value(sampling)?;
    let Some(field) = fields.get_mut(key) else {
        return Err(Failure::usage(format!("/set: got `{key}`, expected a setting")).with_hint("`/set` alone shows all of them").into());
    };
    *field = serde_json::from_str(if value.is_empty() { "null" } else { value }).unwrap_or_else(|_| Value::String(value.to_owned()));
    let sampling: SamplingConfig = serde_json::from_value(fields).map_err(|_| wrong(key, value))?;
    Sampler::new(&sampling, vocab_size).map_err(named_as_field)?;
    Ok(sampling)
}

fn wrong(key: &str, value: &str) -> Failure {
    let expected = match key {
        "max_tokens" => "a whole number, at least 1",
        "top_k" => "a whole number, at least 0",
        "seed" => "a whole number, or nothing",
        "ignore_eos" => "true or false",
        "logit_bias" => "numbers by token id, as in {\"42\": -1.5}",
        _ => "a finite number",
    };
    Failure::usage(format!("{key}: got `{value}`, expected {expected}"))
}

/// All settings, one a line.
pub fn settings(options: &GenerateOptions) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    // Through text, as a value would show every digit of an `f32` widened to `f64`.
    if let Value::Object(fields) = serde_json::from_str(&serde_json::to_string(&options.sampling)?)? {
        lines.extend(fields.into_iter().map(|(key, value)| format!("{key}={value}")));
    }
    lines.push(format!("max_tokens={}", options.max_tokens));
    lines.push(format!("stop={}", options.stop.join("")));
    lines.push(format!("ignore_eos={}", options.ignore_eos));
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_a_slash_are_commands() {
        assert!(parse("hello /help").is_none());
        assert_eq!(parse(" /help ").expect("slash").expect("known"), Slash::Help);
        assert_eq!(parse("/system be  brief").expect("slash").expect("known"), Slash::System(Some("be  brief".into())));
        assert_eq!(parse("/save a b").expect("slash").expect("known"), Slash::Save("a b".into()));
        assert_eq!(parse("/set top-k = 5").expect("slash").expect("known"), Slash::Set(Some(("top_k".into(), "5".into()))));
        for line in ["/", "/nope", "/save", "/set x", "/reset now"] {
            assert!(parse(line).expect("slash").is_err(), "{line}");
        }
    }

    #[test]
    fn settings_change_one_by_one() {
        let mut options = GenerateOptions::new(SamplingConfig::default(), 9);
        for (key, value) in [("temperature", "0"), ("top_k", "3"), ("seed", "7"), ("max_tokens", "5"), ("stop", "END")] {
            set(&mut options, 320, key, value).expect(key);
        }
        assert_eq!((options.sampling.temperature, options.sampling.top_k, options.sampling.seed), (0.0, 3, Some(7)));
        assert_eq!((options.max_tokens, options.stop.as_slice()), (5, ["END".to_owned()].as_slice()));
        set(&mut options, 320, "seed", "").expect("none");
        assert_eq!(options.sampling.seed, None);
        let refused = [
            ("temperature", "-1", "temperature: got -1, expected a finite number, at least 0"),
            ("temperature", "nan", "temperature: got `nan`, expected a finite number"),
            ("top_p", "2", "top_p: got 2, expected a number above 0, at most 1"),
            ("max_tokens", "0", "max_tokens: got `0`, expected a whole number, at least 1"),
            ("logit_bias", r#"{"320": 1}"#, "logit_bias: got 320=1, expected ids below the vocabulary's size of 320"),
            ("nope", "1", "/set: got `nope`, expected a setting"),
        ];
        for (key, value, message) in refused {
            assert_eq!(set(&mut options, 320, key, value).expect_err(key).to_string(), message);
        }
        set(&mut options, 320, "temperature", "0.7").expect("a number");
        assert!(settings(&options).expect("text").starts_with("temperature=0.7\ntop_k=3\n"));
    }
}
