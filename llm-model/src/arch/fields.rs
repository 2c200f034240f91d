//! Typed reading of `config.json`, with errors that name the key.

use serde_json::Value;

use crate::{Activation, ConfigError, ModelConfig, RopeConfig, RopeScaling};

/// Larger sizes than any model has; refused before they are multiplied.
const MAX_SIZE: u64 = 1 << 24;
const MAX_LAYERS: u64 = 4096;
const MAX_POSITIONS: u64 = 1 << 32;

/// What a family assumes where a key is not written.
#[derive(Default)]
pub(super) struct Defaults {
    pub num_key_value_heads: Option<usize>,
    pub head_dim: Option<usize>,
}

/// A JSON object whose values are read by key and type.
pub(super) struct Fields<'a> {
    prefix: String,
    json: &'a Value,
}

impl<'a> Fields<'a> {
    pub fn new(json: &'a Value) -> Result<Self, ConfigError> {
        if !json.is_object() {
            return Err(ConfigError::new("config.json", kind(json), "an object"));
        }
        Ok(Self { prefix: String::new(), json })
    }

    /// Whether `key` stands there, be it as `null`.
    pub fn has(&self, key: &str) -> bool {
        self.json.get(key).is_some()
    }

    /// The value of `key`; `null` counts as absent, as in transformers.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, got: impl ToString, expected: impl ToString) -> ConfigError {
        ConfigError::new(format!("{}{key}", self.prefix), got, expected)
    }

    pub fn object(&self, key: &str) -> Result<Option<Fields<'a>>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(json) if json.is_object() => Ok(Some(Fields { prefix: format!("{}{key}.", self.prefix), json })),
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
        let max_position_embeddings = self.positions("max_position_embeddings")?.unwrap_or(2048);
        Ok(ModelConfig {
            model_type: self.string("model_type")?.to_owned(),
            vocab_size: self.size("vocab_size")?,
            hidden_size,
            intermediate_size: self.size("intermediate_size")?,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            rms_norm_eps: self.positive_or("rms_norm_eps", 1e-6)?,
            max_position_embeddings,
            tie_word_embeddings: self.bool_or("tie_word_embeddings", false)?,
            hidden_act: self.activation()?,
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            qk_norm: false,
            rope: self.rope(head_dim, max_position_embeddings)?,
            sliding_windows: vec![None; layers],
        })
    }

    fn activation(&self) -> Result<Activation, ConfigError> {
        match self.string_or("hidden_act", "silu")? {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => Err(self.wrong("hidden_act", quoted(other), "one of silu, gelu, gelu_new, gelu_pytorch_tanh")),
        }
    }

    /// Rotary embedding in the old spelling (`rope_theta`, `rope_scaling`) or the new one (`rope_parameters`).
    ///
    /// As in transformers, `rope_scaling` wins over `rope_parameters`, and keys inside over keys beside.
    fn rope(&self, head_dim: usize, max_positions: usize) -> Result<RopeConfig, ConfigError> {
        let parameters = match self.object("rope_scaling")? {
            Some(scaling) => Some(scaling),
            None => self.object("rope_parameters")?,
        };
        let outer_theta = self.positive("rope_theta")?;
        let outer_part = self.positive("partial_rotary_factor")?;
        let (theta, part, scaling) = match &parameters {
            Some(inner) => (inner.positive("rope_theta")?, inner.positive("partial_rotary_factor")?, inner.scaling(self, max_positions)?),
            None => (None, None, RopeScaling::Default),
        };
        let part = part.or(outer_part).unwrap_or(1.0);
        let dim = (head_dim as f64 * part) as usize;
        if dim < 2 || dim > head_dim || !dim.is_multiple_of(2) {
            return Err(self.wrong("partial_rotary_factor", part, format!("a share of head_dim = {head_dim} that rotates an even count")));
        }
        let theta = theta.or(outer_theta).unwrap_or(10_000.0);
        if theta <= 1.0 {
            return Err(self.wrong("rope_theta", theta, "a number above 1"));
        }
        Ok(RopeConfig { theta, dim, scaling })
    }

    /// The stretching that this `rope_scaling` or `rope_parameters` names; `model` holds the keys beside it.
    fn scaling(&self, model: &Fields, max_positions: usize) -> Result<RopeScaling, ConfigError> {
        if let Some((key, _)) = self.json.as_object().and_then(|all| all.iter().find(|(_, value)| value.is_object())) {
            return Err(self.wrong(key, "an object", "one rotary embedding for all layers"));
        }
        let kind = self.string_or("rope_type", self.string_or("type", "default")?)?;
        let original = match model.positions("original_max_position_embeddings")? {
            Some(outer) => outer,
            None => self.positions("original_max_position_embeddings")?.unwrap_or(max_positions),
        };
        Ok(match kind {
            "default" => RopeScaling::Default,
            "linear" => RopeScaling::Linear { factor: self.required_positive("factor")? },
            "dynamic" => {
                RopeScaling::Dynamic { factor: self.required_positive("factor")?, original_max_position_embeddings: max_positions }
            }
            "llama3" => self.llama3(original)?,
            "yarn" => self.yarn(original, max_positions)?,
            other => {
                return Err(self.wrong("rope_type", quoted(other), "one of default, linear, dynamic, llama3, yarn"));
            }
        })
    }

    fn llama3(&self, original_max_position_embeddings: usize) -> Result<RopeScaling, ConfigError> {
        let low_freq_factor = self.required_positive("low_freq_factor")?;
        let high_freq_factor = self.required_positive("high_freq_factor")?;
        if high_freq_factor <= low_freq_factor {
            return Err(self.wrong("high_freq_factor", high_freq_factor, format!("more than low_freq_factor = {low_freq_factor}")));
        }
        let factor = self.required_positive("factor")?;
        Ok(RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings })
    }

    fn yarn(&self, original: usize, max_positions: usize) -> Result<RopeScaling, ConfigError> {
        let factor = self.positive("factor")?.unwrap_or(max_positions as f64 / original as f64);
        let scale = |m: f64| if factor <= 1.0 { 1.0 } else { 0.1 * m * factor.ln() + 1.0 };
        let attention_factor = match self.positive("attention_factor")? {
            Some(given) => given,
            None => match (self.number("mscale"), self.number("mscale_all_dim")) {
                (Some(m), Some(all)) if m != 0.0 && all != 0.0 => scale(m) / scale(all),
                _ => scale(1.0),
            },
        };
        Ok(RopeScaling::Yarn {
            factor,
            original_max_position_embeddings: original,
            beta_fast: self.positive_or("beta_fast", 32.0)?,
            beta_slow: self.positive_or("beta_slow", 1.0)?,
            attention_factor,
            truncate: self.bool_or("truncate", true)?,
        })
    }

    fn number(&self, key: &str) -> Option<f64> {
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
        let Some(types) = self.get("layer_types") else {
            let first = self.get("max_window_layers").and_then(Value::as_u64).unwrap_or(28) as usize;
            return Ok((0..layers).map(|i| window.filter(|_| i >= first)).collect());
        };
        let types = types.as_array().filter(|types| types.len() == layers);
        let types = types.ok_or_else(|| self.wrong("layer_types", "another length or type", format!("a list of {layers} names")))?;
        types
            .iter()
            .map(|name| match name.as_str() {
                Some("full_attention") => Ok(None),
                Some("sliding_attention") => Ok(window),
                _ => Err(self.wrong("layer_types", shown(name), "full_attention or sliding_attention")),
            })
            .collect()
    }
}

fn kind(value: &Value) -> &'static str {
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
