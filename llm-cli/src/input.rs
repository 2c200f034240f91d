//! Text that comes by a flag, by stdin, or in a file.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use llm_infer::Error;
use llm_infer::tokenizer::MAX_TEXT;

use crate::ui::Failure;

/// The name of stdin where a file is asked for.
const STDIN: &str = "-";

/// The value of `--prompt`, else all of stdin without the line ending at its end.
///
/// # Errors
/// Stdin that is a terminal, empty, or not UTF-8.
pub fn prompt(flag: Option<&str>) -> anyhow::Result<String> {
    match flag {
        Some(text) => Ok(text.to_owned()),
        None if std::io::stdin().is_terminal() => {
            Err(Failure::usage("no prompt").with_hint("give it with `--prompt TEXT`, or through a pipe").into())
        }
        None => stdin(),
    }
}

/// All of stdin without the line ending at its end.
///
/// # Errors
/// Stdin that is empty or not UTF-8.
pub fn stdin() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| Failure::io(format!("stdin: {error}")))?;
    Ok(text(bytes)?)
}

/// The text in the file `path`, or on stdin for `-`, as it is: no line ending is dropped. A file may be a pipe.
///
/// # Errors
/// What cannot be read, is not UTF-8, or is longer than a tokenizer reads at once.
pub fn file(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    // One byte more than is allowed: a device or a pipe has no length to look at.
    let limit = MAX_TEXT as u64 + 1;
    if path == Path::new(STDIN) {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|error| Failure::io(format!("stdin: {error}")))?;
    } else {
        let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        read.map_err(|error| Error::io(path, error))?;
    }
    let name = file_name(path);
    if bytes.len() > MAX_TEXT {
        let failure = Failure::usage(format!("{name}: size: got more than {MAX_TEXT} bytes, expected at most that many"));
        return Err(failure.with_hint("give a part of the text").into());
    }
    Ok(utf8(bytes, &name)?)
}

/// `stdin` for `-`.
pub fn file_name(path: &Path) -> String {
    if path == Path::new(STDIN) { "stdin".to_owned() } else { path.display().to_string() }
}

fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!("{name}: byte {at}: got `0x{:02x}`, expected UTF-8", error.as_bytes()[at]))
            .with_hint("convert the text first, as with `iconv -f latin1 -t utf-8`")
    })
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    let mut text = utf8(bytes, "stdin")?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(Failure::usage("stdin: got no text, expected a prompt").with_hint("an empty prompt can be given with `--prompt ''`"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_ending_is_dropped() {
        for (given, expected) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a \nb", " a \nb")] {
            assert_eq!(text(given.into()).expect("text"), expected);
        }
    }

    #[test]
    fn f56_bad_and_missing_text_is_refused() {
        let error = text(b"caf\xe9".to_vec()).expect_err("latin 1");
        assert_eq!(error.to_string(), "stdin: byte 3: got `0xe9`, expected UTF-8");
        assert!(text(Vec::new()).is_err());
        assert!(text(b"\n".to_vec()).is_err());
    }
}
