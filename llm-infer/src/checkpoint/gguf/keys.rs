//! The metadata of a GGUF file about the model, and what tells whether it says all of a configuration: `config.rs` the other way.

use llm_model::{LayerType, ModelConfig, QkNorm, RopeConfig, RopeScaling};
use serde_json::Value;

use super::names::Architecture;
use super::types::GgmlType;
use super::write::{Item, Keys};

/// Architectures whose files have `attention.sliding_window`, and whether layers see as little as that in llama.cpp, too.
const WINDOWED: [(&str, bool); 6] =
    [("gemma2", true), ("gemma3", true), ("gpt-oss", true), ("llama", false), ("phi3", false), ("starcoder2", false)];

/// Architectures for which llama.cpp reads biases of other projections than queries, keys and values, and whether it asks for them.
const BIASED: [(&str, bool); 8] = [
    ("gpt-oss", true),
    ("gpt2", true),
    ("gptneox", true),
    ("granite", false),
    ("llama", false),
    ("mistral3", false),
    ("phi2", true),
    ("starcoder2", true),
];

/// Architectures for which llama.cpp reads factors of rotary frequencies: one set, or one for short texts and one for long ones.
const FACTORS: [&str; 3] = ["llama", "mistral3", "granite"];
const FACTORS_BY_LENGTH: [&str; 4] = ["llama", "mistral3", "granite", "phi3"];

/// Types of most weights and the numbers that `general.file_type` has for them.
const FILE_TYPES: [(GgmlType, u32); 10] = [
    (GgmlType::F32, 0),
    (GgmlType::F16, 1),
    (GgmlType::Q4_0, 2),
    (GgmlType::Q4_1, 3),
    (GgmlType::Q8_0, 7),
    (GgmlType::Q5_0, 8),
    (GgmlType::Q5_1, 9),
    (GgmlType::Iq4Nl, 25),
    (GgmlType::Bf16, 32),
    (GgmlType::Mxfp4, 38),
];

/// The keys of `config`, for a file most of whose weights are of type `kind`.
pub fn keys(architecture: &Architecture, config: &ModelConfig, name: &str, kind: GgmlType) -> Keys {
    let mut keys: Keys = vec![
        ("general.architecture".to_owned(), Item::Text(architecture.name.to_owned())),
        ("general.type".to_owned(), Item::Text("model".to_owned())),
        ("general.name".to_owned(), Item::Text(name.to_owned())),
    ];
    if let Some((_, number)) = FILE_TYPES.iter().find(|(known, _)| *known == kind) {
        keys.push(("general.file_type".to_owned(), Item::Whole(*number)));
    }
    if kind.dtype().is_none() {
        keys.push(("general.quantization_version".to_owned(), Item::Whole(2)));
    }
    let mut put = |key: &str, item: Item| keys.push((format!("{}.{key}", architecture.name), item));
    let whole = |number: usize| Item::Whole(number as u32);
    put("vocab_size", whole(config.vocab_size));
    put("context_length", whole(config.max_position_embeddings));
    put("embedding_length", whole(config.hidden_size));
    put("block_count", whole(config.num_hidden_layers));
    put("feed_forward_length", whole(config.intermediate_size));
    put("attention.head_count", whole(config.num_attention_heads));
    put("attention.head_count_kv", whole(config.num_key_value_heads));
    put("attention.key_length", whole(config.head_dim));
    put("attention.value_length", whole(config.head_dim));
    put(architecture.epsilon.0, Item::Number(config.rms_norm_eps as f32));
    if config.learned_positions.is_none() {
        put("rope.dimension_count", whole(config.rope.dim));
        put("rope.freq_base", Item::Number(config.rope.theta as f32));
    }
    if let Some(window) = config.sliding_windows.iter().flatten().next().filter(|_| heeds_windows(architecture).is_some()) {
        put("attention.sliding_window", whole(*window));
    }
    for (key, cap) in [("attn_logit_softcapping", config.attention_softcap), ("final_logit_softcapping", config.logits_softcap)] {
        if let Some(cap) = cap {
            put(key, Item::Number(cap as f32));
        }
    }
    put_scaling(architecture, &config.rope, &mut put);
    put_experts(config, &mut put);
    put_family(architecture, config, &mut put);
    keys
}

/// Whether llama.cpp computes with the window that a file of the architecture has; `None` where files have none.
fn heeds_windows(architecture: &Architecture) -> Option<bool> {
    WINDOWED.iter().find(|(name, _)| *name == architecture.name).map(|(_, heeded)| *heeded)
}

/// A window that does not reach over all positions of the model, which would be none.
fn window(config: &ModelConfig) -> Option<usize> {
    config.sliding_windows.iter().flatten().copied().find(|window| *window < config.max_position_embeddings)
}

/// The experts of a mixture.
fn put_experts(config: &ModelConfig, put: &mut impl FnMut(&str, Item)) {
    let Some(experts) = &config.experts else { return };
    let mut whole = |key: &str, number: usize| put(key, Item::Whole(number as u32));
    whole("expert_count", experts.num_experts);
    whole("expert_used_count", experts.num_experts_per_tok);
    whole("expert_feed_forward_length", experts.intermediate_size);
    if let Some(shared) = experts.shared_intermediate_size {
        whole("expert_shared_feed_forward_length", shared);
    }
}

/// What only some families have: `families.rs` the other way.
fn put_family(architecture: &Architecture, config: &ModelConfig, put: &mut impl FnMut(&str, Item)) {
    let number = |number: f64| Item::Number(number as f32);
    match architecture.name {
        "gemma3" => {
            if let Some(local) = &config.local_rope {
                put("rope.freq_base_swa", number(local.theta));
            }
            let slides: Vec<bool> = config.sliding_windows.iter().map(Option::is_some).collect();
            // What programs take for granted: five layers with a window, then one without.
            if slides.iter().any(|slides| *slides) && slides.iter().enumerate().any(|(layer, slides)| *slides == (layer % 6 == 5)) {
                put("attention.sliding_window_pattern", Item::Truths(slides));
            }
        }
        "phi3" => {
            if !matches!(config.rope.scaling, RopeScaling::LongRope { .. }) {
                put("rope.scaling.original_context_length", Item::Whole(config.max_position_embeddings as u32));
            }
            // A window of 0 tells Phi 4 from Phi 3.
            if config.sliding_windows.iter().all(Option::is_none) {
                put("attention.sliding_window", Item::Whole(0));
            }
        }
        "gptneox" | "stablelm" => put("use_parallel_residual", Item::Truth(config.layer != LayerType::PreNorm)),
        "falcon" => put("tensor_data_layout", Item::Text("jploski".to_owned())),
        "command-r" => {
            put("logit_scale", number(config.logits_multiplier.unwrap_or(1.0)));
            if config.rope.scaling == RopeScaling::Default {
                put("rope.scaling.type", Item::Text("none".to_owned()));
            }
        }
        "granite" => {
            let scores = config.attention_scale.unwrap_or(1.0 / (config.head_dim as f64).sqrt());
            put("attention.scale", number(scores));
            put("embedding_scale", number(config.embedding_multiplier.unwrap_or(1.0)));
            put("residual_scale", number(config.residual_multiplier.unwrap_or(1.0)));
            put("logit_scale", number(1.0 / config.logits_multiplier.unwrap_or(1.0)));
        }
        _ => {}
    }
}

/// How the rotation is stretched; factors that a tensor holds ([`rope_factors`]) need no key.
fn put_scaling(architecture: &Architecture, rope: &RopeConfig, put: &mut impl FnMut(&str, Item)) {
    match &rope.scaling {
        RopeScaling::Linear { factor } => {
            put("rope.scaling.type", Item::Text("linear".to_owned()));
            put("rope.scaling.factor", Item::Number(*factor as f32));
        }
        RopeScaling::Yarn { factor, original_max_position_embeddings, beta_fast, beta_slow, attention_factor, .. } => {
            put("rope.scaling.type", Item::Text("yarn".to_owned()));
            put("rope.scaling.factor", Item::Number(*factor as f32));
            put("rope.scaling.original_context_length", Item::Whole(*original_max_position_embeddings as u32));
            put("rope.scaling.yarn_beta_fast", Item::Number(*beta_fast as f32));
            put("rope.scaling.yarn_beta_slow", Item::Number(*beta_slow as f32));
            // Programs multiply by the usual factor themselves.
            let usual = 0.1 * factor.max(1.0).ln() + 1.0;
            if (attention_factor / usual - 1.0).abs() > 1e-6 {
                put("rope.scaling.attn_factor", Item::Number((attention_factor / usual) as f32));
            }
        }
        RopeScaling::LongRope { original_max_position_embeddings, attention_factor, .. } if !has_one_set(architecture, rope) => {
            put("rope.scaling.type", Item::Text("longrope".to_owned()));
            put("rope.scaling.original_context_length", Item::Whole(*original_max_position_embeddings as u32));
            put("rope.scaling.attn_factor", Item::Number(*attention_factor as f32));
        }
        _ => {}
    }
}

/// Whether the factors are the same for all lengths, which is what Llama 3's scaling becomes in a file.
fn has_one_set(architecture: &Architecture, rope: &RopeConfig) -> bool {
    let RopeScaling::LongRope { short_factor, long_factor, attention_factor, .. } = &rope.scaling else { return false };
    short_factor == long_factor && *attention_factor == 1.0 && architecture.name != "phi3"
}

/// The divisors of the rotary frequencies that the file needs as tensors, by their names.
pub fn rope_factors(architecture: &Architecture, config: &ModelConfig) -> Vec<(&'static str, Vec<f32>)> {
    let rope = &config.rope;
    let narrow = |factors: &[f64]| factors.iter().map(|factor| *factor as f32).collect();
    match &rope.scaling {
        RopeScaling::Llama3 { .. } => {
            let plain = RopeConfig { scaling: RopeScaling::Default, ..rope.clone() };
            let length = config.max_position_embeddings;
            let (plain, stretched) = (plain.frequencies(length), rope.frequencies(length));
            vec![("rope_freqs.weight", plain.iter().zip(stretched).map(|(plain, stretched)| plain / stretched).collect())]
        }
        RopeScaling::LongRope { short_factor, .. } if has_one_set(architecture, rope) => vec![("rope_freqs.weight", narrow(short_factor))],
        RopeScaling::LongRope { short_factor, long_factor, .. } => {
            vec![("rope_factors_long.weight", narrow(long_factor)), ("rope_factors_short.weight", narrow(short_factor))]
        }
        _ => Vec::new(),
    }
}

/// What a file could say but llama.cpp would refuse: the field, what it is, and what llama.cpp knows.
pub fn unloadable(architecture: &Architecture, config: &ModelConfig) -> Option<[String; 3]> {
    let refusal =
        |field: &str, got: String, expected: &str| Some([field.to_owned(), got, format!("{expected} in `{}`", architecture.name)]);
    if let Some(layers) = config.experts.as_ref().map(|experts| &experts.dense_layers).filter(|layers| !layers.is_empty()) {
        return refusal("mlp_only_layers", format!("{layers:?}"), "experts in every layer, as llama.cpp has them");
    }
    let biased = BIASED.iter().find(|(name, _)| *name == architecture.name);
    if biased.is_none() && (config.o_bias || config.mlp_bias) {
        return refusal("attention_bias", "biases".to_owned(), "none behind attention and in feed-forward layers, as llama.cpp has it");
    }
    if biased.is_some_and(|(_, required)| *required) && !(config.qkv_bias && config.o_bias && config.mlp_bias) {
        return refusal("attention_bias", "no biases".to_owned(), "biases, as llama.cpp asks for them");
    }
    if let Some(window) = window(config).filter(|_| heeds_windows(architecture).is_none()) {
        return refusal("sliding_window", format!("`{window}`"), "no window below max_position_embeddings, as llama.cpp has none");
    }
    let factors = rope_factors(architecture, config);
    let known = match factors.len() {
        0 => return None,
        1 => FACTORS.contains(&architecture.name),
        _ => FACTORS_BY_LENGTH.contains(&architecture.name),
    };
    if known { None } else { refusal("rope_scaling", "factors of frequencies".to_owned(), "none, as llama.cpp reads no such tensor") }
}

/// What a file says and llama.cpp takes no notice of.
pub fn unheeded(architecture: &Architecture, config: &ModelConfig) -> Vec<String> {
    let mut notices = Vec::new();
    if let RopeScaling::Yarn { beta_fast, beta_slow, .. } = config.rope.scaling
        && (beta_fast, beta_slow) != (32.0, 1.0)
    {
        notices.push(format!("llama.cpp takes no notice of beta_fast = {beta_fast} and beta_slow = {beta_slow} of YaRN: it has 32 and 1"));
    }
    if architecture.name == "command-r" && (config.qk_norm != QkNorm::None) != (config.num_hidden_layers >= 64) {
        notices.push(
            "llama.cpp asks for norms of queries and keys from 64 layers on, and knows none below: it will refuse the file".to_owned(),
        );
    }
    if let Some(window) = window(config).filter(|_| heeds_windows(architecture) == Some(false)) {
        notices.push(format!("llama.cpp takes no notice of the window of {window} positions: beyond them it computes something else"));
    }
    notices
}

/// The first field in which a model that was read differs from the one that was `meant`: its name, and what it is in both.
///
/// Numbers are compared as those of 32 bits, which is what files hold, rotations by their frequencies, and windows where they are some.
pub fn difference(read: &ModelConfig, meant: &ModelConfig) -> Option<[String; 3]> {
    let json = |config: &ModelConfig| {
        let mut config = config.clone();
        let positions = config.max_position_embeddings;
        config.sliding_windows.iter_mut().for_each(|window| *window = window.filter(|window| *window < positions));
        serde_json::to_value(config).unwrap_or(Value::Null)
    };
    let (read_json, meant_json) = (json(read), json(meant));
    let fields = |json: &Value| json.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut names = fields(&meant_json);
    names.extend(fields(&read_json).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let skipped = ["model_type", "rope", "local_rope"];
    // A factor of 1 is none.
    let value = |json: &Value, name: &str| match &json[name] {
        Value::Null if name.ends_with("_multiplier") => Value::from(1.0),
        other => other.clone(),
    };
    for name in names.iter().filter(|name| !skipped.contains(&name.as_str())) {
        if !alike(&value(&read_json, name), &value(&meant_json, name)) {
            return Some([name.clone(), read_json[name].to_string(), meant_json[name].to_string()]);
        }
    }
    let local = (read.local_rope.as_ref(), meant.local_rope.as_ref());
    let ropes = [("rope", Some(&read.rope), Some(&meant.rope)), ("local_rope", local.0, local.1)];
    let length = meant.max_position_embeddings;
    let differs = |read: Option<&RopeConfig>, meant: Option<&RopeConfig>| match (read, meant) {
        (Some(read), Some(meant)) => !turns_alike(read, meant, length),
        (read, meant) => read.is_some() != meant.is_some(),
    };
    let (name, ..) = ropes.into_iter().find(|(_, read, meant)| differs(*read, *meant))?;
    Some([name.to_owned(), read_json[name].to_string(), meant_json[name].to_string()])
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().map(|x| x as f32) == b.as_f64().map(|x| x as f32),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => a == b,
    }
}

/// Whether two rotations turn the same at the first positions, at the last of `length`, and where keys are kept.
fn turns_alike(a: &RopeConfig, b: &RopeConfig, length: usize) -> bool {
    let near = |a: f32, b: f32| (a - b).abs() <= 2e-6 * b.abs();
    let grows = |rope: &RopeConfig| (1..8).map(|part| rope.keeps_keys(length * part / 8, length)).collect::<Vec<_>>();
    a.dim == b.dim
        && near(a.attention_factor(), b.attention_factor())
        && grows(a) == grows(b)
        && [1, length, 2 * length].iter().all(|length| {
            let (a, b) = (a.frequencies(*length), b.frequencies(*length));
            a.iter().zip(&b).all(|(a, b)| near(*a, *b))
        })
}
