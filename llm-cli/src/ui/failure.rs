//! Failures: what is said about them, and the exit code they stand for.

use std::fmt::Write as _;
use std::io::ErrorKind as IoErrorKind;
use std::process::ExitCode;

use llm_infer::{Error, ErrorKind};

use super::plain::message;
use super::{CYAN, RED, to_stderr};

const USAGE: u8 = 2;
const BAD_MODEL: u8 = 3;
const IO: u8 = 4;
const RESOURCE: u8 = 5;
/// The exit code of a fault in this program.
pub const BUG: u8 = 70;
/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// A failure that the command line itself found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// A wrong flag or input.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: USAGE }
    }

    /// A file that is not there or cannot be used.
    pub fn io(message: impl Into<String>) -> Self {
        Self { code: IO, ..Self::usage(message) }
    }

    /// The same about a part of `place`: `<place>: <message>`.
    pub fn within(self, place: &str) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }

    /// The same with advice.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { message: error.to_string(), hint: error.hint().map(str::to_owned), code: kind_code(error.kind()) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints what went wrong, if anything, and chooses the exit code.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    if is_broken_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    if !matches!(error.downcast_ref(), Some(Error::Cancelled)) {
        to_stderr(&report(&error));
    }
    ExitCode::from(code(&error))
}

/// Replaces the default report of a panic, which speaks to programmers, by one for users.
pub fn report_panics_briefly() {
    std::panic::set_hook(Box::new(|info| {
        let what = message(info.payload_as_str().unwrap_or("unknown"));
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let hint = "this is a bug in llm; please report it with the command and the line above";
        to_stderr(&format!("{RED}error{RED:#}: internal error{place}: {what}\n\n{CYAN}hint{CYAN:#}: {hint}\n"));
    }));
}

/// `error: …`, and after a blank line `hint: …`.
pub(super) fn report(error: &anyhow::Error) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("{RED}error{RED:#}: {}\n", message(&error.to_string()));
    if let Some(hint) = hint(error) {
        let _ = writeln!(text, "\n{CYAN}hint{CYAN:#}: {}", message(hint));
    }
    text
}

fn hint(error: &anyhow::Error) -> Option<&str> {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.hint.as_deref(),
        None => error.downcast_ref::<Error>().and_then(Error::hint),
    }
}

fn code(error: &anyhow::Error) -> u8 {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.code;
    }
    match error.downcast_ref::<Error>() {
        Some(error) => kind_code(error.kind()),
        None if error.is::<std::io::Error>() => IO,
        None => BUG,
    }
}

fn kind_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => USAGE,
        ErrorKind::Model => BAD_MODEL,
        ErrorKind::Io => IO,
        ErrorKind::Resource => RESOURCE,
        ErrorKind::Cancelled => INTERRUPTED,
        ErrorKind::Bug => BUG,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == IoErrorKind::BrokenPipe)
}
