//! Strings that know which of their bytes came from the user.
//!
//! Every operation of a template (trim, split, slice, replace, join, ...) is built from slices of its inputs, so the
//! origin of each character survives whatever the template does with it, and tests on the content see the plain text.

use std::ops::Range;

/// A string and the byte ranges of it that the user supplied, in order, without overlaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text {
    text: String,
    user: Vec<Range<usize>>,
}

impl Text {
    /// Text that the template (or the program) made.
    pub fn template(text: impl Into<String>) -> Self {
        Self { text: text.into(), user: Vec::new() }
    }

    /// Text that the user supplied.
    pub fn user(text: impl Into<String>) -> Self {
        let text = text.into();
        let all = 0..text.len();
        Self { user: if text.is_empty() { Vec::new() } else { vec![all] }, text }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub fn into_parts(self) -> (String, Vec<Range<usize>>) {
        (self.text, self.user)
    }

    /// Whether the byte at `at` came from the user.
    pub fn is_user(&self, at: usize) -> bool {
        let next = self.user.partition_point(|range| range.end <= at);
        self.user.get(next).is_some_and(|range| range.start <= at)
    }

    pub fn push_str(&mut self, text: &str, user: bool) {
        if user && !text.is_empty() {
            self.mark(self.text.len()..self.text.len() + text.len());
        }
        self.text.push_str(text);
    }

    pub fn push_char(&mut self, c: char, user: bool) {
        self.push_str(c.encode_utf8(&mut [0; 4]), user);
    }

    pub fn push(&mut self, other: &Self) {
        self.push_slice(other, 0..other.len());
    }

    /// Appends the bytes `range` of `other`, which must lie on character boundaries.
    pub fn push_slice(&mut self, other: &Self, range: Range<usize>) {
        let base = self.text.len();
        let first = other.user.partition_point(|user| user.end <= range.start);
        for user in other.user[first..].iter().take_while(|user| user.start < range.end) {
            let (start, end) = (user.start.max(range.start), user.end.min(range.end));
            self.mark(base + start - range.start..base + end - range.start);
        }
        self.text.push_str(&other.text[range]);
    }

    pub fn slice(&self, range: Range<usize>) -> Self {
        let mut out = Self::default();
        out.push_slice(self, range);
        out
    }

    /// The part of this text that `part`, a subslice of `self.as_str()`, names.
    pub fn part(&self, part: &str) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.len());
        self.slice(start..(start + part.len()).min(self.len()))
    }

    /// Each character replaced by what `map` makes of it; the origin stays.
    pub fn map_chars<I: IntoIterator<Item = char>>(&self, mut map: impl FnMut(char) -> I) -> Self {
        let mut out = Self::default();
        for (at, c) in self.text.char_indices() {
            let user = self.is_user(at);
            for c in map(c) {
                out.push_char(c, user);
            }
        }
        out
    }

    pub fn repeat(&self, times: usize) -> Self {
        let mut out = Self::default();
        (0..times).for_each(|_| out.push(self));
        out
    }

    /// Every occurrence of `old` (or the first `limit`) replaced by `new`; an empty `old` matches between characters.
    pub fn replace(&self, old: &str, new: &Self, limit: usize) -> Self {
        let mut out = Self::default();
        let mut from = 0;
        for (at, found) in self.text.match_indices(old).take(limit) {
            out.push_slice(self, from..at);
            out.push(new);
            from = at + found.len();
        }
        out.push_slice(self, from..self.len());
        out
    }

    pub fn join<'a>(&self, items: impl Iterator<Item = &'a Self>) -> Self {
        let mut out = Self::default();
        for (i, item) in items.enumerate() {
            if i > 0 {
                out.push(self);
            }
            out.push(item);
        }
        out
    }

    fn mark(&mut self, range: Range<usize>) {
        match self.user.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.user.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Text {
        let mut text = Text::template("ab");
        text.push(&Text::user("cd"));
        text.push_str("ef", false);
        text
    }

    #[test]
    fn slices_keep_the_origin() {
        assert_eq!(sample().slice(1..5).into_parts(), ("bcde".into(), vec![1..3]));
        assert_eq!(sample().slice(2..4).into_parts(), ("cd".into(), vec![0..2]));
        assert!(sample().slice(4..6).into_parts().1.is_empty());
    }

    #[test]
    fn replacing_keeps_the_origin_of_both_sides() {
        let out = sample().replace("cd", &Text::template("X"), usize::MAX);
        assert_eq!(out.into_parts(), ("abXef".into(), vec![]));
        let out = Text::template("a-b").replace("-", &Text::user("+"), usize::MAX);
        assert_eq!(out.into_parts(), ("a+b".into(), vec![1..2]));
    }
}
