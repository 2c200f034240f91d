//! Models of texts and images, of which the language model is computed: its configuration is `text_config`, beside those of the rest.

use serde_json::json;

use super::fields::{Fields, quoted};
use super::layout::Layout;
use crate::{ConfigError, ModelConfig};

/// A family around another one.
pub(super) struct Wrapper {
    /// Its `model_type`.
    pub name: &'static str,
    /// The `model_type` of its language model.
    text: &'static str,
    /// What `text_config` need not say in this family, though files of the language model alone do.
    absent: &'static [(&'static str, u64)],
}

pub(super) const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        name: "gemma3",
        text: "gemma3_text",
        absent: &[
            ("vocab_size", 262_208),
            ("hidden_size", 2304),
            ("intermediate_size", 9216),
            ("num_hidden_layers", 26),
            ("num_attention_heads", 8),
        ],
    },
    Wrapper { name: "mistral3", text: "mistral", absent: &[] },
];

/// Keys that count for the language model where they stand beside it.
const BESIDE: [&str; 2] = ["tie_word_embeddings", "quantization_config"];

/// Where the parts of the language model stand, in files of transformers 4 and 5.
const PREFIXES: &[(&str, &str)] = &[(".language_model.model.", "."), (".language_model.", ".")];

/// What reads images.
const OTHERS: &[&str] = &["vision_tower", "vision_model", "multi_modal_projector"];

/// The wrapper of that name.
pub(super) fn of(model_type: &str) -> Option<&'static Wrapper> {
    WRAPPERS.iter().find(|wrapper| wrapper.name == model_type)
}

impl Wrapper {
    /// The configuration of the language model in `outer`, read by `read`.
    pub fn config(
        &self,
        outer: &Fields,
        read: impl FnOnce(&Fields) -> Result<ModelConfig, ConfigError>,
    ) -> Result<ModelConfig, ConfigError> {
        let Some(text) = outer.object("text_config")? else { return Err(outer.wrong("text_config", "nothing", "an object")) };
        let model_type = text.string_or("model_type", self.text)?;
        if model_type != self.text {
            return Err(text.wrong("model_type", quoted(model_type), format!("{}, as in {}", self.text, self.name)));
        }
        let mut json = text.json.clone();
        json["model_type"] = json!(self.text);
        for (key, value) in self.absent.iter().filter(|(key, _)| !text.has(key)) {
            json[key] = json!(value);
        }
        for key in BESIDE {
            if let Some(value) = outer.get(key) {
                json[key] = value.clone();
            }
        }
        let mut fields = Fields::new(&json)?;
        fields.prefix.clone_from(&text.prefix);
        let config = read(&fields)?;
        Ok(ModelConfig { model_type: self.name.to_owned(), ..config })
    }

    /// How the language model is stored, where `inner` says how files of it alone are.
    pub fn layout(&self, config: &ModelConfig, inner: impl FnOnce(&ModelConfig) -> Option<Layout>) -> Layout {
        let inner = inner(&ModelConfig { model_type: self.text.to_owned(), ..config.clone() }).unwrap_or_default();
        debug_assert!(inner.renames.is_empty(), "its tensors have the usual names");
        Layout { renames: PREFIXES, others: OTHERS, ..inner }
    }
}
