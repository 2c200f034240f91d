//! A tokenizer as a list of tokens, as GGUF files have it: [`Vocabulary::tokenizer`] the other way.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::vocabulary::SPACE;
use super::{Segmentation, TokenKind, Tokenizer, Vocabulary, charsmap, pre};
use crate::{Error, Result};

/// The score of what is never chosen.
pub(crate) const UNUSED_SCORE: f32 = -10_000.0;

/// Texts by which two tokenizers are told apart: words, spaces, numbers, scripts, code, marks.
const PROBES: [&str; 12] = [
    "The quick brown fox jumps over the lazy dog.",
    "  two  spaces, and three   more\n\n\nlines\tand tabs \r\n end ",
    "It's we'll they're I'd HE'S don't 'quoted' \u{2019}s",
    "1 12 123 1234 12345678 3.14 1,000,000 7th x2y 2024-06-01",
    "Straße, naïve café, e\u{301}tude, Ελληνικά, Русский язык, ÅÄÖ",
    "日本語のテキスト、中文字符。한국어 텍스트 ไทย हिन्दी עברית العربية",
    "fn main() { let x: u32 = 0xff; println!(\"{}\", x + 1); } // ok",
    "🦀 🚀🚀 👩‍👩‍👧 \u{200b}\u{a0}",
    "<html><br/></html> [x] {y} ((z)) a_b c-d e/f g\\h i@j #k $l %m ^n &o *p",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbb        cccc",
    "MiXeD CaSe CamelCase snake_case SHOUTING",
    "",
];

impl Tokenizer {
    /// Its tokens, and how they are found in a text.
    ///
    /// Where the list does not say all of it, as cuttings into words have only the names that [`pre`] knows, [`Vocabulary::json`] does,
    /// and the name is that of the cutting that comes nearest.
    ///
    /// # Errors
    /// A kind of tokenizer that such a list cannot say.
    pub(crate) fn vocabulary(&self) -> Result<Vocabulary> {
        let json = self.to_json()?;
        let listed = Listed { tokenizer: self, json: &json };
        let steps = steps(&json["pre_tokenizer"], "pretokenizers");
        let byte_level = steps.iter().any(|step| step["type"] == "ByteLevel");
        let unigram = json["model"]["type"] == "Unigram";
        let scored = unigram || (json["model"]["byte_fallback"] == true && !byte_level);
        if !unigram && (json["model"]["type"] != "BPE" || !(byte_level || scored)) {
            let got = format!("a model of type {}", json["model"]["type"]);
            return Err(self.refused(got, "unigram, byte-level BPE, or BPE with bytes for what has no token"));
        }
        let (tokens, kinds) = listed.tokens(scored);
        let (segmentation, exact) = match (unigram, scored) {
            (true, _) => (listed.unigram(tokens.len(), &steps), true),
            (_, true) => (listed.scores(&tokens), true),
            _ => listed.byte_level(&steps)?,
        };
        let (begin, end) = self.around()?;
        let vocabulary = Vocabulary {
            path: self.shared.path.clone(),
            kinds,
            space_prefix: Some(if scored {
                listed.begins_with_space(&steps)
            } else {
                steps.iter().any(|step| step["add_prefix_space"] == true)
            }),
            add_bos: Some(begin.is_some()),
            add_eos: Some(end.is_some()),
            bos: begin.or(self.bos_id()),
            eos: end.or(self.eos_id()),
            unknown: listed.unknown(),
            padding: self.pad_id(),
            json: None,
            segmentation,
            tokens,
        };
        let same = exact && self.cuts_as(&vocabulary.tokenizer()?)?;
        Ok(Vocabulary { json: (!same).then(|| json.to_string()), ..vocabulary })
    }

    /// The ids that the post-processor puts before and behind a text.
    fn around(&self) -> Result<(Option<u32>, Option<u32>)> {
        let (with, without) = (self.encode("a", true)?, self.encode("a", false)?);
        let at = with.windows(without.len().max(1)).position(|part| part == without);
        let (before, behind) = at.map_or((&with[..], &[][..]), |at| (&with[..at], &with[at + without.len()..]));
        if before.len() > 1 || behind.len() > 1 {
            let got = format!("{} tokens before a text and {} behind it", before.len(), behind.len());
            return Err(self.refused(got, "at most one on either side"));
        }
        Ok((before.first().copied(), behind.first().copied()))
    }

    /// Whether both make the same of the probes.
    fn cuts_as(&self, other: &Self) -> Result<bool> {
        for probe in PROBES {
            if self.encode(probe, true)? != other.encode(probe, true)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn refused(&self, got: impl ToString, expected: &str) -> Error {
        Error::invalid(&self.shared.path, "tokenizer", got, expected).with_hint("a GGUF file cannot say how this tokenizer works")
    }
}

/// A tokenizer and the content of its tokenizer.json.
struct Listed<'a> {
    tokenizer: &'a Tokenizer,
    json: &'a Json,
}

impl Listed<'_> {
    /// Every token with what it is for, by id; places without one are filled.
    fn tokens(&self, scored: bool) -> (Vec<String>, Vec<TokenKind>) {
        let size = self.tokenizer.vocab_size();
        let mut tokens: Vec<String> = (0..size).map(|id| format!("[PAD{id}]")).collect();
        let mut kinds = vec![TokenKind::Unused; size];
        for (token, id) in self.tokenizer.shared.library.get_vocab(true) {
            let byte = scored && token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
            kinds[id as usize] = if byte { TokenKind::Byte } else { TokenKind::Normal };
            tokens[id as usize] = token;
        }
        for (id, token) in self.tokenizer.shared.library.get_added_tokens_decoder() {
            kinds[id as usize] = if token.special { TokenKind::Control } else { TokenKind::UserDefined };
        }
        if let Some(id) = self.unknown().filter(|_| scored) {
            kinds[id as usize] = TokenKind::Unknown;
        }
        (tokens, kinds)
    }

    /// The token for what has none.
    fn unknown(&self) -> Option<u32> {
        let named = self.tokenizer.named("unk_token").and_then(|token| self.tokenizer.id(token));
        named.or_else(|| self.json["model"]["unk_id"].as_u64()?.try_into().ok())
    }

    /// The merges, best first.
    fn merges(&self) -> Vec<(String, String)> {
        let merges = self.json["model"]["merges"].as_array();
        let pair = |merge: &Json| match merge {
            Json::String(text) => text.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())),
            other => Some((other[0].as_str()?.to_owned(), other[1].as_str()?.to_owned())),
        };
        merges.into_iter().flatten().filter_map(pair).collect()
    }

    /// Words are cut by these steps; the second is whether that has a name.
    fn byte_level(&self, steps: &[&Json]) -> Result<(Segmentation, bool)> {
        let merges = self.merges().into_iter().map(|(left, right)| format!("{left} {right}")).collect();
        let cuts: Vec<String> = steps.iter().filter_map(|step| cut(step)).collect();
        let normalizer = &self.json["normalizer"];
        let nfc = normalizer["type"] == "NFC";
        let whole_words = self.json["model"]["ignore_merges"] == true;
        let Some((name, exact)) = pre::name_of(&cuts, whole_words, nfc) else {
            return Err(self.tokenizer.refused(format!("words that are cut by {cuts:?}"), "a cutting that llama.cpp has a name for"));
        };
        Ok((Segmentation::ByteLevel { merges, pre: Some(name.to_owned()) }, exact && (nfc || normalizer.is_null())))
    }

    /// A token is the better the earlier a merge makes it.
    fn scores(&self, tokens: &[String]) -> Segmentation {
        let mut ranks: HashMap<String, usize> = HashMap::new();
        for (rank, (left, right)) in self.merges().into_iter().enumerate() {
            ranks.entry(left + &right).or_insert(rank);
        }
        let last = ranks.len();
        let score = |token: &String| -(ranks.get(token).copied().unwrap_or(last) as f32);
        Segmentation::Scores(tokens.iter().map(score).collect())
    }

    /// The scores of `count` tokens, those that are no pieces being never chosen, and what is done to a text before.
    fn unigram(&self, count: usize, steps: &[&Json]) -> Segmentation {
        let pieces = self.json["model"]["vocab"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut scores: Vec<f32> = pieces.iter().map(|piece| piece[1].as_f64().unwrap_or_default() as f32).collect();
        scores.resize(count, UNUSED_SCORE);
        let normalizers = self.steps_of("normalizer", "normalizers");
        let charsmap = normalizers.iter().find_map(|step| charsmap::from_base64(step["precompiled_charsmap"].as_str()?));
        let collapses = |step: &&Json| step["type"] == "Replace" && step["pattern"]["Regex"] == " {2,}";
        let splits = |step: &&Json| step["type"] == "WhitespaceSplit";
        let collapse_spaces = normalizers.iter().any(collapses) || steps.iter().any(splits);
        Segmentation::Unigram { scores, charsmap, collapse_spaces }
    }

    /// Whether a text gets a space before it.
    fn begins_with_space(&self, steps: &[&Json]) -> bool {
        let mark = SPACE.to_string();
        let prepends = |step: &&Json| step["type"] == "Prepend" && step["prepend"] == mark.as_str();
        let spaced = |step: &&Json| step["type"] == "Metaspace" && step["prepend_scheme"] != "never";
        self.steps_of("normalizer", "normalizers").iter().any(prepends) || steps.iter().any(spaced)
    }

    fn steps_of(&self, part: &str, list: &str) -> Vec<&Json> {
        steps(&self.json[part], list)
    }
}

/// A step, or the steps of a sequence.
fn steps<'a>(part: &'a Json, list: &str) -> Vec<&'a Json> {
    match part[list].as_array() {
        Some(steps) => steps.iter().flat_map(|step| self::steps(step, list)).collect(),
        None if part.is_null() => Vec::new(),
        None => vec![part],
    }
}

/// The expression by which a step cuts; `None` for one that does not.
fn cut(step: &Json) -> Option<String> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    match step["type"].as_str() {
        Some("ByteLevel") => (step["use_regex"] != false).then(|| pre::GPT2.to_owned()),
        Some("Digits") => Some(if step["individual_digits"] == true { r"\p{N}" } else { r"\p{N}+" }.to_owned()),
        Some("Split") if step["behavior"] == "Isolated" && step["invert"] != true => text(&step["pattern"]["Regex"]),
        // What is kept is what matches.
        Some("Split") if step["behavior"] == "Removed" && step["invert"] == true => text(&step["pattern"]["Regex"]),
        other => Some(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn a_list_is_the_tokenizer_it_was_made_of() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        for name in ["llama", "qwen3"] {
            let tokenizer = Tokenizer::open(&folder.join(name)).unwrap();
            let vocabulary = tokenizer.vocabulary().unwrap();
            assert_eq!((vocabulary.json.is_none(), vocabulary.tokens.len()), (true, tokenizer.vocab_size()), "{name}");
            let again = vocabulary.tokenizer().unwrap();
            assert_eq!(again.encode("Hello, world! 2024", true).unwrap(), tokenizer.encode("Hello, world! 2024", true).unwrap());
            assert_eq!((again.bos_id(), again.eos_id(), again.pad_id()), (tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()));
            assert!((0..4).all(|id| again.is_special(id) == tokenizer.is_special(id)));
        }
    }

    #[test]
    fn what_a_list_cannot_say_is_kept_beside_it() {
        let (_, tokenizer, _) = builtin::open().unwrap();
        let vocabulary = tokenizer.vocabulary().unwrap();
        let Segmentation::ByteLevel { pre, .. } = &vocabulary.segmentation else { panic!("bytes") };
        assert_eq!((pre.as_deref(), vocabulary.json.is_some()), (Some("gpt-2"), true));
        assert!(vocabulary.tokenizer().unwrap().cuts_as(&tokenizer).unwrap());
    }

    #[test]
    fn unigram_scores_come_back() {
        let tokens = ["<pad>", "</s>", "<unk>", "▁", "a", "b", "▁a", "ab", "▁ab"];
        let vocabulary = Vocabulary {
            path: "m".into(),
            tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
            kinds: tokens.iter().map(|token| kind(token)).collect(),
            segmentation: Segmentation::Unigram {
                scores: vec![0.0, 0.0, 0.0, -2.0, -3.0, -3.5, -2.5, -4.0, -5.75],
                charsmap: None,
                collapse_spaces: true,
            },
            space_prefix: Some(true),
            add_bos: Some(false),
            add_eos: Some(true),
            bos: None,
            eos: Some(1),
            unknown: Some(2),
            padding: Some(0),
            json: None,
        };
        let json = vocabulary.tokenizer().unwrap().to_json().unwrap().to_string();
        let config = vocabulary.config().unwrap().to_string();
        let tokenizer = Tokenizer::from_bytes(std::path::Path::new("m"), json.as_bytes(), Some(config.as_bytes())).unwrap();
        let again = tokenizer.vocabulary().unwrap();
        assert_eq!((&again.tokens, &again.kinds, &again.segmentation), (&vocabulary.tokens, &vocabulary.kinds, &vocabulary.segmentation));
        assert_eq!((again.json.is_none(), again.add_eos, again.unknown, again.padding), (true, Some(true), Some(2), Some(0)));
        assert_eq!(again.tokenizer().unwrap().encode("ab  a", true).unwrap(), [8, 6, 1]);
    }

    fn kind(token: &str) -> TokenKind {
        match token {
            "<unk>" => TokenKind::Unknown,
            "<pad>" | "</s>" => TokenKind::Control,
            _ => TokenKind::Normal,
        }
    }

    #[test]
    fn scores_order_tokens_as_merges_do() {
        let tokens = ["<unk>", "<s>", "</s>", "▁", "a", "b", "c", "ab", "bc", "▁a", "abc"];
        let mut all: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
        let mut kinds = vec![TokenKind::Normal; all.len()];
        kinds[..3].copy_from_slice(&[TokenKind::Unknown, TokenKind::Control, TokenKind::Control]);
        for byte in 0..=255 {
            all.push(format!("<0x{byte:02X}>"));
            kinds.push(TokenKind::Byte);
        }
        let mut scores = vec![0.0; all.len()];
        scores[7..11].copy_from_slice(&[-4.0, -2.0, -3.0, -1.0]);
        let vocabulary = Vocabulary {
            path: "m".into(),
            tokens: all,
            kinds,
            segmentation: Segmentation::Scores(scores),
            space_prefix: Some(true),
            add_bos: Some(true),
            add_eos: Some(false),
            bos: Some(1),
            eos: Some(2),
            unknown: Some(0),
            padding: None,
            json: None,
        };
        let json = vocabulary.tokenizer().unwrap().to_json().unwrap().to_string();
        let config = vocabulary.config().unwrap().to_string();
        let tokenizer = Tokenizer::from_bytes(std::path::Path::new("m"), json.as_bytes(), Some(config.as_bytes())).unwrap();
        let again = tokenizer.vocabulary().unwrap();
        assert_eq!((&again.tokens, &again.kinds, again.json.is_none()), (&vocabulary.tokens, &vocabulary.kinds, true));
        assert_eq!((again.space_prefix, again.add_bos, again.bos, again.unknown), (Some(true), Some(true), Some(1), Some(0)));
        for text in ["abc", "a abc cab", "zé"] {
            assert_eq!(again.tokenizer().unwrap().encode(text, true).unwrap(), vocabulary.tokenizer().unwrap().encode(text, true).unwrap());
        }
    }
}
