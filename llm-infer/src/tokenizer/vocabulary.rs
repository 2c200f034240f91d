//! A tokenizer from a list of tokens, as GGUF files and llama2.c have it, instead of a tokenizer.json.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::{Value as Json, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::{AddedToken, ModelWrapper};

use super::scored::ScoredPieces;
use super::{Tokenizer, TokenizerSummary, charsmap, pre};
use crate::{Error, Result};

/// The mark that SentencePiece has for a space.
pub(super) const SPACE: char = '▁';

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A piece of text.
    Normal,
    /// Stands for text that no token has.
    Unknown,
    /// Steers the model and is no text.
    Control,
    /// A piece of text that is found before all others.
    UserDefined,
    /// A place that is not used.
    Unused,
    /// A single byte, `<0xNN>`.
    Byte,
}

/// How a text is cut into tokens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Segmentation {
    /// Byte-level BPE: the merges, best first, as `left right`, and the name of the cutting into words; none is llama.cpp's default.
    ByteLevel { merges: Vec<String>, pre: Option<String> },
    /// SentencePiece BPE: neighbours become the token of the best score, until there is none.
    Scores(Vec<f32>),
    /// SentencePiece unigram: the cut whose scores add up to most, after characters were replaced as `charsmap` says.
    Unigram { scores: Vec<f32>, charsmap: Option<Vec<u8>>, collapse_spaces: bool },
}

/// All that makes a tokenizer.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    /// The file that has it, for messages.
    pub path: PathBuf,
    /// By id.
    pub tokens: Vec<String>,
    /// By id.
    pub kinds: Vec<TokenKind>,
    pub segmentation: Segmentation,
    /// Whether a text begins with a space; `None` for what such tokenizers do.
    pub space_prefix: Option<bool>,
    /// Whether the first and last token are put around a text; `None` for what such tokenizers do.
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub unknown: Option<u32>,
    pub padding: Option<u32>,
    /// The tokenizer.json that it is from, where the rest does not say all of it.
    pub json: Option<String>,
}

impl Vocabulary {
    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the parts do not fit each other.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        self.tokenizer_with(&self.config()?)
    }

    /// The tokenizer with the special tokens of `config`.
    ///
    /// # Errors
    /// As [`Vocabulary::tokenizer`].
    pub fn tokenizer_with(&self, config: &Json) -> Result<Tokenizer> {
        if let Some(json) = &self.json {
            return Tokenizer::build(&self.path, json.as_bytes(), config);
        }
        let (model, scored) = self.model()?;
        let mut library = tokenizers::Tokenizer::new(model);
        let refused = |error: &dyn ToString| Error::invalid(&self.path, "tokenizer", error.to_string(), "one that can be built");
        let part = |json: Json| (!json.is_null()).then_some(json);
        let (normalizer, pre_tokenizer, decoder) = self.steps()?;
        if let Some(json) = part(normalizer) {
            library.with_normalizer(Some(serde_json::from_value::<tokenizers::NormalizerWrapper>(json).map_err(|e| refused(&e))?));
        }
        if let Some(json) = part(pre_tokenizer) {
            library.with_pre_tokenizer(Some(serde_json::from_value::<tokenizers::PreTokenizerWrapper>(json).map_err(|e| refused(&e))?));
        }
        library.with_decoder(Some(serde_json::from_value::<tokenizers::DecoderWrapper>(decoder).map_err(|e| refused(&e))?));
        if let Some(json) = self.around()? {
            library.with_post_processor(Some(serde_json::from_value::<tokenizers::PostProcessorWrapper>(json).map_err(|e| refused(&e))?));
        }
        let of_kind = |kinds: &'static [TokenKind]| {
            let found = self.tokens.iter().zip(&self.kinds).filter(|(token, kind)| kinds.contains(kind) && !token.is_empty());
            found.map(|(token, _)| token)
        };
        let special = |token: &String| AddedToken::from(token.as_str(), true).normalized(false);
        let plain = |token: &String| AddedToken::from(token.as_str(), false).normalized(false);
        library.add_special_tokens(&of_kind(&[TokenKind::Control, TokenKind::Unknown]).map(special).collect::<Vec<_>>());
        library.add_tokens(&of_kind(&[TokenKind::UserDefined]).map(plain).collect::<Vec<_>>());
        Tokenizer::from_library(&self.path, library, config, scored)
    }

    /// What the tokenizer will have.
    ///
    /// # Errors
    /// A cutting into words that is not known, and ids that are no tokens.
    pub fn summary(&self) -> Result<TokenizerSummary> {
        if let Segmentation::ByteLevel { pre, .. } = &self.segmentation {
            pre::named(&self.path, pre.as_deref())?;
        }
        let token = |key: &str, id: Option<u32>| id.map(|id| self.token(key, id).map(str::to_owned)).transpose();
        Ok(TokenizerSummary {
            vocab_size: self.tokens.len(),
            bos_token: token("bos_token", self.bos)?,
            eos_token: token("eos_token", self.eos)?,
            pad_token: token("pad_token", self.padding)?,
        })
    }

    /// What tokenizer_config.json would say.
    pub fn config(&self) -> Result<Json> {
        let mut config = serde_json::Map::new();
        for (key, id) in [("bos_token", self.bos), ("eos_token", self.eos), ("unk_token", self.unknown), ("pad_token", self.padding)] {
            if let Some(id) = id {
                config.insert(key.to_owned(), json!(self.token(key, id)?));
            }
        }
        Ok(config.into())
    }

    /// The token of `id`, which is called `key` in messages.
    fn token(&self, key: &str, id: u32) -> Result<&str> {
        let found = self.tokens.get(id as usize).map(String::as_str);
        found.ok_or_else(|| Error::invalid(&self.path, key, format!("id {id}"), format!("an id below {}", self.tokens.len())))
    }

    /// Every token that is used, with its id; of tokens that are alike, the first.
    fn ids(&self) -> impl Iterator<Item = (&String, u32)> {
        let mut seen = HashSet::with_capacity(self.tokens.len());
        let used = self.tokens.iter().zip(0..).zip(&self.kinds).filter(|(_, kind)| **kind != TokenKind::Unused);
        used.map(|(token, _)| token).filter(move |(token, _)| seen.insert(token.as_str()))
    }

    fn model(&self) -> Result<(ModelWrapper, Option<ScoredPieces>)> {
        let invalid = |error: tokenizers::Error| {
            Error::invalid(&self.path, "tokenizer", error, "tokens and merges that belong together").with_hint("the file may be damaged")
        };
        let unknown = self.unknown.map(|id| self.token("unk_token", id)).transpose()?;
        match &self.segmentation {
            Segmentation::ByteLevel { merges, pre } => {
                let row = pre::named(&self.path, pre.as_deref())?;
                let pairs = merges.iter().map(|merge| {
                    let (left, right) = merge.split_once(' ').ok_or_else(|| {
                        let shown: String = merge.chars().take(40).flat_map(char::escape_debug).collect();
                        Error::invalid(&self.path, "merges", format!("`{shown}`"), "two tokens with a space between")
                    })?;
                    Ok((left.to_owned(), right.to_owned()))
                });
                let vocab: Vocab = self.ids().map(|(token, id)| (token.clone(), id)).collect();
                let model = BPE::builder().vocab_and_merges(vocab, pairs.collect::<Result<_>>()?).ignore_merges(row.whole_words);
                Ok((model.build().map_err(invalid)?.into(), None))
            }
            Segmentation::Scores(scores) => {
                let pieces = ScoredPieces::new(&self.path, self.ids(), &self.kinds, scores, self.unknown)?;
                let vocab: Vocab = self.ids().map(|(token, id)| (token.clone(), id)).collect();
                let mut model = BPE::builder().vocab_and_merges(vocab, Vec::new()).byte_fallback(true).fuse_unk(true);
                if let Some(unknown) = unknown {
                    model = model.unk_token(unknown.to_owned());
                }
                Ok((model.build().map_err(invalid)?.into(), Some(pieces)))
            }
            Segmentation::Unigram { scores, .. } => {
                super::scored::check(&self.path, scores, self.tokens.len())?;
                let pieces = self.tokens.iter().zip(scores).map(|(token, score)| (token.clone(), f64::from(*score))).collect();
                let bytes = self.kinds.contains(&TokenKind::Byte);
                let model = Unigram::from(pieces, self.unknown.map(|id| id as usize), bytes);
                Ok((model.map_err(|error| invalid(error.to_string().into()))?.into(), None))
            }
        }
    }

    /// Normalizer, pre-tokenizer and decoder, in the words of tokenizer.json.
    fn steps(&self) -> Result<(Json, Json, Json)> {
        let prefix = self.space_prefix.unwrap_or(!matches!(self.segmentation, Segmentation::ByteLevel { .. }));
        match &self.segmentation {
            Segmentation::ByteLevel { pre, .. } => {
                let row = pre::named(&self.path, pre.as_deref())?;
                let byte_level = json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": false});
                let split = |regex: &&str| json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
                let steps: Vec<Json> = row.cuts.iter().map(split).chain([byte_level.clone()]).collect();
                let normalizer = if row.nfc { json!({"type": "NFC"}) } else { Json::Null };
                Ok((normalizer, json!({"type": "Sequence", "pretokenizers": steps}), byte_level))
            }
            Segmentation::Scores(_) => {
                let (spaces, decoder) = self.spaces(prefix, 1);
                Ok((json!({"type": "Sequence", "normalizers": spaces}), Json::Null, decoder))
            }
            Segmentation::Unigram { charsmap, collapse_spaces, .. } => {
                let mut steps = Vec::new();
                if let Some(map) = charsmap.as_ref().filter(|map| !map.is_empty()) {
                    if !charsmap::is_sound(map) {
                        let got = format!("{} bytes that lead outside", map.len());
                        return Err(Error::invalid(&self.path, "precompiled_charsmap", got, "a table of replaced characters")
                            .with_hint("the file may be cut off or damaged: download it again"));
                    }
                    steps.push(json!({"type": "Precompiled", "precompiled_charsmap": charsmap::base64(map)}));
                }
                if *collapse_spaces {
                    steps.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
                    steps.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
                }
                let (spaces, decoder) = self.spaces(prefix, if *collapse_spaces { u32::MAX } else { 1 });
                steps.extend(spaces);
                Ok((json!({"type": "Sequence", "normalizers": steps}), Json::Null, decoder))
            }
        }
    }

    /// How SentencePiece marks spaces, and its decoder, which drops as many as `strip` at the beginning where a text got one.
    fn spaces(&self, prefix: bool, strip: u32) -> (Vec<Json>, Json) {
        let mark = SPACE.to_string();
        let mut steps = if prefix { vec![json!({"type": "Prepend", "prepend": mark})] } else { Vec::new() };
        steps.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": mark}));
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": mark}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if prefix {
            decoders.push(json!({"type": "Strip", "content": " ", "start": strip, "stop": 0}));
        }
        (steps, json!({"type": "Sequence", "decoders": decoders}))
    }

    /// The post-processor that puts the first and last token around a text.
    fn around(&self) -> Result<Option<Json>> {
        let (bos, eos) = match &self.segmentation {
            Segmentation::ByteLevel { pre, .. } => (pre::named(&self.path, pre.as_deref())?.begins, false),
            Segmentation::Scores(_) => (true, false),
            Segmentation::Unigram { .. } => (false, true),
        };
        let wanted = |asked: Option<bool>, usual: bool, id: Option<u32>| id.filter(|_| asked.unwrap_or(usual));
        let (bos, eos) = (wanted(self.add_bos, bos, self.bos), wanted(self.add_eos, eos, self.eos));
        if bos.is_none() && eos.is_none() {
            return Ok(None);
        }
        let (mut single, mut pair, mut tokens) = (Vec::new(), Vec::new(), serde_json::Map::new());
        let mut special = |key: &str, id: u32, type_id: u32| -> Result<Json> {
            let token = self.token(key, id)?;
            tokens.insert(token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]}));
            Ok(json!({"SpecialToken": {"id": token, "type_id": type_id}}))
        };
        for (text, type_id) in [("A", 0), ("B", 1)] {
            let mut whole = Vec::new();
            if let Some(id) = bos {
                whole.push(special("bos_token", id, type_id)?);
            }
            whole.push(json!({"Sequence": {"id": text, "type_id": type_id}}));
            if let Some(id) = eos {
                whole.push(special("eos_token", id, type_id)?);
            }
            if text == "A" {
                single.clone_from(&whole);
            }
            pair.extend(whole);
        }
        Ok(Some(json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens})))
    }
}
