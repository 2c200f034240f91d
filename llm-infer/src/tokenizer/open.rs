//! Tokenizers from the files of a model, and from lists of tokens.

use super::added::{self, AddedTokens};
use super::scored::ScoredPieces;
use super::stream::Decoding;
use super::{Shared, Tokenizer, limits, sentencepiece};
use crate::chat::token_content;
use crate::checkpoint::json;
use crate::{Error, Result};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokenizers::AddedToken;

impl Tokenizer {
    /// The tokenizer of a model folder: `tokenizer.json`, else SentencePiece's `tokenizer.model`, with the special tokens of
    /// `tokenizer_config.json` and `special_tokens_map.json` where they exist.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Invalid`] when a file is damaged.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let pieces = dir.join("tokenizer.model");
        let (has_json, has_pieces) = (path.symlink_metadata().is_ok(), pieces.symlink_metadata().is_ok());
        if !has_json && !has_pieces {
            return Err(Error::invalid(
                &path,
                "tokenizer",
                "no such file",
                "a Hugging Face tokenizer.json, or SentencePiece's tokenizer.model",
            )
            .with_hint("convert the tokenizer with transformers (`AutoTokenizer.from_pretrained(...).save_pretrained(...)`)"));
        }
        let configs = ["special_tokens_map.json", "tokenizer_config.json"].map(|name| dir.join(name));
        let mut config = serde_json::Map::new();
        for file in configs.iter().filter(|file| file.symlink_metadata().is_ok()) {
            let found = json::read_object(file)?;
            limits::check_special_tokens(file, &found)?;
            config.extend(found.as_object().cloned().unwrap_or_default().into_iter().filter(|(_, value)| !value.is_null()));
        }
        if has_json {
            return Self::build(&path, &json::read_bounded(&path, limits::MAX_FILE)?, &Json::Object(config));
        }
        let mut vocabulary = sentencepiece::read(&pieces, &json::read_bounded(&pieces, limits::MAX_FILE)?)?;
        for (key, add) in [("add_bos_token", &mut vocabulary.add_bos), ("add_eos_token", &mut vocabulary.add_eos)] {
            *add = config.get(key).and_then(Json::as_bool);
        }
        let mut own = vocabulary.config()?;
        if let Json::Object(own) = &mut own {
            own.extend(config);
        }
        vocabulary.tokenizer_with(&own)
    }

    /// A tokenizer from the bytes of a `tokenizer.json` and of a `tokenizer_config.json`; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Invalid`] when either is damaged.
    pub fn from_bytes(path: &Path, tokenizer_json: &[u8], config: Option<&[u8]>) -> Result<Self> {
        let config = match config {
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| Error::invalid(path, "tokenizer_config", error, "valid JSON"))?,
            None => Json::Null,
        };
        Self::build(path, tokenizer_json, &config)
    }

    pub(super) fn build(path: &Path, json: &[u8], config: &Json) -> Result<Self> {
        let invalid = |error: tokenizers::Error| {
            Error::invalid(path, "tokenizer", error, "a tokenizer that the `tokenizers` library reads")
                .with_hint("the file may be cut off or edited: download it again")
        };
        limits::check_parts(path, json)?;
        Self::from_library(path, tokenizers::Tokenizer::from_bytes(json).map_err(invalid)?, config, None)
    }

    pub(super) fn from_library(
        path: &Path,
        mut library: tokenizers::Tokenizer,
        config: &Json,
        scored: Option<ScoredPieces>,
    ) -> Result<Self> {
        let invalid = |error: tokenizers::Error| Error::invalid(path, "tokenizer", error, "one that the `tokenizers` library takes");
        limits::check_growth(path, library.get_normalizer())?;
        library.with_truncation(None).map_err(invalid)?.with_padding(None);
        let mut named = HashMap::new();
        for key in ["bos_token", "eos_token", "pad_token", "unk_token"] {
            named.extend(config.get(key).and_then(token_content).map(|content| (key, content)));
        }
        add_configured_tokens(&mut library, config, named.values());
        let added: Vec<(u32, AddedToken)> = library.get_added_tokens_decoder().into_iter().collect();
        let decoder = library.get_decoder().and_then(|decoder| serde_json::to_value(decoder).ok()).unwrap_or(Json::Null);
        let vocab_size = library.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        let shared = Shared {
            path: path.to_owned(),
            added: AddedTokens::new(added.iter().cloned(), library.get_normalizer()).map_err(invalid)?,
            control: added.into_iter().filter(|(_, token)| !added::is_ordinary(token)).collect(),
            decoding: Decoding::from_json(&decoder),
            named,
            vocab_size,
            library,
            scored,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Tokens that only the configuration adds: `added_tokens_decoder` by ascending id, then the named special tokens.
fn add_configured_tokens<'a>(library: &mut tokenizers::Tokenizer, config: &Json, named: impl Iterator<Item = &'a String>) {
    let mut configured: Vec<(u32, AddedToken)> = Vec::new();
    for (id, token) in config.get("added_tokens_decoder").and_then(Json::as_object).into_iter().flatten() {
        let flag = |name: &str| token.get(name).and_then(Json::as_bool).unwrap_or(false);
        if let (Ok(id), Some(content)) = (id.parse(), token_content(token)) {
            let added = AddedToken::from(content, flag("special"));
            let added = added.lstrip(flag("lstrip")).rstrip(flag("rstrip")).single_word(flag("single_word"));
            configured.push((id, added.normalized(flag("normalized"))));
        }
    }
    configured.sort_by_key(|(id, _)| *id);
    for (_, token) in configured {
        if library.token_to_id(&token.content).is_none() {
            library.add_tokens(&[token]);
        }
    }
    for content in named {
        if !library.get_added_vocabulary().get_vocab().contains_key(content) {
            library.add_special_tokens(&[AddedToken::from(content.as_str(), true)]);
        }
    }
}
