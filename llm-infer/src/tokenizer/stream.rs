//! From ids back to text, token by token.
//!
//! The decoders of the tokenizers in use turn each token into bytes on its own, but for a space at the very start, so a
//! stream needs no look back: bytes go in, whole characters come out. Other decoders, which no model for text in use has,
//! go through the library, all ids again for each one that comes.

use super::Tokenizer;
use serde_json::Value as Json;

/// How a tokenizer's decoder makes bytes of a token.
#[derive(Debug, PartialEq)]
pub(super) enum Decoding {
    /// GPT-2's alphabet of printable characters for bytes.
    ByteLevel,
    /// SentencePiece: replaced characters, `<0xNN>` bytes, and a space dropped at the start.
    Pieces { replace: Vec<(String, String)>, byte_fallback: bool, strip: usize, drop_in_first: Option<char> },
    /// Anything else: the library decodes.
    Library,
}

impl Decoding {
    /// Reads the `decoder` of a tokenizer.json.
    pub fn from_json(decoder: &Json) -> Self {
        let steps = match decoder["type"].as_str() {
            Some("Sequence") => decoder["decoders"].as_array().cloned().unwrap_or_default(),
            Some(_) => vec![decoder.clone()],
            None => return Self::Library,
        };
        if let [only] = steps.as_slice() {
            match only["type"].as_str() {
                Some("ByteLevel") => return Self::ByteLevel,
                Some("Metaspace") => return Self::metaspace(only),
                _ => {}
            }
        }
        Self::pieces(&steps).unwrap_or(Self::Library)
    }

    fn metaspace(step: &Json) -> Self {
        let mark = step["replacement"].as_str().unwrap_or("▁").to_owned();
        let drops = step["prepend_scheme"].as_str() != Some("never");
        let drop_in_first = mark.chars().next().filter(|_| drops);
        Self::Pieces { replace: vec![(mark, " ".into())], byte_fallback: false, strip: 0, drop_in_first }
    }

    fn pieces(steps: &[Json]) -> Option<Self> {
        let (mut replace, mut byte_fallback, mut fused, mut strip) = (Vec::new(), false, false, 0);
        for step in steps {
            match step["type"].as_str()? {
                "Replace" if !byte_fallback && !fused => {
                    replace.push((step["pattern"]["String"].as_str()?.to_owned(), step["content"].as_str()?.to_owned()));
                }
                "ByteFallback" if !fused => byte_fallback = true,
                "Fuse" => fused = true,
                "Strip" if fused && step["content"] == " " && step["stop"] == 0 => strip += step["start"].as_u64()? as usize,
                _ => return None,
            }
        }
        fused.then_some(Self::Pieces { replace, byte_fallback, strip, drop_in_first: None })
    }

    /// Appends the bytes of a token; `first` for the first one of a text.
    pub fn write(&self, token: &str, first: bool, out: &mut Vec<u8>) {
        match self {
            Self::ByteLevel => match token.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
                Some(bytes) => out.extend(bytes),
                None => out.extend(token.as_bytes()),
            },
            Self::Pieces { byte_fallback: true, .. } if fallback_byte(token).is_some() => out.extend(fallback_byte(token)),
            Self::Pieces { replace, drop_in_first, .. } => {
                let mut text = token.to_owned();
                if let (true, Some(mark)) = (first, drop_in_first) {
                    text = text.replace(*mark, "");
                }
                for (from, to) in replace {
                    text = text.replace(from, to);
                }
                out.extend(text.as_bytes());
            }
            Self::Library => out.extend(token.as_bytes()),
        }
    }
}

/// The byte of a token `<0xNN>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
}

/// The byte that a character of GPT-2's alphabet stands for: printable Latin-1 for itself, from U+0100 on for the others.
fn byte_of(c: char) -> Option<u8> {
    let shifted = match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => code,
        code @ 0x100..=0x120 => code - 0x100,
        code @ 0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(shifted).ok()
}

/// Turns generated ids into text as they come, never showing half a character.
///
/// The texts of all [`push`](Self::push) and of [`flush`](Self::flush) together equal [`Tokenizer::decode`] of all ids.
#[derive(Debug, Clone)]
pub struct StreamingDecoder {
    tokenizer: Tokenizer,
    skip_special: bool,
    started: bool,
    strip: usize,
    pending: Vec<u8>,
    /// All ids, and the text of them that was handed on, where the library decodes.
    ids: Vec<u32>,
    shown: String,
}

impl StreamingDecoder {
    pub(super) fn new(tokenizer: Tokenizer, skip_special: bool) -> Self {
        let strip = match tokenizer.decoding() {
            Decoding::Pieces { strip, .. } => *strip,
            _ => 0,
        };
        Self { tokenizer, skip_special, started: false, strip, pending: Vec::new(), ids: Vec::new(), shown: String::new() }
    }

    /// The text that `id` completes, if any.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.skip_special && self.tokenizer.is_special(id) {
            return None;
        }
        let text = match self.tokenizer.decoding() {
            Decoding::Library => {
                self.ids.push(id);
                // A cut character may become another one, and so may bytes before one that is wrong.
                let byte = self.tokenizer.token(id).is_some_and(|token| fallback_byte(&token).is_some());
                let text = self.unshown().filter(|text| !byte && !text.ends_with('\u{fffd}')).unwrap_or_default();
                self.shown += &text;
                text
            }
            decoding => {
                decoding.write(&self.tokenizer.token(id)?, !self.started, &mut self.pending);
                self.started = true;
                self.strip_start();
                take_text(&mut self.pending)
            }
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// What is left at the end, a cut character as U+FFFD.
    pub fn flush(&mut self) -> String {
        let rest = self.unshown().unwrap_or_default();
        self.ids.clear();
        self.shown.clear();
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned() + &rest
    }

    fn strip_start(&mut self) {
        while self.strip > 0 && !self.pending.is_empty() {
            if self.pending[0] == b' ' {
                self.pending.remove(0);
                self.strip -= 1;
            } else {
                self.strip = 0;
            }
        }
    }

    /// What the library makes of all ids behind what was handed on; `None` where that has changed meanwhile.
    fn unshown(&self) -> Option<String> {
        let text = self.tokenizer.library_decode(&self.ids, false);
        text.strip_prefix(&self.shown).map(str::to_owned)
    }
}

/// Takes the whole characters from the front of `bytes`; what can never become one is U+FFFD, as in
/// [`String::from_utf8_lossy`].
fn take_text(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut done = 0;
    while done < bytes.len() {
        match std::str::from_utf8(&bytes[done..]) {
            Ok(valid) => {
                text.push_str(valid);
                done = bytes.len();
            }
            Err(error) => {
                text.push_str(&String::from_utf8_lossy(&bytes[done..done + error.valid_up_to()]));
                done += error.valid_up_to();
                let Some(invalid) = error.error_len() else { break };
                text.push('\u{fffd}');
                done += invalid;
            }
        }
    }
    bytes.drain(..done);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_byte_has_a_character() {
        let mut bytes: Vec<u8> = (0..=0x143).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
    }

    #[test]
    fn decoders_are_recognized() {
        assert_eq!(Decoding::from_json(&json!({"type": "ByteLevel"})), Decoding::ByteLevel);
        assert_eq!(Decoding::from_json(&json!({"type": "WordPiece"})), Decoding::Library);
        assert_eq!(Decoding::from_json(&Json::Null), Decoding::Library);
    }
}
