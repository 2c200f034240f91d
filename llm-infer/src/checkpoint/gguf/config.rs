//! The configuration as Hugging Face's config.json would say it, from the metadata and the tensors of a GGUF file.

use llm_model::quant::{METHOD, QuantFormat};
use serde_json::{Map, Value, json};

use super::header::Entry;
use super::metadata::Metadata;
use super::names::Architecture;
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

/// What config.json would say.
///
/// # Errors
/// Keys that are missing or of the wrong type.
pub fn config(
    architecture: &Architecture,
    metadata: &Metadata,
    entries: &[&Entry],
    factors: &RopeFactors,
    formats: &[QuantFormat],
) -> Result<Value> {
    let key = |name: &str| format!("{}.{name}", architecture.name);
    let entry = |name: &str| entries.iter().find(|entry| entry.name == name);
    let has = |name: &str| entry(name).is_some();
    let heads = required(metadata, &key("attention.head_count"))?;
    let hidden = metadata.required(&key("embedding_length"))?;
    let context = metadata.required(&key("context_length"))?;
    let head_dim = metadata.whole(&key("attention.key_length"))?;
    let values = metadata.whole(&key("attention.value_length"))?;
    let whole_head = head_dim.unwrap_or(hidden / heads.max(1));
    if let Some(values) = values.filter(|values| *values != whole_head) {
        return Err(metadata.wrong(&key("attention.value_length"), values, format!("{whole_head}, as keys have")));
    }
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| drop(config.insert(name.to_owned(), value));
    set("model_type", json!(architecture.model_type));
    set("hidden_size", json!(hidden));
    set("intermediate_size", json!(required(metadata, &key("feed_forward_length"))?));
    set("num_hidden_layers", json!(metadata.required(&key("block_count"))?));
    set("num_attention_heads", json!(heads));
    set("num_key_value_heads", json!(metadata.uniform(&key("attention.head_count_kv"))?.unwrap_or(heads)));
    set("max_position_embeddings", json!(context));
    set("hidden_act", json!("silu"));
    if let Some(dim) = head_dim {
        set("head_dim", json!(dim));
    }
    let epsilon = key("attention.layer_norm_rms_epsilon");
    set("rms_norm_eps", json!(metadata.number(&epsilon)?.ok_or_else(|| metadata.wrong(&epsilon, "nothing", "a number"))?));
    set("rope_theta", json!(metadata.number(&key("rope.freq_base"))?.unwrap_or(10_000.0)));
    if let Some(rotated) = metadata.whole(&key("rope.dimension_count"))?.filter(|rotated| *rotated != whole_head) {
        set("partial_rotary_factor", json!(rotated as f64 / whole_head.max(1) as f64));
    }
    // The embedding has a row for every token, whatever the list of tokens says.
    let rows = entry("token_embd.weight").and_then(|entry| entry.shape.first());
    let listed = metadata.texts("tokenizer.ggml.tokens")?.map(<[String]>::len);
    set("vocab_size", json!(rows.copied().or(listed).unwrap_or(0)));
    set("tie_word_embeddings", json!(!has("output.weight")));
    set("attention_bias", json!(has("blk.0.attn_q.bias")));
    set("mlp_bias", json!(has("blk.0.ffn_up.bias")));
    set("sliding_window", json!(metadata.whole(&key("attention.sliding_window"))?.filter(|window| *window > 0)));
    if let Some(scaling) = rope_scaling(metadata, &key, factors, context)? {
        set("rope_scaling", scaling);
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
    if let Some(quantization) = quantization(formats) {
        set("quantization_config", quantization);
    }
    Ok(config.into())
}

/// What config.json would say of an architecture that is not known: its name, which is refused where a model is needed.
pub fn of_unknown(name: &str, formats: &[QuantFormat]) -> Value {
    let mut config = json!({"model_type": name});
    if let Some(quantization) = quantization(formats) {
        config["quantization_config"] = quantization;
    }
    config
}

/// The mark of weights in our formats.
fn quantization(formats: &[QuantFormat]) -> Option<Value> {
    let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
    (!names.is_empty()).then(|| json!({"quant_method": METHOD, "method": "gguf", "formats": names}))
}

fn required(metadata: &Metadata, key: &str) -> Result<u64> {
    metadata.uniform(key)?.ok_or_else(|| metadata.wrong(key, "nothing", "a whole number"))
}

/// The rotary embedding's stretching, in the words of config.json.
fn rope_scaling(metadata: &Metadata, key: &dyn Fn(&str) -> String, factors: &RopeFactors, context: u64) -> Result<Option<Value>> {
    let original = metadata.whole(&key("rope.scaling.original_context_length"))?;
    let attention = metadata.number(&key("rope.scaling.attn_factor"))?;
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
