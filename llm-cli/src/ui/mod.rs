//! What the user sees beside the data: notices, progress, errors with hints, exit codes. All of it goes to stderr.
//!
//! Names and messages come from files of strangers: what a terminal would obey is escaped here, once for all of them.

mod failure;
mod numbers;
mod plain;
mod progress;
mod usage;

use std::io::{IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};

pub use failure::{BUG, Failure, INTERRUPTED, exit, report_panics_briefly};
pub use numbers::{grouped, size};
pub use plain::plain;
use plain::{block, message};
pub use progress::{Progress, Unit};
pub use usage::usage;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();
const DIM: Style = Style::new().dimmed();

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
            to_stderr(&format!("{CYAN}note{CYAN:#}: {}\n", message(text)));
        }
    }

    /// Something that may be wrong; also shown with `--quiet`.
    pub fn warning(&self, text: &str) {
        to_stderr(&format!("{YELLOW}warning{YELLOW:#}: {}\n", message(text)));
    }

    /// Something that `-v` asks for.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.aside(text);
        }
    }

    /// Lines that belong to a conversation on the terminal, not to its data.
    pub fn aside(&self, text: &str) {
        to_stderr(&format!("{DIM}{}{DIM:#}\n", block(text)));
    }

    /// A failure that does not end the program, as within a conversation.
    pub fn failure(&self, error: &anyhow::Error) {
        to_stderr(&failure::report(error));
    }

    /// A bar for work that may last; it appears on a terminal once the work has lasted a while.
    pub fn progress(&self, what: &'static str, unit: Unit) -> Progress {
        Progress::new(what, unit, !self.quiet)
    }
}

/// Whether a person sits at both ends.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Writes to stderr; where it takes nothing, nobody can be told.
fn to_stderr(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}
