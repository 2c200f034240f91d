//! The metadata of a GGUF file about its tokenizer: `vocabulary.rs` the other way.

use super::write::{Item, Keys};
use crate::tokenizer::{Segmentation, TokenKind, UNUSED_SCORE, Vocabulary};

/// The keys of `vocabulary` for a model whose embedding has `rows` rows, whose answers end with `ends`, with the sources of its chat
/// template and of that for tools.
pub fn keys(vocabulary: &Vocabulary, rows: usize, ends: &[u32], template: Option<&str>, tool_use: Option<&str>) -> Keys {
    let mut keys = Keys::new();
    let mut put = |key: &str, item: Item| keys.push((format!("tokenizer.{key}"), item));
    // llama.cpp wants a token for each row of the embedding.
    let count = rows.max(vocabulary.tokens.len());
    let filled = (vocabulary.tokens.len()..count).map(|id| format!("[PAD{id}]"));
    let tokens: Vec<String> = vocabulary.tokens.iter().cloned().chain(filled).collect();
    let kinds = vocabulary.kinds.iter().copied().chain(std::iter::repeat(TokenKind::Unused));
    let kinds: Vec<i32> = kinds.take(count).map(number).collect();
    let scored = |scores: &[f32]| {
        let mut scores = scores.to_vec();
        scores.resize(count, UNUSED_SCORE);
        Item::Numbers(scores)
    };
    match &vocabulary.segmentation {
        Segmentation::ByteLevel { merges, pre } => {
            put("ggml.model", text("gpt2"));
            put("ggml.pre", text(pre.as_deref().unwrap_or("default")));
            put("ggml.tokens", Item::Texts(tokens));
            put("ggml.merges", Item::Texts(merges.clone()));
        }
        Segmentation::Scores(scores) => {
            put("ggml.model", text("llama"));
            put("ggml.pre", text("default"));
            put("ggml.tokens", Item::Texts(tokens));
            put("ggml.scores", scored(scores));
        }
        Segmentation::Unigram { scores, charsmap, collapse_spaces } => {
            put("ggml.model", text("t5"));
            put("ggml.pre", text("default"));
            put("ggml.tokens", Item::Texts(tokens));
            put("ggml.scores", scored(scores));
            put("ggml.remove_extra_whitespaces", Item::Truth(*collapse_spaces));
            if let Some(charsmap) = charsmap {
                put("ggml.precompiled_charsmap", Item::Bytes(charsmap.clone()));
            }
        }
    }
    put("ggml.token_type", Item::Kinds(kinds));
    let eos = vocabulary.eos.or(ends.first().copied());
    // The first id beside the `eos_token` that ends an answer is the end of a turn, the second that of a message.
    let mut others = ends.iter().copied().filter(|id| Some(*id) != eos);
    let ids = [
        ("bos", vocabulary.bos),
        ("eos", eos),
        ("eot", others.next()),
        ("eom", others.next()),
        ("unknown", vocabulary.unknown),
        ("padding", vocabulary.padding),
    ];
    for (name, id) in ids {
        if let Some(id) = id {
            put(&format!("ggml.{name}_token_id"), Item::Whole(id));
        }
    }
    let flags =
        [("add_bos_token", vocabulary.add_bos), ("add_eos_token", vocabulary.add_eos), ("add_space_prefix", vocabulary.space_prefix)];
    for (name, flag) in flags {
        if let Some(flag) = flag {
            put(&format!("ggml.{name}"), Item::Truth(flag));
        }
    }
    if let Some(json) = &vocabulary.json {
        put("huggingface.json", text(json));
    }
    for (key, source) in [("chat_template", template), ("chat_template.tool_use", tool_use)] {
        if let Some(source) = source {
            put(key, text(source));
        }
    }
    keys
}

fn text(text: &str) -> Item {
    Item::Text(text.to_owned())
}

/// What files have for a kind.
fn number(kind: TokenKind) -> i32 {
    match kind {
        TokenKind::Normal => 1,
        TokenKind::Unknown => 2,
        TokenKind::Control => 3,
        TokenKind::UserDefined => 4,
        TokenKind::Unused => 5,
        TokenKind::Byte => 6,
    }
}
