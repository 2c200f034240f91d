//! What the user sees beside the data: notices, progress, errors with hints, exit codes. All of it goes to stderr.

use std::fmt::Write as _;
use std::io::{ErrorKind as IoErrorKind, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use llm_infer::{Error, ErrorKind};

const USAGE: u8 = 2;
const BAD_MODEL: u8 = 3;
const IO: u8 = 4;
const RESOURCE: u8 = 5;
/// The exit code of a fault in this program.
pub const BUG: u8 = 70;
/// The exit code after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// Work shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(700);

/// How much the user wants to see.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    verbose: bool,
}

impl Ui {
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// Something that is good to know.
    pub fn notice(&self, text: &str) {
        if !self.quiet {
            anstream::eprintln!("{CYAN}note{CYAN:#}: {text}");
        }
    }

    /// Something that may be wrong; also shown with `--quiet`.
    pub fn warning(&self, text: &str) {
        anstream::eprintln!("{YELLOW}warning{YELLOW:#}: {text}");
    }

    /// Something that `-v` asks for.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            anstream::eprintln!("{DIM}{text}{DIM:#}");
        }
    }

    /// A line that belongs to a conversation on the terminal, not to its data.
    pub fn aside(&self, text: &str) {
        anstream::eprintln!("{DIM}{text}{DIM:#}");
    }

    /// A failure that does not end the program, as within a conversation.
    pub fn failure(&self, error: &anyhow::Error) {
        anstream::eprint!("{}", report(error));
    }

    /// A bar for work that may last; it appears on a terminal once the work has lasted a while.
    pub fn progress(&self, what: &'static str, unit: Unit) -> Progress {
        let template = match unit {
            Unit::Bytes => "{msg} [{bar:30}] {bytes}/{total_bytes} {eta}",
            Unit::Count => "{msg} [{bar:30}] {pos}/{len} {eta}",
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_style(style).with_message(what);
        Progress { bar, since: Instant::now(), allowed: !self.quiet }
    }
}

/// What a bar counts.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    Bytes,
    Count,
}

/// A progress bar that vanishes when dropped.
pub struct Progress {
    bar: ProgressBar,
    since: Instant,
    allowed: bool,
}

impl Progress {
    /// Shows `done` of `total`.
    pub fn update(&self, done: u64, total: u64) {
        if self.allowed && self.bar.is_hidden() && !self.bar.is_finished() && self.since.elapsed() > PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// Runs `print` with the bar out of the way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Removes the bar from the screen; it does not come back.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A failure that the command line itself found.
#[derive(Debug)]
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

    /// The same with advice.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
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
        anstream::eprint!("{}", report(&error));
    }
    ExitCode::from(code(&error))
}

/// Prints what clap says: help and version on stdout, errors on stderr.
pub fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(error) if error.kind() != IoErrorKind::BrokenPipe => ExitCode::from(IO),
        _ => ExitCode::from(error.exit_code().try_into().unwrap_or(USAGE)),
    }
}

/// Replaces the default report of a panic, which speaks to programmers, by one for users.
pub fn report_panics_briefly() {
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("unknown");
        let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        anstream::eprintln!("{RED}error{RED:#}: internal error{place}: {message}\n");
        anstream::eprintln!("{CYAN}hint{CYAN:#}: this is a bug in llm; please report it with the command and the line above");
    }));
}

/// `error: …`, and after a blank line `hint: …`.
fn report(error: &anyhow::Error) -> String {
    // Writing to a string cannot fail.
    let mut text = format!("{RED}error{RED:#}: {error}\n");
    if let Some(hint) = hint(error) {
        let _ = writeln!(text, "\n{CYAN}hint{CYAN:#}: {hint}");
    }
    text
}

fn hint(error: &anyhow::Error) -> Option<&str> {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.hint.as_deref(),
        None => error.downcast_ref::<Error>().and_then(Error::hint),
    }
}

/// The exit code that an error stands for.
pub fn code(error: &anyhow::Error) -> u8 {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.code;
    }
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Usage) => USAGE,
        Some(ErrorKind::Model) => BAD_MODEL,
        Some(ErrorKind::Io) => IO,
        Some(ErrorKind::Resource) => RESOURCE,
        Some(ErrorKind::Cancelled) => INTERRUPTED,
        Some(ErrorKind::Bug) => BUG,
        None if error.is::<std::io::Error>() => IO,
        None => BUG,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == IoErrorKind::BrokenPipe)
}

/// Whether a person sits at both ends.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}
