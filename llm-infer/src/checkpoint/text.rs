//! Where the tokenizer and the chat template of a checkpoint are.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::new_file::write_atomic;
use crate::chat::{ChatTemplate, missing_template};
use crate::tokenizer::{Tokenizer, TokenizerSummary, Vocabulary};
use crate::{Error, Result};

/// Sources of chat templates.
#[derive(Debug, Default)]
pub(super) struct Templates {
    pub default: Option<String>,
    /// For conversations that offer tools.
    pub tool_use: Option<String>,
}

/// Where tokenizer and chat template of a model are.
pub(super) enum TextSource {
    /// In the files of a Hugging Face folder.
    Folder(PathBuf),
    /// In the weight file, or a file of tokens beside it.
    Tokens { vocabulary: Option<Box<Vocabulary>>, templates: Templates },
    /// In the binary.
    Embedded,
}

impl TextSource {
    /// The tokenizer; `path` is the model's.
    pub fn tokenizer(&self, path: &Path) -> Result<Tokenizer> {
        match self {
            Self::Folder(folder) => Tokenizer::open(folder),
            Self::Tokens { vocabulary: Some(vocabulary), .. } => vocabulary.tokenizer(),
            Self::Tokens { vocabulary: None, .. } | Self::Embedded => {
                Err(Error::invalid(path, "tokenizer", "nothing", "tokens in the file, or in `tokenizer.bin` beside one of llama2.c"))
            }
        }
    }

    /// What the tokenizer has; `path` is the model's.
    pub fn summary(&self, path: &Path) -> Result<TokenizerSummary> {
        match self {
            Self::Tokens { vocabulary: Some(vocabulary), .. } => vocabulary.summary(),
            _ => Ok(self.tokenizer(path)?.summary()),
        }
    }

    /// The chat template; `path` is the model's.
    pub fn template(&self, path: &Path) -> Result<ChatTemplate> {
        match self {
            Self::Folder(folder) => ChatTemplate::open(folder),
            Self::Tokens { templates: Templates { default: Some(template), tool_use }, .. } => {
                let config = self.config()?;
                let token = |key: &str| config.get(key).and_then(Value::as_str);
                let template = ChatTemplate::new(template.as_str(), token("bos_token"), token("eos_token"))?;
                match tool_use {
                    Some(source) => template.with_tool_use(source.as_str()),
                    None => Ok(template),
                }
            }
            Self::Tokens { .. } | Self::Embedded => Err(missing_template(path)),
        }
    }

    /// Writes them to `folder` as files of a Hugging Face folder; what is in one already, or in the binary, is left to others.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let Self::Tokens { vocabulary: Some(vocabulary), templates } = self else { return Ok(()) };
        let mut config = self.config()?;
        // So that transformers takes tokenizer.json as it is.
        config["tokenizer_class"] = json!("PreTrainedTokenizerFast");
        let named = [("default", &templates.default), ("tool_use", &templates.tool_use)];
        let named: Vec<Value> =
            named.into_iter().filter_map(|(name, source)| Some(json!({"name": name, "template": source.as_ref()?}))).collect();
        match (&templates.default, named.len()) {
            (Some(template), 1) => config["chat_template"] = json!(template),
            (Some(_), _) => config["chat_template"] = json!(named),
            (None, _) => {}
        }
        write_atomic(folder.join("tokenizer.json"), vocabulary.tokenizer()?.to_json()?.to_string().as_bytes())?;
        write_atomic(folder.join("tokenizer_config.json"), format!("{config:#}\n").as_bytes())
    }

    /// What tokenizer_config.json would say.
    fn config(&self) -> Result<Value> {
        match self {
            Self::Tokens { vocabulary: Some(vocabulary), .. } => vocabulary.config(),
            _ => Ok(Value::Object(serde_json::Map::new())),
        }
    }
}
