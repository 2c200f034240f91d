//! Finding the added tokens of a tokenizer in a text, except where the user wrote them.
//!
//! The rules are those of the `tokenizers` library (leftmost longest match, `lstrip`, `rstrip`, `single_word`, tokens that
//! match in the normalized text); added to them is who made the characters.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;
use tokenizers::utils::SysRegex;
use tokenizers::{AddedToken, NormalizedString, Normalizer, NormalizerWrapper};

/// The added tokens that match in the raw text, and those that match in the normalized one.
#[derive(Debug)]
pub(super) struct AddedTokens {
    pub raw: Matcher,
    pub normalized: Matcher,
}

/// A set of tokens, by first byte, the longest first.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    by_first: HashMap<u8, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    pattern: String,
    id: u32,
    ordinary: bool,
    token: AddedToken,
}

/// Whether an added token is ordinary text, such as a run of spaces or a word of some domain, rather than a mark that
/// steers the model.
pub(super) fn is_ordinary(token: &AddedToken) -> bool {
    !token.special && token.content.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || c == '▁')
}

impl AddedTokens {
    pub fn new(tokens: impl Iterator<Item = (u32, AddedToken)>, normalizer: Option<&NormalizerWrapper>) -> tokenizers::Result<Self> {
        let mut added = Self { raw: Matcher::default(), normalized: Matcher::default() };
        for (id, token) in tokens {
            let mut pattern = NormalizedString::from(token.content.as_str());
            if let (true, Some(normalizer)) = (token.normalized, normalizer) {
                normalizer.normalize(&mut pattern)?;
            }
            let matcher = if token.normalized { &mut added.normalized } else { &mut added.raw };
            matcher.insert(Entry { pattern: pattern.get().to_owned(), id, ordinary: is_ordinary(&token), token });
        }
        Ok(added)
    }
}

impl Matcher {
    fn insert(&mut self, entry: Entry) {
        let Some(first) = entry.pattern.bytes().next() else { return };
        let entries = self.by_first.entry(first).or_default();
        let at = entries.partition_point(|other| other.pattern.len() >= entry.pattern.len());
        entries.insert(at, entry);
    }

    /// Cuts `text` into ordinary parts (`None`) and added tokens; `from_user` tells whether any byte of a range came from
    /// the user, where no control token is found.
    pub fn split(&self, text: &str, from_user: impl Fn(Range<usize>) -> bool) -> Vec<(Option<u32>, Range<usize>)> {
        let mut parts = Vec::new();
        let (mut done, mut at) = (0, 0);
        while at < text.len() {
            let Some(entry) = self.longest_at(text, at, &from_user) else {
                at += 1;
                continue;
            };
            let (mut start, mut end) = (at, at + entry.pattern.len());
            at = end;
            if entry.token.single_word && (text[..start].ends_with(is_word) || text[end..].starts_with(is_word)) {
                continue;
            }
            if entry.token.lstrip {
                start = text[..start].trim_end().len().max(done);
            }
            if entry.token.rstrip {
                // The library goes on right after the token itself: spaces that are a token are that, too.
                end = text.len() - text[end..].trim_start().len();
            }
            if done < start {
                parts.push((None, done..start));
            }
            parts.push((Some(entry.id), start..end));
            done = end;
        }
        if done < text.len() || parts.is_empty() {
            parts.push((None, done..text.len()));
        }
        parts
    }

    fn longest_at(&self, text: &str, at: usize, from_user: &impl Fn(Range<usize>) -> bool) -> Option<&Entry> {
        let rest = &text.as_bytes()[at..];
        let fits =
            |entry: &&Entry| rest.starts_with(entry.pattern.as_bytes()) && (entry.ordinary || !from_user(at..at + entry.pattern.len()));
        self.by_first.get(rest.first()?)?.iter().find(fits)
    }
}

/// `\w` of the library's regular expressions, which has marks and joiners but no fractions.
fn is_word(c: char) -> bool {
    static WORD: OnceLock<Option<SysRegex>> = OnceLock::new();
    let word = WORD.get_or_init(|| SysRegex::new(r"\w").ok());
    word.as_ref().is_some_and(|word| word.find_iter(c.encode_utf8(&mut [0; 4])).next().is_some())
}
