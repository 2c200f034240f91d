//! The configuration as Hugging Face's config.json would say it, from the metadata and the tensors of a GGUF file.

use serde_json::{Map, Value, json};

use super::families;
use super::header::Entry;
use super::metadata::Metadata;
use super::names::{self, Architecture};
use crate::Result;

/// Factors of the rotary frequencies that the file holds as tensors.
#[derive(Debug, Default)]
pub struct RopeFactors {
    /// `rope_freqs.weight`: for every length.
    pub always: Option<Vec<f32>>,
    /// `rope_factors_short.weight`: up to the length that the model was first trained for.
    pub short: Option<Vec<f32>>,
    /// `rope_factors_long.weight`: beyond it.
    pub long: Option<Vec<f32>>,
}

/// Ids by their keys in config.json and in GGUF, and what SentencePiece has.
const IDS: [(&str, &str, Option<u64>); 2] =
    [("bos_token_id", "tokenizer.ggml.bos_token_id", Some(1)), ("pad_token_id", "tokenizer.ggml.padding_token_id", None)];

/// The file as the keys of config.json are made of it.
pub struct Described<'a> {
    /// The row of names.
    pub architecture: &'a Architecture,
    /// The keys.
    pub metadata: &'a Metadata,
    /// The tensors.
    pub entries: &'a [&'a Entry],
}

impl Described<'_> {
    /// The key that the architecture calls `name`.
    pub fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture.name)
    }

    /// A whole number.
    pub fn whole(&self, name: &str) -> Result<Option<u64>> {
        self.metadata.whole(&self.key(name))
    }

    /// A finite number.
    pub fn number(&self, name: &str) -> Result<Option<f64>> {
        self.metadata.number(&self.key(name))
    }

    /// A whole number that the file must have, or a list of it for each layer, all alike.
    pub fn required(&self, name: &str) -> Result<u64> {
        let key = self.key(name);
        self.metadata.uniform(&key)?.ok_or_else(|| self.metadata.wrong(&key, "nothing", "a whole number"))
    }

    /// The dimensions of a tensor by its name in the file.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.shape.as_slice())
    }

    /// Whether there is a tensor of that name in the file.
    pub fn has(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// The width of a head of keys.
    pub fn head_dim(&self) -> Result<u64> {
        match self.whole("attention.key_length")? {
            Some(dim) => Ok(dim),
            None => Ok(self.required("embedding_length")? / self.required("attention.head_count")?.max(1)),
        }
    }
}

/// What config.json would say.
///
/// # Errors
/// Keys that are missing, of the wrong type, or ask for what is not computed here.
pub fn config(file: &Described, factors: &RopeFactors) -> Result<Value> {
    let Described { architecture, metadata, .. } = file;
    families::refuse_unknown(file)?;
    let heads = file.required("attention.head_count")?;
    let context = file.required("context_length")?;
    let head_dim = file.head_dim()?;
    let values = file.whole("attention.value_length")?;
    if let Some(values) = values.filter(|values| *values != head_dim) {
        return Err(metadata.wrong(&file.key("attention.value_length"), values, format!("{head_dim}, as keys have")));
    }
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| {
        let theirs = architecture.keys.iter().find(|(llama, _)| *llama == name).map_or(name, |(_, theirs)| theirs);
        drop(config.insert(theirs.to_owned(), value));
    };
    set("model_type", json!(architecture.model_type));
    set("hidden_size", json!(file.required("embedding_length")?));
    set("intermediate_size", json!(file.required("feed_forward_length")?));
    set("num_hidden_layers", json!(file.required("block_count")?));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(metadata.uniform(&file.key("attention.head_count_kv"))?.unwrap_or(heads)));
    set("max_position_embeddings", json!(context));
    // Not said where it is the quotient, as a family has no such key or another default.
    let quotient = file.required("embedding_length")? / heads.max(1);
    if head_dim != quotient || families::NAME_HEAD_DIM.contains(&architecture.name) {
        set("head_dim", json!(head_dim));
    }
    let (epsilon, name) = architecture.epsilon;
    let key = file.key(epsilon);
    set(name, json!(metadata.number(&key)?.ok_or_else(|| metadata.wrong(&key, "nothing", "a number"))?));
    set("rope_theta", json!(file.number("rope.freq_base")?.unwrap_or(10_000.0)));
    let rotated = file.whole("rope.dimension_count")?.unwrap_or(head_dim);
    if rotated != head_dim || families::ROTATE_A_PART.contains(&architecture.name) {
        set("partial_rotary_factor", json!(share(rotated, head_dim)));
    }
    // The embedding has a row for every token, whatever the list of tokens says.
    let rows = file.shape("token_embd.weight").and_then(|shape| shape.first());
    let listed = metadata.texts("tokenizer.ggml.tokens")?.map(<[String]>::len);
    set("vocab_size", json!(rows.copied().or(listed).unwrap_or(0)));
    set("tie_word_embeddings", json!(!file.has("output.weight")));
    set("attention_bias", json!(file.has("blk.0.attn_q.bias") || file.has("blk.0.attn_qkv.bias")));
    set("mlp_bias", json!(file.has("blk.0.ffn_up.bias")));
    set("sliding_window", json!(file.whole("attention.sliding_window")?.filter(|window| *window > 0)));
    if let Some(scaling) = rope_scaling(file, factors, context)? {
        set("rope_scaling", scaling);
    }
    for (name, value) in families::keys(file)? {
        set(name, value);
    }
    // SentencePiece's own ids where the file does not say.
    let is_spm = metadata.text("tokenizer.ggml.model")? == Some("llama");
    for (name, key, usual) in IDS {
        if let Some(id) = metadata.whole(key)?.or(usual.filter(|_| is_spm)) {
            set(name, json!(id));
        }
    }
    let ends = ends(metadata)?;
    set("eos_token_id", if ends.is_empty() && is_spm { json!([2]) } else { json!(ends) });
    Ok(config.into())
}

/// The share of a head that makes `rotated` of its numbers when it is cut to a whole number.
fn share(rotated: u64, head_dim: u64) -> f64 {
    let (rotated, head_dim) = (rotated as f64, head_dim.max(1) as f64);
    let share = rotated / head_dim;
    if share * head_dim < rotated { share.next_up() } else { share }
}

/// What config.json would say of an architecture that is not known: its name, which is refused where a model is needed.
pub fn of_unknown(name: &str) -> Value {
    json!({"model_type": name, names::NAME: name})
}

/// The rotary embedding's stretching, in the words of config.json.
fn rope_scaling(file: &Described, factors: &RopeFactors, context: u64) -> Result<Option<Value>> {
    let metadata = file.metadata;
    let key = |name: &str| file.key(name);
    let original = file.whole("rope.scaling.original_context_length")?;
    let attention = file.number("rope.scaling.attn_factor")?;
    let longrope = |short: &[f32], long: &[f32], attention: Option<f64>| {
        let mut scaling = json!({"rope_type": "longrope", "short_factor": short, "long_factor": long});
        scaling["original_max_position_embeddings"] = json!(original.unwrap_or(context));
        if let Some(attention) = attention {
            scaling["attention_factor"] = json!(attention);
        }
        scaling
    };
    match factors {
        // Factors for every length have the frequencies of Llama 3 in them, which knows no factor on the attention.
        RopeFactors { always: Some(factors), .. } => return Ok(Some(longrope(factors, factors, Some(attention.unwrap_or(1.0))))),
        RopeFactors { short: Some(short), long: Some(long), .. } => return Ok(Some(longrope(short, long, attention))),
        _ => {}
    }
    let factor_key = key("rope.scaling.factor");
    let factor = match metadata.number(&factor_key)? {
        Some(factor) => Some(factor),
        None => metadata.number(&key("rope.scale_linear"))?,
    };
    let kind_key = key("rope.scaling.type");
    let kind = metadata.text(&kind_key)?.unwrap_or(if factor.is_some_and(|factor| factor != 1.0) { "linear" } else { "none" });
    match kind {
        "none" => Ok(None),
        "linear" => Ok(factor.filter(|factor| *factor != 0.0).map(|factor| json!({"rope_type": "linear", "factor": factor}))),
        "yarn" => {
            let factor = factor.ok_or_else(|| metadata.wrong(&factor_key, "nothing", "a number"))?;
            let mut scaling = json!({"rope_type": "yarn", "factor": factor});
            if file.architecture.name == "gpt-oss" {
                // GGUF has no key for it; this family was trained so.
                scaling["truncate"] = json!(false);
            }
            scaling["original_max_position_embeddings"] = json!(original.unwrap_or(context));
            for (name, key) in [("beta_fast", key("rope.scaling.yarn_beta_fast")), ("beta_slow", key("rope.scaling.yarn_beta_slow"))] {
                if let Some(beta) = metadata.number(&key)? {
                    scaling[name] = json!(beta);
                }
            }
            if let Some(attention) = attention.filter(|attention| *attention != 1.0) {
                scaling["attention_factor"] = json!(attention * (0.1 * factor.max(1.0).ln() + 1.0));
            }
            Ok(Some(scaling))
        }
        "longrope" => Err(metadata.wrong(&kind_key, "`longrope`", "tensors rope_factors_short.weight and rope_factors_long.weight")),
        other => Err(metadata.wrong(&kind_key, format!("`{}`", other.escape_debug()), "none, linear, yarn or longrope")),
    }
}

/// Tokens that end an answer by what they are called, as llama.cpp has it.
const ENDS: [&str; 12] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
];

/// The ids that end an answer: those that the file names, and control tokens that are known by their text.
fn ends(metadata: &Metadata) -> Result<Vec<u64>> {
    let mut ends = Vec::new();
    for key in ["eos", "eot", "eom"] {
        ends.extend(metadata.whole(&format!("tokenizer.ggml.{key}_token_id"))?);
    }
    if ends.is_empty() {
        return Ok(ends);
    }
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let kinds = metadata.numbers("tokenizer.ggml.token_type")?.unwrap_or_default();
    let control = |id: usize| kinds.get(id).is_some_and(|kind| *kind == 3.0);
    let known = tokens.iter().enumerate().filter(|(id, token)| control(*id) && ENDS.contains(&token.as_str()));
    ends.extend(known.map(|(id, _)| id as u64));
    // The first stays the `eos_token`.
    let mut seen = std::collections::HashSet::new();
    ends.retain(|id| seen.insert(*id));
    Ok(ends)
}
