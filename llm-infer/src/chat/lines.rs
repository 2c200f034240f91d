//! Strings cut where Python cuts them: at white space and at the ends of lines.

use super::letters::is_space;

pub fn strip<'a>(string: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let string = if start { string.trim_start_matches(strips) } else { string };
    if end { string.trim_end_matches(strips) } else { string }
}

/// `str.split()` without a separator: runs of white space separate, empty parts vanish.
pub fn split_spaces(string: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = strip(string, None, !from_right, from_right);
    while !rest.is_empty() {
        let cut = if from_right { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = cut.filter(|_| parts.len() < limit) else {
            parts.push(rest);
            break;
        };
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        if from_right {
            parts.push(&rest[at + width..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            parts.push(&rest[..at]);
            rest = rest[at + width..].trim_start_matches(is_space);
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `str.splitlines()`.
pub fn split_lines(string: &str, keep_ends: bool) -> Vec<&str> {
    let is_end = |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = string;
    while !rest.is_empty() {
        let Some(at) = rest.find(is_end) else {
            lines.push(rest);
            break;
        };
        let width = if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        lines.push(&rest[..if keep_ends { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_spaces_as_python_does() {
        assert_eq!(split_spaces("  a b  c ", usize::MAX, false), ["a", "b", "c"]);
        assert_eq!(split_spaces("  a b  c ", 1, false), ["a", "b  c "]);
        assert_eq!(split_spaces("  a b  c ", 1, true), ["  a b", "c"]);
        assert!(split_spaces("   ", 3, false).is_empty());
    }

    #[test]
    fn splits_lines_as_python_does() {
        assert_eq!(split_lines("a\nb\r\nc\n", false), ["a", "b", "c"]);
        assert_eq!(split_lines("a\n\nb", true), ["a\n", "\n", "b"]);
    }
}
