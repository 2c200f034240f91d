//! Stop strings in streamed text.
//!
//! Each stop string runs its own Knuth-Morris-Pratt automaton over the bytes, so a stop string may span tokens and pushes and
//! every byte is looked at once. Matches begin and end at character borders because UTF-8 synchronizes itself.

use crate::{Error, Result};

/// What became of a pushed piece of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopState {
    /// Text that is certainly before any stop string, in order.
    pub emit: String,
    /// Whether a stop string was found; nothing comes after it.
    pub stopped: bool,
}

/// Finds the first of some stop strings in a stream, and holds back what may be the beginning of one.
///
/// The match that is complete first wins, and of those that are complete at the same place the longest: the result does not
/// depend on how the text is cut into pushes. The stop string itself is never emitted.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    patterns: Vec<Pattern>,
    text: String,
    emitted: usize,
    stopped: bool,
}

impl StopStrings {
    /// A matcher for `stops`; with none, all text passes at once.
    ///
    /// # Errors
    /// [`Error::Request`] for an empty stop string.
    pub fn new(stops: &[String]) -> Result<Self> {
        if stops.iter().any(String::is_empty) {
            return Err(Error::request("--stop", "an empty string", "at least one character"));
        }
        Ok(Self { patterns: stops.iter().map(|stop| Pattern::new(stop)).collect(), ..Self::default() })
    }

    /// Takes the next piece of text and returns what can be shown.
    pub fn push(&mut self, piece: &str) -> StopState {
        if self.stopped {
            return StopState { emit: String::new(), stopped: true };
        }
        let base = self.text.len();
        self.text.push_str(piece);
        for (offset, byte) in piece.bytes().enumerate() {
            let completed = self.patterns.iter_mut().filter_map(|pattern| pattern.advance(byte)).max();
            if let Some(length) = completed {
                self.stopped = true;
                return StopState { emit: self.take(base + offset + 1 - length), stopped: true };
            }
        }
        let held = self.patterns.iter().map(|pattern| pattern.matched).max().unwrap_or(0);
        StopState { emit: self.take(self.text.len() - held), stopped: false }
    }

    /// Ends the stream and returns what was held back; nothing after a stop string.
    pub fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        self.stopped = true;
        self.take(self.text.len())
    }

    /// The text from what was emitted last up to `end`.
    fn take(&mut self, end: usize) -> String {
        let emit = self.text[self.emitted..end].to_owned();
        self.emitted = end;
        // Only when most of the buffer is gone, so that moving the rest stays cheap however long it is.
        if self.emitted * 2 >= self.text.len() {
            self.text.drain(..self.emitted);
            self.emitted = 0;
        }
        emit
    }
}

/// One stop string and how much of it the text ends with.
#[derive(Debug, Clone)]
struct Pattern {
    bytes: Vec<u8>,
    /// `borders[i]`: the length of the longest proper prefix of `bytes[..=i]` that is also its suffix.
    borders: Vec<usize>,
    matched: usize,
}

impl Pattern {
    fn new(stop: &str) -> Self {
        let bytes = stop.as_bytes().to_vec();
        let mut borders = vec![0; bytes.len()];
        let mut border = 0;
        for index in 1..bytes.len() {
            border = extend(&bytes, &borders, border, bytes[index]);
            borders[index] = border;
        }
        Self { bytes, borders, matched: 0 }
    }

    /// Reads one byte; the length of the stop string once it is complete.
    fn advance(&mut self, byte: u8) -> Option<usize> {
        self.matched = extend(&self.bytes, &self.borders, self.matched, byte);
        (self.matched == self.bytes.len()).then_some(self.matched)
    }
}

/// The longest prefix of `bytes` that ends with `byte`, when the text before ended with the prefix of length `matched`.
fn extend(bytes: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && bytes[matched] != byte {
        matched = borders[matched - 1];
    }
    if bytes[matched] == byte { matched + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matcher(stops: &[&str]) -> StopStrings {
        StopStrings::new(&stops.iter().map(|stop| (*stop).to_owned()).collect::<Vec<_>>()).expect("stop strings")
    }

    fn run<'a>(stops: &[&str], pieces: impl IntoIterator<Item = &'a str>) -> (Vec<String>, bool) {
        let mut stop = matcher(stops);
        let mut stopped = false;
        let mut emitted: Vec<String> = Vec::new();
        for piece in pieces {
            let state = stop.push(piece);
            stopped = state.stopped;
            emitted.push(state.emit);
        }
        emitted.push(stop.finish());
        (emitted, stopped)
    }

    #[test]
    fn f78_a_stop_across_pushes_is_never_leaked() {
        let (emitted, stopped) = run(&["\nUser:"], ["Hi", "!\nU", "se", "r", ": more", "x"]);
        assert_eq!(emitted, ["Hi", "!", "", "", "", "", ""]);
        assert!(stopped);
    }

    #[test]
    fn a_beginning_that_comes_to_nothing_is_given_back() {
        assert_eq!(run(&["###"], ["a#", "#", "b##"]), (vec!["a".into(), String::new(), "##b".into(), "##".into()], false));
        assert_eq!(run(&["aab"], ["aaa", "ac"]).0, ["a", "aaac", ""]);
    }

    #[test]
    fn the_first_complete_match_wins_and_the_longest_of_those() {
        assert_eq!(run(&["abcd", "bc"], ["xabcd"]).0, ["xa", ""]);
        assert_eq!(run(&["bc", "abc"], ["xabcd"]).0, ["x", ""]);
        assert_eq!(run(&["stop", "o"], ["a stop"]).0, ["a st", ""]);
    }

    #[test]
    fn characters_of_several_bytes_stay_whole() {
        assert_eq!(run(&["é!"], ["caf", "é", "è", "é", "!"]).0, ["caf", "", "éè", "", "", ""]);
        assert_eq!(run(&["🙂🙃"], ["a🙂", "🙂", "🙃b"]), (vec!["a".into(), "🙂".into(), String::new(), String::new()], true));
    }

    #[test]
    fn without_stop_strings_all_passes() {
        assert_eq!(run(&[], ["a", "", "b"]), (vec!["a".into(), String::new(), "b".into(), String::new()], false));
    }

    #[test]
    fn f77_an_empty_stop_string_is_refused() {
        let error = StopStrings::new(&[String::new()]).expect_err("empty");
        assert_eq!(error.to_string(), "--stop: got an empty string, expected at least one character");
    }

    #[test]
    fn f77_a_long_stop_string_costs_linear_time() {
        let stop = format!("{}b", "a".repeat(1 << 20));
        let mut matcher = matcher(&[&stop]);
        let emitted: usize = (0..2 << 20).map(|_| matcher.push("a").emit.len()).sum();
        assert_eq!(emitted, 1 << 20);
        assert_eq!(matcher.finish().len(), 1 << 20);
    }

    /// What stands before the match that ends first, by trying every end.
    fn naive(stops: &[String], text: &str) -> (String, bool) {
        for end in 0..=text.len() {
            if let Some(length) = stops.iter().filter(|stop| text.as_bytes()[..end].ends_with(stop.as_bytes())).map(String::len).max() {
                return (text[..end - length].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    proptest! {
        #[test]
        fn equals_the_naive_search_however_the_text_is_cut(
            stops in prop::collection::vec("[abé]{1,5}", 0..4),
            pieces in prop::collection::vec("[abé]{0,4}", 0..20),
        ) {
            let mut stop = StopStrings::new(&stops).expect("stop strings");
            let (expected, stops_there) = naive(&stops, &pieces.concat());
            let mut emitted = String::new();
            for piece in &pieces {
                emitted.push_str(&stop.push(piece).emit);
                prop_assert!(expected.starts_with(&emitted));
            }
            prop_assert_eq!(stop.stopped, stops_there);
            emitted.push_str(&stop.finish());
            prop_assert_eq!(emitted, expected);
        }
    }
}
