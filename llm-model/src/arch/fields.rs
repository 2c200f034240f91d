//! Typed reading of `config.json`, with errors that name the key.

use serde_json::Value;

use crate::{Activation, ConfigError, ExpertsConfig, LayerType, MlpType, ModelConfig, NormType, QkNorm};

/// Larger sizes than any model has; refused before they are multiplied.
const MAX_SIZE: u64 = 1 << 24;
const MAX_LAYERS: u64 = 4096;
const MAX_EXPERTS: usize = 4096;
const MAX_POSITIONS: u64 = 1 << 32;

/// What a family assumes where a key is not written, and its name for some.
pub(super) struct Defaults {
    pub num_key_value_heads: Option<usize>,
    pub head_dim: Option<usize>,
    /// Four times the hidden size stands in for an absent key.
    pub intermediate_is_optional: bool,
    pub eps: (&'static str, f64),
    pub hidden_act: &'static str,
    pub tie_word_embeddings: bool,
    pub rope_theta: f64,
    pub partial_rotary_factor: f64,
    pub max_position_embeddings: usize,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            num_key_value_heads: None,
            head_dim: None,
            intermediate_is_optional: false,
            eps: ("rms_norm_eps", 1e-6),
            hidden_act: "silu",
            tie_word_embeddings: false,
            rope_theta: 10_000.0,
            partial_rotary_factor: 1.0,
            max_position_embeddings: 2048,
        }
    }
}

/// A JSON object whose values are read by key and type.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    pub(super) prefix: String,
    pub(super) json: &'a Value,
    /// Names that this reader knows, and what the family calls them.
    aliases: &'static [(&'static str, &'static str)],
    pub(super) without_ropes: bool,
}

impl<'a> Fields<'a> {
    pub fn new(json: &'a Value) -> Result<Self, ConfigError> {
        if !json.is_object() {
            return Err(ConfigError::new("config.json", kind(json), "an object"));
        }
        Ok(Self { prefix: String::new(), json, aliases: &[], without_ropes: false })
    }

    /// The same under the names of a family: pairs of ours and theirs.
    pub fn called(&self, aliases: &'static [(&'static str, &'static str)]) -> Self {
        Self { aliases, ..self.clone() }
    }

    /// What the family calls `key`.
    fn name<'k>(&self, key: &'k str) -> &'k str {
        self.aliases.iter().find(|(ours, _)| *ours == key).map_or(key, |(_, theirs)| theirs)
    }

    /// Whether `key` stands there, be it as `null`.
    pub fn has(&self, key: &str) -> bool {
        self.json.get(self.name(key)).is_some()
    }

    /// The value of `key`; `null` counts as absent, as in transformers.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.json.get(self.name(key)).filter(|value| !value.is_null())
    }

    pub fn wrong(&self, key: &str, got: impl ToString, expected: impl ToString) -> ConfigError {
        ConfigError::new(format!("{}{}", self.prefix, self.name(key)), got, expected)
    }

    /// The same without rotary embeddings, for a family that reads them itself.
    pub fn without_ropes(&self) -> Self {
        Self { without_ropes: true, ..self.clone() }
    }

    /// Refuses a switch that changes what is computed and is not known here.
    pub fn must_be(&self, key: &str, known: bool) -> Result<(), ConfigError> {
        match self.bool_or(key, known)? {
            value if value == known => Ok(()),
            value => Err(self.wrong(key, value, known)),
        }
    }

    pub fn object(&self, key: &str) -> Result<Option<Fields<'a>>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(json) if json.is_object() => {
                Ok(Some(Fields { prefix: format!("{}{}.", self.prefix, self.name(key)), json, aliases: &[], without_ropes: false }))
            }
            Some(other) => Err(self.wrong(key, kind(other), "an object")),
        }
    }

    pub fn string(&self, key: &str) -> Result<&'a str, ConfigError> {
        match self.get(key) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(key, kind(other), "a string")),
            None => Err(self.wrong(key, "nothing", "a string")),
        }
    }

    pub fn string_or(&self, key: &str, default: &'a str) -> Result<&'a str, ConfigError> {
        if self.get(key).is_none() { Ok(default) } else { self.string(key) }
    }

    fn whole(&self, key: &str, max: u64) -> Result<Option<usize>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (1..=max).contains(&n) => Ok(Some(n as usize)),
            _ => Err(self.wrong(key, shown(value), format!("a whole number from 1 to {max}"))),
        }
    }

    /// A required size of a model dimension.
    pub fn size(&self, key: &str) -> Result<usize, ConfigError> {
        self.whole(key, MAX_SIZE)?.ok_or_else(|| self.wrong(key, "nothing", "a whole number above 0"))
    }

    /// An optional size of a model dimension.
    pub fn size_or(&self, key: &str, default: usize) -> Result<usize, ConfigError> {
        Ok(self.whole(key, MAX_SIZE)?.unwrap_or(default))
    }

    /// An optional number of positions.
    pub fn positions(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        self.whole(key, MAX_POSITIONS)
    }

    pub fn layers(&self) -> Result<usize, ConfigError> {
        let key = "num_hidden_layers";
        self.whole(key, MAX_LAYERS)?.ok_or_else(|| self.wrong(key, "nothing", "a whole number above 0"))
    }

    /// A number above 0, finite also in f32.
    pub fn positive(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_f64() {
            Some(x) if x > 0.0 && (x as f32).is_finite() && x as f32 > 0.0 => Ok(Some(x)),
            _ => Err(self.wrong(key, shown(value), "a finite number above 0")),
        }
    }

    pub fn positive_or(&self, key: &str, default: f64) -> Result<f64, ConfigError> {
        Ok(self.positive(key)?.unwrap_or(default))
    }

    pub fn required_positive(&self, key: &str) -> Result<f64, ConfigError> {
        self.positive(key)?.ok_or_else(|| self.wrong(key, "nothing", "a finite number above 0"))
    }

    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => Err(self.wrong(key, kind(other), "true or false")),
        }
    }

    /// What the families have in common; biases, norms of heads and windows are left for each to set.
    ///
    /// `absent` stands in where `num_key_value_heads` or `head_dim` are not written at all, as transformers' classes have it.
    pub fn base(&self, absent: Defaults) -> Result<ModelConfig, ConfigError> {
        let hidden_size = self.size("hidden_size")?;
        let heads = self.size("num_attention_heads")?;
        let default_kv_heads = absent.num_key_value_heads.filter(|_| !self.has("num_key_value_heads"));
        let kv_heads = self.size_or("num_key_value_heads", default_kv_heads.unwrap_or(heads))?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(self.wrong("num_key_value_heads", kv_heads, format!("a divisor of num_attention_heads = {heads}")));
        }
        let head_dim = match self.whole("head_dim", MAX_SIZE)?.or(absent.head_dim.filter(|_| !self.has("head_dim"))) {
            Some(dim) => dim,
            None if hidden_size % heads == 0 => hidden_size / heads,
            None => {
                return Err(self.wrong("num_attention_heads", heads, format!("a divisor of hidden_size = {hidden_size}, or a head_dim")));
            }
        };
        if !head_dim.is_multiple_of(2) {
            return Err(self.wrong("head_dim", head_dim, "an even number"));
        }
        let layers = self.layers()?;
        let max_position_embeddings = self.positions("max_position_embeddings")?.unwrap_or(absent.max_position_embeddings);
        let intermediate_size = match self.whole("intermediate_size", MAX_SIZE)? {
            None if absent.intermediate_is_optional => 4 * hidden_size,
            None => self.size("intermediate_size")?,
            Some(size) => size,
        };
        let rope = self.rope(head_dim, max_position_embeddings, &absent)?;
        Ok(ModelConfig {
            model_type: self.string("model_type")?.to_owned(),
            vocab_size: self.size("vocab_size")?,
            hidden_size,
            intermediate_size,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            rms_norm_eps: self.positive_or(absent.eps.0, absent.eps.1)?,
            max_position_embeddings,
            tie_word_embeddings: self.bool_or("tie_word_embeddings", absent.tie_word_embeddings)?,
            hidden_act: self.activation(absent.hidden_act)?,
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            qk_norm: QkNorm::None,
            rope,
            sliding_windows: vec![None; layers],
            layer: LayerType::PreNorm,
            norm: NormType::Rms,
            mlp: MlpType::Gated,
            experts: None,
            clipped_gate: None,
            attention_sinks: false,
            attention_scale: None,
            attention_softcap: None,
            local_rope: None,
            rotations: Vec::new(),
            learned_positions: None,
            embedding_multiplier: None,
            residual_multiplier: None,
            logits_multiplier: None,
            logits_softcap: None,
            head_bias: false,
        })
    }

    /// Refuses experts of which a token would pass more than there are, or so many that no model has them.
    pub fn fitting(&self, experts: ExpertsConfig) -> Result<ExpertsConfig, ConfigError> {
        let (count, chosen) = (experts.num_experts, experts.num_experts_per_tok);
        if count > MAX_EXPERTS {
            return Err(self.wrong("num_experts", count, format!("at most {MAX_EXPERTS}")));
        }
        if chosen > count {
            return Err(self.wrong("num_experts_per_tok", chosen, format!("at most the {count} experts there are")));
        }
        Ok(experts)
    }

    fn activation(&self, default: &'static str) -> Result<Activation, ConfigError> {
        match self.string_or("hidden_act", default)? {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "quick_gelu" => Ok(Activation::GeluQuick),
            "relu" => Ok(Activation::Relu),
            "relu2" => Ok(Activation::ReluSquared),
            other => {
                let known = "one of silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, quick_gelu, relu, relu2";
                Err(self.wrong("hidden_act", quoted(other), known))
            }
        }
    }

    /// Any number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_f64)
    }

    /// Windows by layer as qwen's `layer_types`, or `use_sliding_window` with `max_window_layers`, say.
    pub fn windows_from(&self, layers: usize) -> Result<Vec<Option<usize>>, ConfigError> {
        let window = match self.bool_or("use_sliding_window", false)? {
            // Written as null it means none, as in transformers.
            true if self.has("sliding_window") => self.positions("sliding_window")?,
            true => Some(4096),
            false => None,
        };
        let first = self.get("max_window_layers").and_then(Value::as_u64).unwrap_or(28) as usize;
        let slides = self.sliding_layers(layers, |i| i >= first)?;
        Ok(slides.into_iter().map(|slides| window.filter(|_| slides)).collect())
    }

    /// Whether each layer has a window as `layer_types` says, or `absent` where it is not written.
    pub fn sliding_layers(&self, layers: usize, absent: impl Fn(usize) -> bool) -> Result<Vec<bool>, ConfigError> {
        let Some(types) = self.get("layer_types") else { return Ok((0..layers).map(absent).collect()) };
        let types = types.as_array().filter(|types| types.len() == layers);
        let types = types.ok_or_else(|| self.wrong("layer_types", "another length or type", format!("a list of {layers} names")))?;
        types
            .iter()
            .map(|name| match name.as_str() {
                Some("full_attention") => Ok(false),
                Some("sliding_attention") => Ok(true),
                _ => Err(self.wrong("layer_types", shown(name), "full_attention or sliding_attention")),
            })
            .collect()
    }
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The beginning of a text from a file, without control characters.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", text.chars().take(40).flat_map(char::escape_debug).collect::<String>())
}

/// A scalar as it stands in the file, anything else by its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(n) => n.to_string(),
        Value::String(text) => quoted(text),
        Value::Bool(b) => b.to_string(),
        other => kind(other).to_owned(),
    }
}
