//! The tokenizer that the metadata of a GGUF file describes.

use super::metadata::Metadata;
use crate::Result;
use crate::tokenizer::{Segmentation, TokenKind, Vocabulary};

/// The most bytes of a table of replaced characters; known ones have some 300,000.
const MAX_CHARSMAP: usize = 16 << 20;

/// The tokens of the file, which are taken out of `metadata`; `None` where it has none.
///
/// # Errors
/// Lists of different lengths, values of the wrong type, a kind of tokenizer that is not known.
pub fn vocabulary(metadata: &mut Metadata) -> Result<Option<Vocabulary>> {
    let Some(tokens) = metadata.take_texts("tokenizer.ggml.tokens")? else { return Ok(None) };
    let merges = metadata.take_texts("tokenizer.ggml.merges")?.unwrap_or_default();
    let metadata = &*metadata;
    let key = "tokenizer.ggml.model";
    let segmentation = match metadata.text(key)? {
        Some("gpt2") => Segmentation::ByteLevel { merges, pre: metadata.text("tokenizer.ggml.pre")?.map(str::to_owned) },
        Some("llama") => Segmentation::Scores(scores(metadata, tokens.len())?),
        Some("t5") => Segmentation::Unigram {
            scores: scores(metadata, tokens.len())?,
            charsmap: charsmap(metadata)?,
            collapse_spaces: metadata.truth("tokenizer.ggml.remove_extra_whitespaces")?.unwrap_or(false),
        },
        Some(other) => return Err(metadata.wrong(key, format!("`{}`", other.escape_debug()), "one of gpt2, llama, t5")),
        None => return Err(metadata.wrong(key, "nothing", "one of gpt2, llama, t5")),
    };
    let id = |name: &str| -> Result<Option<u32>> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(id) = metadata.whole(&key)? else { return Ok(None) };
        // Written as the largest number it means none.
        if id == u64::from(u32::MAX) {
            return Ok(None);
        }
        if id >= tokens.len() as u64 {
            return Err(metadata.wrong(&key, format!("id {id}"), format!("an id below {}", tokens.len())));
        }
        Ok(Some(id as u32))
    };
    let spm = matches!(segmentation, Segmentation::Scores(_));
    // SentencePiece's own ids where the file does not say.
    let usual = |found: Option<u32>, usual: u32| found.or(Some(usual).filter(|id| spm && (*id as usize) < tokens.len()));
    let vocabulary = Vocabulary {
        path: metadata.path().to_owned(),
        kinds: kinds(metadata, &tokens)?,
        space_prefix: metadata.truth("tokenizer.ggml.add_space_prefix")?,
        add_bos: metadata.truth("tokenizer.ggml.add_bos_token")?,
        add_eos: metadata.truth("tokenizer.ggml.add_eos_token")?,
        bos: usual(id("bos")?, 1),
        eos: usual(id("eos")?, 2),
        unknown: usual(id("unknown")?, 0),
        padding: id("padding")?,
        json: metadata.text("tokenizer.huggingface.json")?.map(str::to_owned),
        segmentation,
        tokens,
    };
    Ok(Some(vocabulary))
}

fn scores(metadata: &Metadata, tokens: usize) -> Result<Vec<f32>> {
    let key = "tokenizer.ggml.scores";
    let scores = metadata.numbers(key)?.ok_or_else(|| metadata.wrong(key, "nothing", "a score for each token"))?;
    if scores.len() != tokens {
        return Err(metadata.wrong(key, format!("{} numbers", scores.len()), format!("{tokens}, one for each token")));
    }
    Ok(scores.iter().map(|score| *score as f32).collect())
}

/// What each token is for; normal where the file does not say.
fn kinds(metadata: &Metadata, tokens: &[String]) -> Result<Vec<TokenKind>> {
    let key = "tokenizer.ggml.token_type";
    let Some(numbers) = metadata.numbers(key)? else { return Ok(tokens.iter().map(|token| kind_by_name(token)).collect()) };
    if numbers.len() != tokens.len() {
        return Err(metadata.wrong(key, format!("{} numbers", numbers.len()), format!("{}, one for each token", tokens.len())));
    }
    let kind = |number: &f64| match *number as i64 {
        2 => TokenKind::Unknown,
        3 => TokenKind::Control,
        4 => TokenKind::UserDefined,
        5 => TokenKind::Unused,
        6 => TokenKind::Byte,
        _ => TokenKind::Normal,
    };
    Ok(numbers.iter().map(kind).collect())
}

/// What a token is for by its name, as files of version 1 do not say.
fn kind_by_name(token: &str) -> TokenKind {
    match token {
        "<unk>" => TokenKind::Unknown,
        "<s>" | "</s>" | "<pad>" | "<|endoftext|>" => TokenKind::Control,
        _ if token.len() == 6 && token.starts_with("<0x") && token.ends_with('>') => TokenKind::Byte,
        _ => TokenKind::Normal,
    }
}

fn charsmap(metadata: &Metadata) -> Result<Option<Vec<u8>>> {
    let key = "tokenizer.ggml.precompiled_charsmap";
    let Some(numbers) = metadata.numbers(key)? else { return Ok(None) };
    if numbers.len() > MAX_CHARSMAP {
        return Err(metadata.wrong(key, format!("{} bytes", numbers.len()), format!("at most {MAX_CHARSMAP}")));
    }
    // Bytes, which some write as signed ones.
    Ok(Some(numbers.iter().map(|number| (*number as i64 & 0xff) as u8).collect()))
}
