//! Messages from the keyboard: line editing with a history, and texts of several lines.

use std::path::PathBuf;

use rustyline::error::ReadlineError;
use rustyline::history::{DefaultHistory, History};
use rustyline::{Config, Editor};

use crate::models;
use crate::ui::Failure;

const PROMPT: &str = ">>> ";
const MORE: &str = "... ";
/// Begins and ends a text of several lines.
const FENCE: &str = "\"\"\"";

/// What the user typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Message(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the end of the input.
    End,
}

/// The prompt on the terminal.
pub struct LineEditor {
    history: DefaultHistory,
    file: Option<PathBuf>,
}

impl LineEditor {
    /// An editor with the history of earlier conversations, where there is one that can be read.
    pub fn new() -> Self {
        let mut history = DefaultHistory::with_config(&Config::default());
        let file = models::data_folder().map(|folder| folder.join("history"));
        if let Some(file) = &file {
            let _ = history.load(file);
        }
        Self { history, file }
    }

    /// The next message.
    ///
    /// # Errors
    /// A terminal that fails.
    pub fn read(&mut self) -> anyhow::Result<Typed> {
        // An editor takes Ctrl-C over for as long as it lives, so it must not live while the model answers.
        let mut editor = Editor::<(), _>::with_history(Config::default(), std::mem::take(&mut self.history)).map_err(failed)?;
        let typed = assemble(&mut |prompt| editor.readline(prompt));
        self.history = std::mem::take(editor.history_mut());
        match typed {
            Ok(message) => {
                self.remember(&message);
                Ok(Typed::Message(message))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(failed(error)),
        }
    }

    /// The history is a convenience: a home that cannot be written to is no reason to complain.
    fn remember(&mut self, message: &str) {
        if message.trim().is_empty() {
            return;
        }
        let _ = self.history.add(message);
        if let Some(file) = &self.file {
            let _ = file.parent().map(std::fs::create_dir_all);
            let _ = self.history.append(file);
        }
    }
}

fn failed(error: ReadlineError) -> anyhow::Error {
    Failure::io(format!("terminal: {error}")).into()
}

/// Reads lines until they make a message.
fn assemble<E>(read: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<String, E> {
    let first = read(PROMPT)?;
    if let Some(rest) = first.trim_start().strip_prefix(FENCE) {
        return fenced(rest.to_owned(), read);
    }
    let mut message = first;
    while let Some(part) = message.strip_suffix('\\') {
        message = format!("{part}\n{}", read(MORE)?);
    }
    Ok(message)
}

fn fenced<E>(mut text: String, read: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<String, E> {
    loop {
        if let Some(whole) = text.trim_end().strip_suffix(FENCE) {
            return Ok(whole.trim_matches('\n').to_owned());
        }
        text = format!("{text}\n{}", read(MORE)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(lines: &[&str]) -> Result<String, ()> {
        let mut lines = lines.iter();
        assemble(&mut |_| lines.next().map(|line| (*line).to_owned()).ok_or(()))
    }

    #[test]
    fn messages_span_lines() {
        assert_eq!(typed(&["hello", "x"]), Ok("hello".into()));
        assert_eq!(typed(&["a\\", "b\\", "c"]), Ok("a\nb\nc".into()));
        assert_eq!(typed(&["\"\"\"", "a", "", "b", "\"\"\""]), Ok("a\n\nb".into()));
        assert_eq!(typed(&["\"\"\"one line\"\"\""]), Ok("one line".into()));
        assert_eq!(typed(&["\"\"\"", "a"]), Err(()));
    }
}
