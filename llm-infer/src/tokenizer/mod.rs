//! Text to ids and back, by the `tokenizers` library, with one difference: nothing a user writes becomes a control token.
//!
//! The library finds added tokens such as `<|im_end|>` wherever they stand in a text. Here they are found only in what
//! the chat template wrote ([`Rendered::user`] says what it did not); the steps after that, normalizer, pre-tokenizer and
//! model, are the library's and see the same pieces, so the ids of ordinary text are the library's own.

mod added;
mod charsmap;
#[cfg(test)]
mod golden;
mod limits;
mod listed;
mod pre;
mod scored;
mod sentencepiece;
mod stream;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(crate) use listed::UNUSED_SCORE;
pub use stream::StreamingDecoder;
pub(crate) use vocabulary::{Segmentation, TokenKind, Vocabulary};

use crate::chat::{Rendered, token_content};
use crate::checkpoint::json;
use crate::{Error, Result};
use added::AddedTokens;
use scored::ScoredPieces;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stream::Decoding;
use tokenizers::normalizer::Range as Referred;
use tokenizers::{AddedToken, Encoding, Model, NormalizedString, Normalizer, OffsetType, PreTokenizedString, PreTokenizer, Token};

/// The longest text encoded at once, in bytes.
pub const MAX_TEXT: usize = 16 << 20;

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

    fn build(path: &Path, json: &[u8], config: &Json) -> Result<Self> {
        let invalid = |error: tokenizers::Error| {
            Error::invalid(path, "tokenizer", error, "a tokenizer that the `tokenizers` library reads")
                .with_hint("the file may be cut off or edited: download it again")
        };
        limits::check_parts(path, json)?;
        Self::from_library(path, tokenizers::Tokenizer::from_bytes(json).map_err(invalid)?, config, None)
    }

    fn from_library(path: &Path, mut library: tokenizers::Tokenizer, config: &Json, scored: Option<ScoredPieces>) -> Result<Self> {
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

    /// The ids of a text that the user wrote; with `add_special`, those that the post-processor of `tokenizer.json` puts
    /// around it (as in transformers, `add_bos_token` of the configuration does not change a fast tokenizer).
    ///
    /// # Errors
    /// [`Error::Request`] when the text is too long or cannot be encoded.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let everything = 0..text.len();
        self.encode_with_origin(text, std::slice::from_ref(&everything), add_special)
    }

    /// The ids of a rendered conversation: control tokens are read from what the template wrote, and nowhere else.
    ///
    /// # Errors
    /// [`Error::Request`] when the text is too long or cannot be encoded.
    pub fn encode_rendered(&self, rendered: &Rendered) -> Result<Vec<u32>> {
        self.encode_with_origin(rendered.text(), rendered.user(), false)
    }

    fn encode_with_origin(&self, text: &str, user: &[std::ops::Range<usize>], add_special: bool) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT {
            return Err(Error::request("prompt", format!("{} bytes", text.len()), format!("at most {MAX_TEXT} bytes")));
        }
        let encoding = self.encoding(text, user).and_then(|encoding| self.shared.library.post_process(encoding, None, add_special));
        encoding.map(|encoding| encoding.get_ids().to_vec()).map_err(|error| Error::request("prompt", error, "text that can be encoded"))
    }

    /// The library's pipeline, with our search for added tokens.
    fn encoding(&self, text: &str, user: &[std::ops::Range<usize>]) -> tokenizers::Result<Encoding> {
        let library = &self.shared.library;
        let from_user = |range: std::ops::Range<usize>| {
            let next = user.partition_point(|user| user.end <= range.start);
            user.get(next).is_some_and(|user| user.start < range.end)
        };
        let mut pieces = PreTokenizedString::from(text);
        pieces.split(|_, piece| {
            let offset = piece.offsets_original().0;
            let parts = self.shared.added.raw.split(piece.get(), |range| from_user(range.start + offset..range.end + offset));
            cut(piece, parts)
        })?;
        pieces.split(|_, mut piece| {
            if let Some(normalizer) = library.get_normalizer() {
                normalizer.normalize(&mut piece)?;
            }
            let offset = piece.offsets_original().0;
            let origin = |range| piece.convert_offsets(Referred::Normalized(range));
            // What the normalizer made of nothing counts as the user's.
            let from_user = |range| origin(range).is_none_or(|range| from_user(range.start + offset..range.end + offset));
            let parts = self.shared.added.normalized.split(piece.get(), from_user);
            cut(piece, parts)
        })?;
        if let Some(pre_tokenizer) = library.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        pieces.tokenize(|piece| self.tokenize(piece.get()))?;
        pieces.into_encoding(None, 0, OffsetType::None)
    }

    /// The model's tokens of a piece. A vocabulary may hold control tokens too; where one is spelled out in the piece,
    /// the piece is cut behind the first character of it.
    fn tokenize(&self, piece: &str) -> tokenizers::Result<Vec<Token>> {
        let tokens = match &self.shared.scored {
            Some(scored) => scored.tokenize(piece)?,
            None => self.shared.library.get_model().tokenize(piece)?,
        };
        let spelled = |token: &&Token| {
            let text = piece.get(token.offsets.0..token.offsets.1).unwrap_or_default();
            let control = self.shared.control.get(&token.id);
            control.is_some_and(|control| text.trim_start_matches('▁') == control.content.trim_start_matches('▁'))
        };
        let cuts: Vec<usize> = tokens
            .iter()
            .filter(spelled)
            .filter_map(|token| {
                let behind = |from: usize| piece[from..].chars().next().map_or(piece.len(), |c| from + c.len_utf8());
                let first = behind(token.offsets.0);
                // A leading space mark is not part of what is spelled.
                let cut = if piece[token.offsets.0..].starts_with('▁') && first < token.offsets.1 { behind(first) } else { first };
                Some(if cut < token.offsets.1 { cut } else { token.offsets.0 }).filter(|cut| *cut > 0 && *cut < piece.len())
            })
            .collect();
        if cuts.is_empty() {
            return match tokens.iter().find(spelled) {
                Some(token) => Err(format!("`{}` is a control token and nothing else", token.value).into()),
                None => Ok(tokens),
            };
        }
        let bounds = std::iter::once(0).chain(cuts.iter().copied()).zip(cuts.iter().copied().chain([piece.len()]));
        let parts = bounds.map(|(start, end)| self.tokenize(&piece[start..end]));
        Ok(parts.collect::<tokenizers::Result<Vec<_>>>()?.concat())
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

/// The parts of a piece, added tokens with their ids.
fn cut(
    piece: NormalizedString,
    parts: Vec<(Option<u32>, std::ops::Range<usize>)>,
) -> tokenizers::Result<Vec<(NormalizedString, Option<Vec<Token>>)>> {
    if let [(None, _)] = parts.as_slice() {
        return Ok(vec![(piece, None)]);
    }
    let part = |(id, range): (Option<u32>, std::ops::Range<usize>)| {
        let slice = piece.slice(Referred::Normalized(range)).ok_or("an added token ends inside a character")?;
        let tokens = id.map(|id| vec![Token::new(id, slice.get().to_owned(), (0, slice.get().len()))]);
        Ok((slice, tokens))
    };
    parts.into_iter().map(part).collect()
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
