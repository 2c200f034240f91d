//! What the files of a tokenizer may hold: they come from strangers, like the weights.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;
use tokenizers::NormalizerWrapper;

use super::charsmap;
use crate::chat::token_content;
use crate::checkpoint::json::kind_of;
use crate::{Error, Result};

/// The largest `tokenizer.json` that is read; the largest known has 33 MB.
pub const MAX_FILE: u64 = 256 << 20;

/// How many times longer a normalizer may make a text; a space that becomes three bytes is the most that known ones do.
const MAX_GROWTH: f64 = 64.0;

/// Refuses a normalizer that multiplies the length of a text.
pub fn check_growth(path: &Path, normalizer: Option<&NormalizerWrapper>) -> Result<()> {
    let json = normalizer.and_then(|normalizer| serde_json::to_value(normalizer).ok()).unwrap_or(Json::Null);
    let growth = growth(&json);
    if growth <= MAX_GROWTH {
        return Ok(());
    }
    let got = format!("replacements that make a text up to {growth:.0} times longer");
    Err(Error::invalid(path, "normalizer", got, format!("at most {MAX_GROWTH} times")))
}

/// The parts of a tokenizer.json on which the library panics where they are damaged.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    decoder: Json,
}

/// Refuses what is no JSON, decoders that are no objects, and tables of replaced characters that lead outside.
pub fn check_parts(path: &Path, json: &[u8]) -> Result<()> {
    let parts: Parts = serde_json::from_slice(json).map_err(|error| {
        Error::invalid(path, "tokenizer", error, "JSON of a tokenizer").with_hint("the file may be cut off or edited: download it again")
    })?;
    if let Some(bad) = all_of(&parts.decoder, "decoders").into_iter().find(|part| !part.is_object() && !part.is_null()) {
        return Err(Error::invalid(path, "decoder", kind_of(bad), "an object with `type`"));
    }
    for part in all_of(&parts.normalizer, "normalizers") {
        let table = part["precompiled_charsmap"].as_str().and_then(charsmap::from_base64);
        if part["type"] == "Precompiled" && !table.is_some_and(|table| charsmap::is_sound(&table)) {
            return Err(Error::invalid(path, "precompiled_charsmap", "what leads outside", "a table of replaced characters in base64"));
        }
    }
    Ok(())
}

/// The steps of a part: itself, or those of a sequence under `key`, however nested.
fn all_of<'a>(part: &'a Json, key: &str) -> Vec<&'a Json> {
    match part.get(key).and_then(Json::as_array) {
        Some(steps) => steps.iter().flat_map(|step| all_of(step, key)).collect(),
        None => vec![part],
    }
}

/// An upper bound of length out / length in of a serialized normalizer.
fn growth(normalizer: &Json) -> f64 {
    let length = |value: &Json| value.as_str().map_or(0, str::len) as f64;
    match normalizer["type"].as_str() {
        Some("Sequence") => normalizer["normalizers"].as_array().into_iter().flatten().map(growth).product(),
        Some("Replace") => (length(&normalizer["content"]) / length(&normalizer["pattern"]["String"]).max(1.0)).max(1.0),
        Some("Prepend") => 1.0 + length(&normalizer["prepend"]),
        _ => 1.0,
    }
}

/// Refuses special tokens in `config` (a `tokenizer_config.json` or its like) that are no tokens, rather than to do without them.
pub fn check_special_tokens(path: &Path, config: &Json) -> Result<()> {
    for key in ["bos_token", "eos_token", "pad_token", "unk_token"] {
        match config.get(key) {
            Some(value) if !value.is_null() && token_content(value).is_none() => {
                return Err(Error::invalid(path, key, kind_of(value), "a string, an object with `content`, or null"));
            }
            _ => {}
        }
    }
    match config.get("added_tokens_decoder") {
        Some(value) if !value.is_null() && !value.is_object() => {
            Err(Error::invalid(path, "added_tokens_decoder", kind_of(value), "an object of tokens by id"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn growth_multiplies_over_a_sequence() {
        let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        assert_eq!(growth(&json!({"type": "Sequence", "normalizers": [space, prepend]})), 12.0);
        let bomb = json!({"type": "Replace", "pattern": {"Regex": "a"}, "content": "a".repeat(1000)});
        assert_eq!(growth(&json!({"type": "Sequence", "normalizers": [bomb, bomb, bomb]})), 1e9);
        assert_eq!(growth(&Json::Null), 1.0);
    }

    #[test]
    fn parts_on_which_the_library_panics_are_refused() {
        let check = |json: Json| check_parts(Path::new("tokenizer.json"), json.to_string().as_bytes());
        assert!(check(json!({"decoder": {"type": "ByteLevel"}, "normalizer": null})).is_ok());
        assert!(check(json!({"decoder": 5})).is_err());
        assert!(check_parts(Path::new("tokenizer.json"), b"{\"decoder\": {5: 1}}").is_err());
        assert!(check(json!({"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, "x"]}})).is_err());
        let table = json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"});
        assert!(check(json!({"normalizer": table})).is_err());
        let nested = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Sequence", "normalizers": [table]}]});
        assert!(check(json!({"normalizer": nested})).is_err());
    }

    #[test]
    fn special_tokens_are_tokens() {
        let refused = |config: Json| check_special_tokens(Path::new("tokenizer_config.json"), &config).unwrap_err().to_string();
        assert!(check_special_tokens(Path::new("x"), &json!({"bos_token": null, "eos_token": {"content": "</s>"}})).is_ok());
        let expected = "tokenizer_config.json: bos_token: got a number, expected a string, an object with `content`, or null";
        assert_eq!(refused(json!({"bos_token": 5})), expected);
        assert!(refused(json!({"added_tokens_decoder": []})).contains("an array"));
    }
}
