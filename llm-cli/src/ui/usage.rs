//! What clap says, in the words of our own errors: `error: <flag>: got X, expected Y` and a hint.

use std::error::Error as _;
use std::io::ErrorKind as IoErrorKind;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Failure;
use super::failure::exit;
use crate::args::Cli;
use crate::{output, spelling};

/// Prints what clap says (help and version on stdout, errors on stderr) and chooses the exit code.
pub fn usage(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if !matches!(error.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand) {
        return exit(Err(failure(error).into()));
    }
    match error.print() {
        Err(failed) if !error.use_stderr() && failed.kind() != IoErrorKind::BrokenPipe => exit(Err(output::named(&failed).into())),
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1)),
    }
}

fn failure(error: &clap::Error) -> Failure {
    // A value that was checked by a parser of ours, which may know all there is to say.
    if let Some(failure) = error.source().and_then(|source| source.downcast_ref::<Failure>()) {
        return failure.clone();
    }
    let failure = Failure::usage(message(error));
    match spelling::question(&suggestions(error)).or_else(|| command(error).map(|command| format!("`{command} --help` lists them all"))) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn message(error: &clap::Error) -> String {
    let first = |kind| words(error, kind).into_iter().next().unwrap_or_default();
    let argument = first(ContextKind::InvalidArg);
    let flag = name(&argument);
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let placeholder = argument.split_once(' ').map_or("a value", |(_, placeholder)| placeholder);
            let expected = expected(error).unwrap_or_else(|| format!("`{placeholder}`"));
            match first(ContextKind::InvalidValue) {
                got if got.is_empty() => format!("{flag}: got no value, expected {expected}"),
                got => format!("{flag}: got `{got}`, expected {expected}"),
            }
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => format!("{flag}: got an unknown flag, expected a known one"),
        ErrorKind::UnknownArgument => format!("argument: got `{argument}`, expected no more of them"),
        ErrorKind::InvalidSubcommand => {
            let known = Cli::command().get_subcommands().map(|known| known.get_name().to_owned()).collect::<Vec<_>>().join(", ");
            format!("command: got `{}`, expected {known}", first(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = words(error, ContextKind::InvalidArg);
            format!("{}: got nothing, expected it here", missing.iter().map(|argument| name(argument)).collect::<Vec<_>>().join(", "))
        }
        ErrorKind::ArgumentConflict => match first(ContextKind::PriorArg) {
            prior if prior == argument => format!("{flag}: got it twice, expected it once"),
            prior => format!("{flag}: got it beside `{}`, expected one of the two", name(&prior)),
        },
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

/// `--kv` of `--kv <TYPE>`, `MODEL` of `[MODEL]`.
fn name(argument: &str) -> &str {
    argument.split(' ').next().unwrap_or_default().trim_matches(['<', '>', '[', ']'])
}

/// What a value may be: the list, or what its parser says.
fn expected(error: &clap::Error) -> Option<String> {
    let listed = words(error, ContextKind::ValidValue);
    if listed.is_empty() { error.source().map(ToString::to_string) } else { Some(listed.join(", ")) }
}

/// What clap finds near; of commands only what is near by our measure, as clap also names those that have some letters in common.
fn suggestions(error: &clap::Error) -> Vec<String> {
    let asked = words(error, ContextKind::InvalidSubcommand).concat();
    let commands = spelling::nearest(&asked, words(error, ContextKind::SuggestedSubcommand));
    [ContextKind::SuggestedArg, ContextKind::SuggestedValue].into_iter().flat_map(|kind| words(error, kind)).chain(commands).collect()
}

/// `llm generate` where the flags of `generate` were wrong: the usage line, where there is one, as far as it has only names.
fn command(error: &clap::Error) -> Option<String> {
    let usage = words(error, ContextKind::Usage).concat();
    let names = usage.split_whitespace().skip(1).take_while(|word| !word.starts_with(['[', '<', '-']));
    Some(names.collect::<Vec<_>>().join(" ")).filter(|names| !names.is_empty())
}

fn words(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(word)) => vec![word.clone()],
        Some(ContextValue::Strings(words)) => words.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        _ => Vec::new(),
    }
}
