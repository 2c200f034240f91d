//! Where the chat template of a model folder stands.

use super::ChatTemplate;
use crate::{Error, Result};
use serde_json::Value as Json;
use std::path::Path;

impl ChatTemplate {
    /// The template of a model folder: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json` (a string or
    /// a list of named templates, of which `default` and `tool_use` are taken), else `chat_template.json`.
    ///
    /// # Errors
    /// [`Error::Template`] when there is none or it does not parse; [`Error::Io`] or [`Error::Invalid`] when a file cannot
    /// be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let config = read_json(&dir.join("tokenizer_config.json"))?.unwrap_or(Json::Null);
        let token = |name: &str| token_content(config.get(name)?);
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        if let Some(source) = read(&dir.join("chat_template.jinja"))? {
            return Self::new(source, bos.as_deref(), eos.as_deref());
        }
        let other = match config.get("chat_template") {
            Some(found) => Some(found.clone()),
            None => read_json(&dir.join("chat_template.json"))?.and_then(|json| json.get("chat_template").cloned()),
        };
        other.and_then(|found| from_config(&found, bos.as_deref(), eos.as_deref())).unwrap_or_else(|| Err(missing(dir)))
    }

    /// The template in a `tokenizer_config.json` that is called `path` in messages.
    ///
    /// # Errors
    /// As [`ChatTemplate::open`].
    pub fn from_tokenizer_config(path: &Path, config: &[u8]) -> Result<Self> {
        let config: Json = serde_json::from_slice(config).map_err(|error| Error::invalid(path, "json", error, "valid JSON"))?;
        let token = |name: &str| token_content(config.get(name)?);
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        let found = config.get("chat_template").and_then(|found| from_config(found, bos.as_deref(), eos.as_deref()));
        found.unwrap_or_else(|| Err(missing(path)))
    }
}

fn from_config(found: &Json, bos: Option<&str>, eos: Option<&str>) -> Option<Result<ChatTemplate>> {
    let Some(list) = found.as_array() else { return Some(ChatTemplate::new(found.as_str()?, bos, eos)) };
    let named = |name: &str| list.iter().find(|entry| entry["name"] == name)?.get("template")?.as_str();
    let template = ChatTemplate::new(named("default").or_else(|| list.first()?.get("template")?.as_str())?, bos, eos);
    Some(match named("tool_use") {
        Some(tool_use) => template.and_then(|template| template.with_tool_use(tool_use)),
        None => template,
    })
}

fn missing(dir: &Path) -> Error {
    Error::Template {
        message: format!("{}: no chat template found", dir.display()),
        hint: Some("this model may not be made for chat: use `llm generate` without `--chat`, or add a `chat_template.jinja`".into()),
    }
}

/// A special token of `tokenizer_config.json`: a string, or an object with `content`.
pub(crate) fn token_content(value: &Json) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(Into::into)
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, error)),
    }
}

fn read_json(path: &Path) -> Result<Option<Json>> {
    let Some(text) = read(path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| Error::invalid(path, "json", error, "valid JSON"))
}

/// The source with transformers' `{% generation %}` blocks, which mark what to train on, as plain scopes.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let lead = tag.len() - tag.trim_start_matches(['-', '+']).trim_start().len();
        let word_end = tag[lead..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(tag.len(), |end| lead + end);
        let word = match &tag[lead..word_end] {
            "generation" => "with",
            "endgeneration" => "endwith",
            other => other,
        };
        out.push_str(&tag[..lead]);
        out.push_str(word);
        rest = &tag[word_end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_become_scopes() {
        let source = "a{%- generation -%}b{% endgeneration %}{% if x %}{{ '{%' }}";
        assert_eq!(without_generation_tags(source), "a{%- with -%}b{% endwith %}{% if x %}{{ '{%' }}");
    }

    #[test]
    fn f49_template_missing() {
        let dir = tempfile::tempdir().unwrap();
        let error = ChatTemplate::open(dir.path()).unwrap_err();
        assert!(error.hint().unwrap().contains("without `--chat`"), "{error}");
    }

    #[test]
    fn a_list_of_templates_is_chosen_by_tools() {
        let dir = tempfile::tempdir().unwrap();
        let config = r#"{"bos_token": {"content": "<s>"}, "chat_template": [
            {"name": "default", "template": "{{ bos_token }}plain"}, {"name": "tool_use", "template": "tools"}]}"#;
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        let template = ChatTemplate::open(dir.path()).unwrap();
        let mut options = crate::chat::RenderOptions::default();
        assert_eq!(template.render(&[], &options).unwrap().text(), "<s>plain");
        options.tools = Some(vec![]);
        assert_eq!(template.render(&[], &options).unwrap().text(), "tools");
    }
}
