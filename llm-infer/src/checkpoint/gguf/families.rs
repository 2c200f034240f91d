//! What config.json says of each family beyond what all have, as llama.cpp reads it from keys and tensors or takes it for granted.

use serde_json::{Value, json};

use super::config::Described;
use crate::Result;

/// Architectures whose config.json would mean another `head_dim` by leaving it out.
pub const NAME_HEAD_DIM: [&str; 7] = ["qwen3", "qwen3moe", "gemma", "gemma2", "gemma3", "glm4", "gpt-oss"];

/// Architectures whose config.json would mean a part of a head by leaving out how much of it is rotated.
pub const ROTATE_A_PART: [&str; 4] = ["phi2", "gptneox", "stablelm", "glm4"];

/// Layers and heads of the models whose scores have another factor than 1 / √head_dim: Gemma 2 and 3 of 27 billion weights.
const GEMMA_27B_LAYERS: [(&str, u64); 2] = [("gemma2", 46), ("gemma3", 62)];

/// Architectures whose families compute with `attention.sliding_window`.
const WINDOWED: [&str; 8] = ["gemma2", "gemma3", "gpt-oss", "llama", "mistral", "mistral3", "phi3", "starcoder2"];

type Keys = Vec<(&'static str, Value)>;

/// The keys of config.json that the family of `file` has beyond those of all.
///
/// # Errors
/// Keys of the wrong type, and what no family here computes.
pub fn keys(file: &Described) -> Result<Keys> {
    let whole = |name: &str| file.whole(name);
    let number = |name: &str| file.number(name);
    Ok(match file.architecture.name {
        "llama" if experts(file)? > 0 => {
            let mut keys = vec![("model_type", json!("mixtral")), ("num_local_experts", json!(experts(file)?))];
            keys.push(("num_experts_per_tok", json!(file.required("expert_used_count")?)));
            keys
        }
        // Llama has no windows, and Mistral is Llama with one.
        "llama" if whole("attention.sliding_window")?.is_some_and(|window| window > 0) => vec![("model_type", json!("mistral"))],
        "qwen2moe" => {
            let mut keys = qwen_experts(file, false)?;
            let shared = file.shape("blk.0.ffn_gate_shexp.weight").map(|shape| shape[0]);
            keys.push(("shared_expert_intermediate_size", json!(shared)));
            keys.push(("qkv_bias", json!(file.has("blk.0.attn_q.bias"))));
            keys
        }
        "qwen3moe" => qwen_experts(file, true)?,
        "gemma2" => {
            let mut keys = vec![("query_pre_attn_scalar", json!(gemma_scalar(file)?))];
            keys.push(("sliding_window", json!(whole("attention.sliding_window")?.unwrap_or(4096))));
            // Where it does not say, both programs take the same caps.
            for (name, key) in
                [("attn_logit_softcapping", "attn_logit_softcapping"), ("final_logit_softcapping", "final_logit_softcapping")]
            {
                keys.extend(number(key)?.map(|cap| (name, json!(cap))));
            }
            keys
        }
        "gemma3" => gemma3(file)?,
        "phi2" => vec![("qk_layernorm", json!(false))],
        "phi3" => match whole("rope.scaling.original_context_length")? {
            Some(original) => vec![("original_max_position_embeddings", json!(original))],
            None => Vec::new(),
        },
        "gptneox" => {
            let key = file.key("use_parallel_residual");
            vec![("use_parallel_residual", json!(file.metadata.truth(&key)?.unwrap_or(true)))]
        }
        "falcon" => {
            let several = file.metadata.uniform(&file.key("attention.head_count_kv"))?.is_some_and(|heads| heads > 1);
            let two_norms = file.has("blk.0.attn_norm_2.weight");
            let mut keys = vec![("new_decoder_architecture", json!(several || two_norms)), ("multi_query", json!(!several))];
            keys.push(("num_ln_in_parallel_attn", json!(if two_norms { 2 } else { 1 })));
            keys.push(("bias", json!(file.has("blk.0.attn_qkv.bias"))));
            keys
        }
        "starcoder2" => vec![("use_bias", json!(file.has("blk.0.attn_q.bias")))],
        "stablelm" => vec![
            ("use_parallel_residual", json!(!file.has("blk.0.ffn_norm.weight"))),
            ("qk_layernorm", json!(file.has("blk.0.attn_q_norm.weight"))),
            ("use_qkv_bias", json!(file.has("blk.0.attn_q.bias"))),
        ],
        // Without a factor the logits are as they are.
        "command-r" => vec![("logit_scale", json!(number("logit_scale")?)), ("use_qk_norm", json!(file.has("blk.0.attn_q_norm.weight")))],
        "gpt-oss" => vec![
            ("num_local_experts", json!(experts(file)?)),
            ("num_experts_per_tok", json!(file.required("expert_used_count")?)),
            ("intermediate_size", json!(whole("expert_feed_forward_length")?.or(whole("feed_forward_length")?))),
        ],
        "granite" => {
            let scores = match number("attention.scale")? {
                Some(scale) => scale,
                None => 1.0 / (file.head_dim()?.max(1) as f64).sqrt(),
            };
            let mut keys = vec![("attention_multiplier", json!(scores))];
            for (name, key) in
                [("embedding_multiplier", "embedding_scale"), ("residual_multiplier", "residual_scale"), ("logits_scaling", "logit_scale")]
            {
                keys.extend(number(key)?.map(|factor| (name, json!(factor))));
            }
            keys
        }
        _ => Vec::new(),
    })
}

fn experts(file: &Described) -> Result<u64> {
    Ok(file.whole("expert_count")?.unwrap_or(0))
}

/// Qwen's mixtures; a layer without a router has one feed-forward layer.
fn qwen_experts(file: &Described, normalized: bool) -> Result<Keys> {
    let layers = file.required("block_count")?.min(1 << 12);
    let dense: Vec<u64> = (0..layers).filter(|layer| !file.has(&format!("blk.{layer}.ffn_gate_inp.weight"))).collect();
    let router = (0..layers).find(|layer| !dense.contains(layer)).unwrap_or(0);
    let width = match file.whole("expert_feed_forward_length")? {
        Some(width) => Some(width),
        None => file.shape(&format!("blk.{router}.ffn_up_exps.weight")).and_then(|shape| Some(*shape.get(1)? as u64)),
    };
    Ok(vec![
        ("num_experts", json!(experts(file)?)),
        ("num_experts_per_tok", json!(file.required("expert_used_count")?)),
        ("moe_intermediate_size", json!(width)),
        ("norm_topk_prob", json!(normalized)),
        ("decoder_sparse_step", json!(1)),
        ("mlp_only_layers", json!(dense)),
    ])
}

/// The `query_pre_attn_scalar` of Gemma 2 and 3.
fn gemma_scalar(file: &Described) -> Result<u64> {
    let layers = file.required("block_count")?;
    if GEMMA_27B_LAYERS.contains(&(file.architecture.name, layers)) {
        return Ok(file.required("embedding_length")? / file.required("attention.head_count")?.max(1));
    }
    file.head_dim()
}

/// Gemma 3: which layers have a window, and their rotation.
fn gemma3(file: &Described) -> Result<Keys> {
    let layers = file.required("block_count")?.min(1 << 12) as usize;
    let key = file.key("attention.sliding_window_pattern");
    let window = file.whole("attention.sliding_window")?.filter(|window| *window > 0);
    let slides: Vec<bool> = match file.metadata.numbers(&key) {
        _ if window.is_none() => vec![false; layers],
        Ok(Some(listed)) => listed.iter().map(|slides| *slides != 0.0).collect(),
        Ok(None) | Err(_) => {
            let pattern = file.metadata.whole(&key)?.unwrap_or(6).max(1) as usize;
            (1..=layers).map(|layer| layer % pattern != 0).collect()
        }
    };
    let types: Vec<_> = slides.into_iter().map(|slides| if slides { "sliding_attention" } else { "full_attention" }).collect();
    let mut keys = vec![("layer_types", json!(types)), ("query_pre_attn_scalar", json!(gemma_scalar(file)?))];
    keys.push(("rope_local_base_freq", json!(file.number("rope.freq_base_swa")?.unwrap_or(10_000.0))));
    keys.extend(file.number("final_logit_softcapping")?.filter(|cap| *cap > 0.0).map(|cap| ("final_logit_softcapping", json!(cap))));
    Ok(keys)
}

/// Refuses keys that ask for what is not computed here, whatever the architecture.
///
/// # Errors
/// Such a key, by its name.
pub fn refuse_unknown(file: &Described) -> Result<()> {
    let causal = file.key("attention.causal");
    if file.metadata.truth(&causal)? == Some(false) {
        return Err(file.metadata.wrong(&causal, "false", "true: a model that writes text"));
    }
    // Softmax over all experts is 1.
    let numbers = [
        ("attention.clamp_kqv", 0.0),
        ("attention.max_alibi_bias", 0.0),
        ("expert_gating_func", 1.0),
        ("expert_weights_scale", 1.0),
        ("expert_group_count", 1.0),
        // Ministral 3 scales attention by position.
        ("attention.temperature_scale", 0.0),
        ("rope.scaling.yarn_log_multiplier", 0.0),
    ];
    for (name, known) in numbers {
        if let Some(other) = file.number(name)?.filter(|number| *number != known && *number != 0.0) {
            return Err(file.metadata.wrong(&file.key(name), other, known));
        }
    }
    refuse_windows(file)
}

/// Refuses a window that a file of another architecture has; one that reaches over all positions is none.
fn refuse_windows(file: &Described) -> Result<()> {
    let name = file.architecture.name;
    let Some(window) = file.whole("attention.sliding_window")?.filter(|window| *window > 0) else { return Ok(()) };
    // Olmo 3 has this architecture, too, and windows.
    let is_other = name == "olmo2";
    if WINDOWED.contains(&name) || !is_other && window >= file.required("context_length")? {
        return Ok(());
    }
    let error = file.metadata.wrong(&file.key("attention.sliding_window"), window, format!("none, as `{name}` has"));
    Err(if is_other { error.with_hint("OLMo 3 is not computed here yet") } else { error })
}
