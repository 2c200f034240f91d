//! Text that comes by a flag or by stdin.

use std::io::{IsTerminal, Read};

use crate::ui::Failure;

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

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::usage(format!("stdin: byte {at}: got `0x{:02x}`, expected UTF-8", error.as_bytes()[at]))
            .with_hint("convert the text first, as with `iconv -f latin1 -t utf-8`")
    })?;
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
