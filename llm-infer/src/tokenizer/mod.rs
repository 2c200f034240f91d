//! Text to ids and back, by the `tokenizers` library, with one difference: nothing a user writes becomes a control token.
//!
//! The library finds added tokens such as `<|im_end|>` wherever they stand in a text. Here they are found only in what
//! the chat template wrote ([`Rendered::user`](crate::chat::Rendered::user) says what it did not); the steps after that, normalizer, pre-tokenizer and
//! model, are the library's and see the same pieces, so the ids of ordinary text are the library's own.

mod added;
mod charsmap;
mod encode;
#[cfg(test)]
mod golden;
mod limits;
mod listed;
mod open;
mod pre;
mod scored;
mod sentencepiece;
mod stream;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use encode::MAX_TEXT;
pub(crate) use listed::UNUSED_SCORE;
pub use stream::StreamingDecoder;
pub(crate) use vocabulary::{Segmentation, TokenKind, Vocabulary};

use crate::{Error, Result};
use added::AddedTokens;
use scored::ScoredPieces;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use stream::Decoding;
use tokenizers::AddedToken;

/// The tokenizer of a model; clones share it.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    shared: Arc<Shared>,
}

/// What a tokenizer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizerSummary {
    /// The largest id plus one.
    pub vocab_size: usize,
    /// The `bos_token` of the configuration.
    pub bos_token: Option<String>,
    /// The `eos_token` of the configuration.
    pub eos_token: Option<String>,
    /// The `pad_token` of the configuration.
    pub pad_token: Option<String>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    library: tokenizers::Tokenizer,
    /// Cuts texts in place of the library's model, which then only knows the tokens.
    scored: Option<ScoredPieces>,
    added: AddedTokens,
    /// The control tokens by id: every added token that is not ordinary text.
    control: HashMap<u32, AddedToken>,
    decoding: Decoding,
    /// `bos_token`, `eos_token`, `pad_token`, `unk_token`, as configured.
    named: HashMap<&'static str, String>,
    vocab_size: usize,
}

impl Tokenizer {
    /// The largest id plus one.
    pub fn vocab_size(&self) -> usize {
        self.shared.vocab_size
    }

    /// Checks that every id has a row in an embedding of `embedding_rows` rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the token that has none.
    pub fn check_ids(&self, embedding_rows: usize) -> Result<()> {
        if self.vocab_size() <= embedding_rows {
            return Ok(());
        }
        let id = self.vocab_size() - 1;
        let token = self.token(id as u32).unwrap_or_default();
        Err(Error::invalid(&self.shared.path, format!("token `{token}`"), format!("id {id}"), format!("an id below {embedding_rows}"))
            .with_hint("the tokenizer belongs to another model, or the embedding was not resized for added tokens"))
    }

    /// What it has.
    pub fn summary(&self) -> TokenizerSummary {
        let named = |key: &str| self.named(key).map(str::to_owned);
        TokenizerSummary {
            vocab_size: self.vocab_size(),
            bos_token: named("bos_token"),
            eos_token: named("eos_token"),
            pad_token: named("pad_token"),
        }
    }

    /// The token of an id, as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.shared.library.id_to_token(id)
    }

    /// The id of a token, as the vocabulary spells it.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.shared.library.token_to_id(token)
    }

    /// Whether `skip_special` leaves this id out.
    pub fn is_special(&self, id: u32) -> bool {
        self.shared.control.get(&id).is_some_and(|token| token.special)
    }

    /// The `bos_token` of the configuration.
    pub fn bos_token(&self) -> Option<&str> {
        self.named("bos_token")
    }

    /// The `eos_token` of the configuration.
    pub fn eos_token(&self) -> Option<&str> {
        self.named("eos_token")
    }

    /// The `pad_token` of the configuration.
    pub fn pad_token(&self) -> Option<&str> {
        self.named("pad_token")
    }

    /// The id of the `bos_token`.
    pub fn bos_id(&self) -> Option<u32> {
        self.id(self.bos_token()?)
    }

    /// The id of the `eos_token`.
    pub fn eos_id(&self) -> Option<u32> {
        self.id(self.eos_token()?)
    }

    /// The id of the `pad_token`.
    pub fn pad_id(&self) -> Option<u32> {
        self.id(self.pad_token()?)
    }

    fn named(&self, key: &str) -> Option<&str> {
        self.shared.named.get(key).map(String::as_str)
    }

    /// The text of ids; ids that the vocabulary lacks are left out, and a cut character ends in U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        if self.shared.decoding == Decoding::Library {
            return self.library_decode(ids, skip_special);
        }
        let mut decoder = self.streaming_decoder(skip_special);
        let mut text: String = ids.iter().filter_map(|id| decoder.push(*id)).collect();
        text.push_str(&decoder.flush());
        text
    }

    /// The text of each id on its own, for display; bytes that are no character show as U+FFFD.
    pub fn pieces(&self, ids: &[u32]) -> Vec<String> {
        let piece = |id: &u32| {
            let mut bytes = Vec::new();
            self.shared.decoding.write(&self.token(*id).unwrap_or_default(), false, &mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        ids.iter().map(piece).collect()
    }

    /// A decoder for ids that come one by one.
    pub fn streaming_decoder(&self, skip_special: bool) -> StreamingDecoder {
        StreamingDecoder::new(self.clone(), skip_special)
    }

    fn decoding(&self) -> &Decoding {
        &self.shared.decoding
    }

    /// The content of a tokenizer.json that is this tokenizer.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the library does not write it.
    pub fn to_json(&self) -> Result<Json> {
        let invalid = |error: &dyn ToString| Error::invalid(&self.shared.path, "tokenizer", error.to_string(), "one that can be written");
        let mut json: Json = serde_json::to_value(&self.shared.library).map_err(|error| invalid(&error))?;
        if let Some(scored) = &self.shared.scored {
            json["model"]["merges"] = serde_json::json!(scored.merges());
        }
        Ok(json)
    }

    fn library_decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.shared.library.decode(ids, skip_special).unwrap_or_default()
    }
}
