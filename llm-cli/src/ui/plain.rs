//! Text of strangers (files, templates, prompts) made fit for a terminal.

use std::fmt::Write;

/// The most characters of one message that are shown.
const LONGEST: usize = 2_000;

/// `text` without anything that a terminal would obey: controls, line ends and marks of direction as `\n` or `\u{1b}`.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// [`plain`], cut to 2,000 characters.
pub fn message(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(LONGEST) else { return plain(text) };
    let mut shown = plain(&text[..end]);
    // Writing to a string cannot fail.
    let _ = write!(shown, "... ({} more characters)", text[end..].chars().count());
    shown
}

/// [`message`] for each line of a text whose line ends are ours.
pub fn block(text: &str) -> String {
    text.lines().map(message).collect::<Vec<_>>().join("\n")
}

fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_finds_nothing_to_obey() {
        assert_eq!(plain("é \x1b[31m\r\n\u{9b}x\u{202e}"), r"é \u{1b}[31m\r\n\u{9b}x\u{202e}");
        assert_eq!(block("a\x07\nb"), "a\\u{7}\nb");
    }

    #[test]
    fn long_messages_are_cut_and_counted() {
        assert_eq!(message(&"é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert!(message(&"é".repeat(LONGEST + 3)).ends_with("é... (3 more characters)"));
    }
}
