//! The one error type of this crate: what was wrong, where, what was expected, and what helps.

use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Anything that a file, prompt, flag or device can do wrong.
///
/// Messages follow `<file>: <tensor or field>: got X, expected Y`; [`Error::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file whose content is not what its format or the model needs.
    #[error("{}: {field}: got {got}, expected {expected}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The tensor, key or position in the file.
        field: String,
        /// What stands there.
        got: String,
        /// What should stand there.
        expected: String,
        /// What helps, where something does.
        hint: Option<String>,
    },
    /// Tensors of a checkpoint that do not fit the model.
    #[error("{}: {report}", path.display())]
    Tensors {
        /// The checkpoint.
        path: PathBuf,
        /// The first names of each kind and the counts.
        report: String,
        /// What helps, where something does.
        hint: Option<String>,
    },
    /// A chat template that does not compile or that refused the conversation.
    #[error("chat template: {message}")]
    Template {
        /// What the template engine, or the template itself, said.
        message: String,
        /// What helps, where something does.
        hint: Option<String>,
    },
    /// A value given by the user (a flag, a request field) that cannot be used.
    #[error("{field}: got {got}, expected {expected}")]
    Request {
        /// The flag or field.
        field: String,
        /// The value.
        got: String,
        /// What is allowed.
        expected: String,
        /// What helps, where something does.
        hint: Option<String>,
    },
    /// A device that is absent, not built in, or that ran out of memory.
    #[error("device {device}: {message}")]
    Device {
        /// The device as the user spelled it.
        device: String,
        /// What is wrong.
        message: String,
        /// What helps, where something does.
        hint: Option<String>,
    },
    /// Logits that are not numbers: the weights are damaged, or a kernel is wrong.
    #[error("logits: got {got}, expected finite numbers")]
    Logits {
        /// What was seen, and where.
        got: String,
    },
    /// The user stopped the work.
    #[error("cancelled")]
    Cancelled,
}

/// The classes of [`Error`], one per exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A flag or request field was wrong.
    Usage,
    /// A model file was wrong.
    Model,
    /// The system refused to read or write.
    Io,
    /// Memory or a device is missing.
    Resource,
    /// The user stopped the work.
    Cancelled,
    /// A fault of this program.
    Bug,
}

impl Error {
    /// An [`Error::Io`] at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// An [`Error::Invalid`] without a hint.
    pub fn invalid(path: impl AsRef<Path>, field: impl Into<String>, got: impl ToString, expected: impl ToString) -> Self {
        Self::Invalid {
            path: path.as_ref().to_owned(),
            field: field.into(),
            got: got.to_string(),
            expected: expected.to_string(),
            hint: None,
        }
    }

    /// An [`Error::Request`] without a hint.
    pub fn request(field: impl Into<String>, got: impl ToString, expected: impl ToString) -> Self {
        Self::Request { field: field.into(), got: got.to_string(), expected: expected.to_string(), hint: None }
    }

    /// The same error with a hint, where its kind carries one.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        match &mut self {
            Self::Invalid { hint, .. }
            | Self::Tensors { hint, .. }
            | Self::Template { hint, .. }
            | Self::Request { hint, .. }
            | Self::Device { hint, .. } => *hint = Some(text.into()),
            Self::Io { .. } | Self::Logits { .. } | Self::Cancelled => {}
        }
        self
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Invalid { hint, .. }
            | Self::Tensors { hint, .. }
            | Self::Template { hint, .. }
            | Self::Request { hint, .. }
            | Self::Device { hint, .. } => hint.as_deref(),
            Self::Logits { .. } => Some("`llm inspect --check` reads every weight and names those that are not numbers"),
            Self::Io { .. } | Self::Cancelled => None,
        }
    }

    /// The class of this error, for exit codes and status lines.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } => ErrorKind::Io,
            Self::Invalid { .. } | Self::Tensors { .. } | Self::Template { .. } | Self::Logits { .. } => ErrorKind::Model,
            Self::Request { .. } => ErrorKind::Usage,
            Self::Device { .. } => ErrorKind::Resource,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}
