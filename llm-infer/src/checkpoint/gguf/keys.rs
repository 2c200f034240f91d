//! The metadata of a GGUF file about the model, and what tells whether it says all of a configuration: `config.rs` the other way.

use llm_model::{ModelConfig, NormType, RopeConfig, RopeScaling};
use serde_json::Value;

use super::names::Architecture;
use super::types::GgmlType;
use super::write::{Item, Keys};

/// The tensor of the factors of rotary frequencies.
pub const ROPE_FREQS: &str = "rope_freqs.weight";

/// Types of most weights and the numbers that `general.file_type` has for them.
const FILE_TYPES: [(GgmlType, u32); 6] =
    [(GgmlType::F32, 0), (GgmlType::F16, 1), (GgmlType::Q4_0, 2), (GgmlType::Q4_1, 3), (GgmlType::Q8_0, 7), (GgmlType::Bf16, 32)];

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
    let epsilon = if config.norm == NormType::Rms { "attention.layer_norm_rms_epsilon" } else { "attention.layer_norm_epsilon" };
    put(epsilon, Item::Number(config.rms_norm_eps as f32));
    put("rope.dimension_count", whole(config.rope.dim));
    put("rope.freq_base", Item::Number(config.rope.theta as f32));
    if let Some(window) = config.sliding_windows.iter().flatten().next() {
        put("attention.sliding_window", whole(*window));
    }
    for (key, cap) in [("attn_logit_softcapping", config.attention_softcap), ("final_logit_softcapping", config.logits_softcap)] {
        if let Some(cap) = cap {
            put(key, Item::Number(cap as f32));
        }
    }
    put_scaling(&config.rope, &mut put);
    keys
}

/// How the rotation is stretched; factors that a tensor holds ([`rope_factors`]) need no key.
fn put_scaling(rope: &RopeConfig, put: &mut impl FnMut(&str, Item)) {
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
        _ => {}
    }
}

/// The divisors of the rotary frequencies that the file needs as the tensor [`ROPE_FREQS`].
pub fn rope_factors(config: &ModelConfig) -> Option<Vec<f32>> {
    let rope = &config.rope;
    let same = |short: &[f64], long: &[f64], attention: f64| short == long && attention == 1.0;
    match &rope.scaling {
        RopeScaling::Llama3 { .. } => {
            let plain = RopeConfig { scaling: RopeScaling::Default, ..rope.clone() };
            let length = config.max_position_embeddings;
            Some(plain.frequencies(length).iter().zip(rope.frequencies(length)).map(|(plain, stretched)| plain / stretched).collect())
        }
        RopeScaling::LongRope { short_factor, long_factor, attention_factor, .. } if same(short_factor, long_factor, *attention_factor) => {
            Some(short_factor.iter().map(|factor| *factor as f32).collect())
        }
        _ => None,
    }
}

/// The first field in which a model that was read differs from the one that was `meant`: its name, and what it is in both.
///
/// Numbers are compared as those of 32 bits, which is what files hold, and rotations by their frequencies.
pub fn difference(read: &ModelConfig, meant: &ModelConfig) -> Option<[String; 3]> {
    let json = |config: &ModelConfig| serde_json::to_value(config).unwrap_or(Value::Null);
    let (read_json, meant_json) = (json(read), json(meant));
    let fields = |json: &Value| json.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut names = fields(&meant_json);
    names.extend(fields(&read_json).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let skipped = ["model_type", "rope", "local_rope"];
    for name in names.iter().filter(|name| !skipped.contains(&name.as_str())) {
        if !alike(&read_json[name], &meant_json[name]) {
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
