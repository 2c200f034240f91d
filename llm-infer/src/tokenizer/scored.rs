//! SentencePiece's BPE, whose merges are not listed: neighbours become the token of the best score, the leftmost first.
//!
//! The library's BPE gives every pair a rank of its own, so that two ways to make the same token are never equally good; where they
//! meet, as in a run of one letter, it cuts elsewhere. This is exact.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::path::Path;

use tokenizers::Token;

use super::vocabulary::TokenKind;
use crate::{Error, Result};

/// Tokens by their text.
#[derive(Debug)]
pub(super) struct ScoredPieces {
    pieces: HashMap<String, (u32, f32)>,
    /// The token of each byte.
    bytes: Vec<Option<u32>>,
    unknown: Option<u32>,
}

/// A part of the text that is a token so far; parts that were merged into their left neighbour are empty.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: usize,
    next: usize,
}

/// No neighbour.
const NONE: usize = usize::MAX;

/// Two neighbours that are a token together.
#[derive(PartialEq)]
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    bytes: usize,
}

impl Eq for Pair {}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Refuses scores that are no numbers, or not as many as there are tokens.
pub(super) fn check(path: &Path, scores: &[f32], tokens: usize) -> Result<()> {
    if scores.len() != tokens {
        return Err(Error::invalid(path, "scores", format!("{} scores", scores.len()), format!("{tokens}, one for each token")));
    }
    match scores.iter().position(|score| !score.is_finite()) {
        Some(id) => Err(Error::invalid(path, format!("score of token {id}"), scores[id], "a finite number")),
        None => Ok(()),
    }
}

impl ScoredPieces {
    /// The tokens `ids` with their kinds and scores, by id.
    pub fn new<'a>(
        path: &Path,
        ids: impl Iterator<Item = (&'a String, u32)>,
        kinds: &[TokenKind],
        scores: &[f32],
        unknown: Option<u32>,
    ) -> Result<Self> {
        check(path, scores, kinds.len())?;
        let (mut pieces, mut bytes) = (HashMap::with_capacity(kinds.len()), vec![None; 256]);
        for (token, id) in ids {
            match kinds[id as usize] {
                TokenKind::Normal | TokenKind::UserDefined => {
                    // 0 and −0 are equal.
                    pieces.insert(token.clone(), (id, scores[id as usize] + 0.0));
                }
                TokenKind::Byte => {
                    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                    if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                        bytes[usize::from(byte)] = Some(id);
                    }
                }
                TokenKind::Control | TokenKind::Unknown | TokenKind::Unused => {}
            }
        }
        Ok(Self { pieces, bytes, unknown })
    }

    /// The tokens of `text`; characters that have none become their bytes, or the unknown token.
    pub fn tokenize(&self, text: &str) -> tokenizers::Result<Vec<Token>> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (start, c))| Symbol { start, end: start + c.len_utf8(), previous: index.wrapping_sub(1), next: index + 1 })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let mut pairs = BinaryHeap::new();
        for left in 0..symbols.len().saturating_sub(1) {
            pairs.extend(self.pair(text, &symbols, left, left + 1));
        }
        while let Some(Pair { left, right, bytes, .. }) = pairs.pop() {
            let (first, second) = (symbols[left], symbols[right]);
            // One of the two was merged with another meanwhile.
            if first.end == first.start || second.end == second.start || second.end - first.start != bytes {
                continue;
            }
            symbols[left] = Symbol { end: second.end, next: second.next, ..first };
            symbols[right].end = second.start;
            if second.next != NONE {
                symbols[second.next].previous = left;
                pairs.extend(self.pair(text, &symbols, left, second.next));
            }
            if first.previous != NONE {
                pairs.extend(self.pair(text, &symbols, first.previous, left));
            }
        }
        let mut tokens = Vec::new();
        for symbol in symbols.iter().filter(|symbol| symbol.end > symbol.start) {
            self.push(&text[symbol.start..symbol.end], symbol.start, &mut tokens)?;
        }
        Ok(tokens)
    }

    fn pair(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Pair> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let (_, score) = self.pieces.get(&text[start..end])?;
        Some(Pair { score: *score, left, right, bytes: end - start })
    }

    fn push(&self, piece: &str, start: usize, tokens: &mut Vec<Token>) -> tokenizers::Result<()> {
        let offsets = (start, start + piece.len());
        if let Some((id, _)) = self.pieces.get(piece) {
            tokens.push(Token::new(*id, piece.to_owned(), offsets));
            return Ok(());
        }
        let bytes: Option<Vec<u32>> = piece.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
        match (bytes, self.unknown) {
            (Some(ids), _) => {
                tokens.extend(ids.into_iter().zip(piece.bytes()).map(|(id, byte)| Token::new(id, format!("<0x{byte:02X}>"), offsets)));
            }
            (None, Some(id)) => tokens.push(Token::new(id, piece.to_owned(), offsets)),
            (None, None) => return Err(format!("`{piece}` has no token").into()),
        }
        Ok(())
    }

    /// The merges by which the library's BPE comes nearest, best first: every cut of a token into two others.
    pub fn merges(&self) -> Vec<(String, String)> {
        let mut all: Vec<(&String, u32, f32)> = self.pieces.iter().map(|(piece, (id, score))| (piece, *id, *score)).collect();
        all.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
        let mut merges = Vec::new();
        for (piece, ..) in all {
            let cuts = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
            let known = cuts.filter_map(|(left, right)| Some(((self.pieces.get(left)?.0, self.pieces.get(right)?.0), (left, right))));
            let mut known: Vec<_> = known.collect();
            known.sort_unstable();
            merges.extend(known.into_iter().map(|(_, (left, right))| (left.to_owned(), right.to_owned())));
        }
        merges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(list: &[(&str, f32)]) -> ScoredPieces {
        let tokens: Vec<String> = list.iter().map(|(token, _)| (*token).to_owned()).collect();
        let kinds: Vec<_> = tokens.iter().map(|token| if token.starts_with("<0x") { TokenKind::Byte } else { TokenKind::Normal }).collect();
        let scores: Vec<f32> = list.iter().map(|(_, score)| *score).collect();
        ScoredPieces::new(Path::new("m"), tokens.iter().zip(0..), &kinds, &scores, None).unwrap()
    }

    fn ids(pieces: &ScoredPieces, text: &str) -> Vec<u32> {
        pieces.tokenize(text).unwrap().iter().map(|token| token.id).collect()
    }

    #[test]
    fn the_best_score_goes_first_and_then_the_leftmost() {
        let pieces = pieces(&[("a", 0.0), ("b", 0.0), ("ab", -2.0), ("ba", -1.0), ("aba", -3.0), ("<0xC3>", 0.0), ("<0xA9>", 0.0)]);
        assert_eq!(ids(&pieces, "aba"), [4]);
        assert_eq!(ids(&pieces, "abab"), [4, 1]);
        assert_eq!(ids(&pieces, "bé"), [1, 5, 6]);
        assert!(pieces.tokenize("z").is_err());
        assert_eq!(pieces.merges()[0], ("b".to_owned(), "a".to_owned()));
    }

    #[test]
    fn runs_of_one_letter_are_cut_from_the_left() {
        let pieces = pieces(&[("a", 0.0), ("aa", -1.0), ("aaa", -2.0)]);
        assert_eq!(ids(&pieces, "aaaaa"), [1, 2]);
        assert_eq!(ids(&pieces, ""), [0; 0]);
        assert_eq!(ids(&pieces, &"a".repeat(1 << 20)), vec![1; 1 << 19]);
    }
}
