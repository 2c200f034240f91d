//! Stdout, whose failures say that it was stdout.

use std::io::{self, StdoutLock, Write};

/// Where a command's data goes.
pub struct Stdout(StdoutLock<'static>);

impl Stdout {
    /// Holds stdout from here on.
    pub fn lock() -> Self {
        Self(io::stdout().lock())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|error| named(&error))
    }
}

/// `error` of the same kind, with the name of the stream before it.
pub fn named(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("stdout: {error}"))
}
