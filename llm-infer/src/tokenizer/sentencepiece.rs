//! SentencePiece's `tokenizer.model`, which folders without a tokenizer.json have: a list of pieces with scores.
//!
//! Format: the protocol buffer `ModelProto` of sentencepiece_model.proto, of which the fields that change ids are read; numbers in
//! brackets are theirs.

use std::path::Path;

use super::vocabulary::{Segmentation, TokenKind, Vocabulary};
use crate::{Error, Result};

/// The most pieces; the largest known model has some 260,000.
const MAX_PIECES: usize = 1 << 21;

/// One field of a message.
enum Field<'a> {
    Number(u64),
    Float(f32),
    Bytes(&'a [u8]),
}

/// The vocabulary in the bytes of the file `path`.
///
/// # Errors
/// A file that is cut off or no such model, and settings under which the ids would be others than ours.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Vocabulary> {
    let damaged = || {
        Error::invalid(path, "model", "no message of SentencePiece", "a model that SentencePiece wrote")
            .with_hint("a vocabulary of tiktoken is not read: use the tokenizer.json of the model")
    };
    let refused = |field: &str, got: String, expected: &str| Error::invalid(path, field, got, expected);
    let (mut tokens, mut kinds, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let (mut trainer, mut normalizer): (&[u8], &[u8]) = (&[], &[]);
    for field in fields(bytes) {
        match field.ok_or_else(damaged)? {
            (1, Field::Bytes(piece)) if tokens.len() < MAX_PIECES => {
                let (token, score, kind) = piece_of(piece).ok_or_else(damaged)?;
                tokens.push(token);
                scores.push(score);
                kinds.push(kind);
            }
            (2, Field::Bytes(message)) => trainer = message,
            (3, Field::Bytes(message)) => normalizer = message,
            _ => {}
        }
    }
    if tokens.is_empty() {
        return Err(damaged());
    }
    let number = |message, wanted: u64, usual: u64| number(message, wanted, usual).ok_or_else(damaged);
    let truth = |wanted: u64| Ok::<_, Error>(number(normalizer, wanted, 1)? != 0);
    let (space_prefix, collapse_spaces, escape) = (truth(3)?, truth(4)?, truth(5)?);
    let charsmap = fields(normalizer).flatten().find_map(|field| match field {
        (2, Field::Bytes(map)) if !map.is_empty() => Some(map.to_vec()),
        _ => None,
    });
    if !escape {
        return Err(refused("escape_whitespaces", "false".to_owned(), "true"));
    }
    if number(trainer, 24, 0)? != 0 {
        return Err(refused("treat_whitespace_as_suffix", "true".to_owned(), "false"));
    }
    let segmentation = match number(trainer, 3, 1)? {
        1 => Segmentation::Unigram { scores, charsmap, collapse_spaces },
        2 if charsmap.is_some() => {
            return Err(refused("precompiled_charsmap", "replacements with BPE".to_owned(), "none, as models in use have"));
        }
        2 if collapse_spaces => {
            return Err(refused("remove_extra_whitespaces", "true with BPE".to_owned(), "false, as models in use have"));
        }
        2 => Segmentation::Scores(scores),
        other => return Err(refused("model_type", other.to_string(), "1 (unigram) or 2 (BPE)")),
    };
    // An id that is absent is −1.
    let id = |field: u64, usual: u64| Ok::<_, Error>(u32::try_from(number(trainer, field, usual)? as i64 as i32).ok());
    let vocabulary = Vocabulary {
        path: path.to_owned(),
        kinds,
        space_prefix: Some(space_prefix),
        add_bos: None,
        add_eos: None,
        unknown: id(40, 0)?,
        bos: id(41, 1)?,
        eos: id(42, 2)?,
        padding: id(43, u64::MAX)?,
        segmentation,
        tokens,
        json: None,
    };
    Ok(vocabulary)
}

/// Text, score and kind of a piece; `None` where it is damaged.
fn piece_of(message: &[u8]) -> Option<(String, f32, TokenKind)> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0, TokenKind::Normal);
    for field in fields(message) {
        match field? {
            (1, Field::Bytes(bytes)) => text = std::str::from_utf8(bytes).ok()?.to_owned(),
            (2, Field::Float(number)) => score = number,
            (3, Field::Number(number)) => {
                kind = match number {
                    2 => TokenKind::Unknown,
                    3 => TokenKind::Control,
                    4 => TokenKind::UserDefined,
                    6 => TokenKind::Byte,
                    _ => TokenKind::Normal,
                }
            }
            _ => {}
        }
    }
    Some((text, score, kind))
}

/// The number in the field `wanted`, `usual` where there is none; `None` where the message is damaged.
fn number(message: &[u8], wanted: u64, usual: u64) -> Option<u64> {
    let mut found = usual;
    for field in fields(message) {
        if let (number, Field::Number(value)) = field?
            && number == wanted
        {
            found = value;
        }
    }
    Some(found)
}

/// The fields of a message with their numbers; a `None` ends one that is damaged.
fn fields(message: &[u8]) -> impl Iterator<Item = Option<(u64, Field<'_>)>> {
    let mut rest = Some(message);
    std::iter::from_fn(move || {
        let mut bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        let field = field(&mut bytes);
        rest = field.is_some().then_some(bytes);
        Some(field)
    })
}

/// Takes the first field off `bytes`.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = varint(bytes)?;
    let field = match tag & 7 {
        0 => Field::Number(varint(bytes)?),
        1 => Field::Bytes(take(bytes, 8)?),
        2 => {
            let length = varint(bytes)?;
            Field::Bytes(take(bytes, length)?)
        }
        5 => Field::Float(f32::from_le_bytes(take(bytes, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((tag >> 3, field))
}

fn take<'a>(bytes: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken)
}

/// Takes a number of seven bits a byte, the lowest first, off `bytes`.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::Value as Json;

    use super::super::Tokenizer;
    use super::*;

    fn fixtures() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/sentencepiece")
    }

    fn open(path: &Path) -> Tokenizer {
        read(path, &std::fs::read(path).unwrap()).unwrap().tokenizer().unwrap()
    }

    fn ids(json: &Json) -> Vec<u32> {
        json.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    }

    #[test]
    fn ids_and_texts_are_those_of_sentencepiece() {
        let expected: Json = serde_json::from_str(&std::fs::read_to_string(fixtures().join("encodings.json")).unwrap()).unwrap();
        let mut wrong = Vec::new();
        for (name, cases) in expected.as_object().unwrap() {
            let tokenizer = open(&fixtures().join(name));
            for case in cases.as_array().unwrap() {
                let (text, want) = (case["text"].as_str().unwrap(), ids(&case["ids"]));
                let got = tokenizer.encode(text, false).unwrap();
                if got != want {
                    wrong.push(format!("{name} {text:?}: {got:?}, expected {want:?}"));
                }
                let decoded = tokenizer.decode(&want, false);
                if decoded != case["decoded"].as_str().unwrap() {
                    wrong.push(format!("{name} {want:?}: {decoded:?}, expected {}", case["decoded"]));
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn llama2_prompts_have_their_ids() {
        let data = std::env::var_os("LLM_TEST_DATA")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
        let Ok(golden) = std::fs::read_to_string(data.join("golden/llama2_prompt_encodings.json")) else {
            println!("skipped: golden/llama2_prompt_encodings.json is not there (set LLM_TEST_DATA)");
            return;
        };
        let golden: Json = serde_json::from_str(&golden).unwrap();
        let tokenizer = open(&data.join("tokenizers/llama2/tokenizer.model"));
        for case in golden["cases"].as_array().unwrap() {
            assert_eq!(tokenizer.encode(case["text"].as_str().unwrap(), true).unwrap(), ids(&case["ids"]), "{}", case["text"]);
        }
    }

    #[test]
    fn damaged_models_are_refused() {
        for name in ["bpe.model", "unigram.model"] {
            let good = std::fs::read(fixtures().join(name)).unwrap();
            for length in 0..good.len().min(3000) {
                if let Ok(vocabulary) = read(Path::new("m"), &good[..length]) {
                    drop(vocabulary.tokenizer());
                }
            }
            for at in 0..good.len().min(1500) {
                for flip in [1, 0x80, 0xff] {
                    let mut bad = good.clone();
                    let place = if at % 2 == 0 { at } else { good.len() - at };
                    bad[place] ^= flip;
                    if let Ok(vocabulary) = read(Path::new("m"), &bad) {
                        drop(vocabulary.tokenizer());
                    }
                }
            }
        }
        let error = read(Path::new("m"), b"IQ== 0\nIg== 1\n").unwrap_err();
        assert!(error.hint().unwrap().contains("tiktoken"), "{error}");
        assert!(read(Path::new("m"), &[]).is_err());
    }
}
