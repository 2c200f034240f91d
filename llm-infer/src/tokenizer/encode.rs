//! Text to ids: the library's pipeline, with our search for added tokens.

use super::Tokenizer;
use crate::chat::Rendered;
use crate::{Error, Result};
use std::ops::Range;
use tokenizers::normalizer::Range as Referred;
use tokenizers::{Encoding, Model, NormalizedString, Normalizer, OffsetType, PreTokenizedString, PreTokenizer, Token};

/// The longest text encoded at once, in bytes.
pub const MAX_TEXT: usize = 16 << 20;

impl Tokenizer {
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

    fn encode_with_origin(&self, text: &str, user: &[Range<usize>], add_special: bool) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT {
            return Err(Error::request("prompt", format!("{} bytes", text.len()), format!("at most {MAX_TEXT} bytes")));
        }
        let encoding = self.encoding(text, user).and_then(|encoding| self.shared.library.post_process(encoding, None, add_special));
        encoding.map(|encoding| encoding.get_ids().to_vec()).map_err(|error| Error::request("prompt", error, "text that can be encoded"))
    }

    /// The library's pipeline, with our search for added tokens.
    fn encoding(&self, text: &str, user: &[Range<usize>]) -> tokenizers::Result<Encoding> {
        let library = &self.shared.library;
        let from_user = |range: Range<usize>| {
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
}

/// The parts of a piece, added tokens with their ids.
fn cut(
    piece: NormalizedString,
    parts: Vec<(Option<u32>, Range<usize>)>,
) -> tokenizers::Result<Vec<(NormalizedString, Option<Vec<Token>>)>> {
    if let [(None, _)] = parts.as_slice() {
        return Ok(vec![(piece, None)]);
    }
    let part = |(id, range): (Option<u32>, Range<usize>)| {
        let slice = piece.slice(Referred::Normalized(range)).ok_or("an added token ends inside a character")?;
        let tokens = id.map(|id| vec![Token::new(id, slice.get().to_owned(), (0, slice.get().len()))]);
        Ok((slice, tokens))
    };
    parts.into_iter().map(part).collect()
}
