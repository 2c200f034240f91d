//! Where the chat template of a model folder stands.

use super::ChatTemplate;
use crate::checkpoint::json;
use crate::{Error, Result};
use serde_json::Value as Json;
use std::path::Path;

/// The largest template, in bytes; real ones have up to thirty thousand.
pub(super) const MAX_TEMPLATE: u64 = 1 << 20;

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
        other.map_or_else(|| Err(missing(dir)), |found| from_config(dir, &found, bos.as_deref(), eos.as_deref()))
    }

    /// The template in a `tokenizer_config.json` that is called `path` in messages.
    ///
    /// # Errors
    /// As [`ChatTemplate::open`].
    pub fn from_tokenizer_config(path: &Path, config: &[u8]) -> Result<Self> {
        let config = json::parse_object(path, config)?;
        let token = |name: &str| token_content(config.get(name)?);
        let (bos, eos) = (token("bos_token"), token("eos_token"));
        let found = config.get("chat_template").ok_or_else(|| missing(path))?;
        from_config(path, found, bos.as_deref(), eos.as_deref())
    }
}

/// A template, or a list of named ones; `path` is for messages.
fn from_config(path: &Path, found: &Json, bos: Option<&str>, eos: Option<&str>) -> Result<ChatTemplate> {
    let named = |name: &str| found.as_array()?.iter().find(|entry| entry["name"] == name)?.get("template")?.as_str();
    let first = || found.as_array()?.first()?.get("template")?.as_str();
    let source = found.as_str().or_else(|| named("default")).or_else(first).ok_or_else(|| {
        Error::invalid(path, "chat_template", json::kind_of(found), "a template, or a list of objects with `name` and `template`")
    })?;
    let template = ChatTemplate::new(source, bos, eos)?;
    match named("tool_use") {
        Some(tool_use) => template.with_tool_use(tool_use),
        None => Ok(template),
    }
}

/// What is said of a model without a template.
pub(crate) fn missing(dir: &Path) -> Error {
    Error::Template {
        message: format!("{}: no chat template found", dir.display()),
        hint: Some("this model may not be made for chat: use `llm generate` without `--chat`, or add a `chat_template.jinja`".into()),
    }
}

/// A special token of `tokenizer_config.json`: a string, or an object with `content`.
pub(crate) fn token_content(value: &Json) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(Into::into)
}

/// The text of a file that may be absent.
fn read(path: &Path) -> Result<Option<String>> {
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = String::from_utf8(json::read_bounded(path, MAX_TEMPLATE)?);
    text.map(Some)
        .map_err(|error| Error::invalid(path, format!("byte {}", error.utf8_error().valid_up_to()), "no UTF-8", "a template in UTF-8"))
}

/// The object in a file that may be absent.
fn read_json(path: &Path) -> Result<Option<Json>> {
    if path.symlink_metadata().is_err() { Ok(None) } else { json::read_object(path).map(Some) }
}

/// The source as minijinja must see it to read what jinja2 reads: line ends are `\n`, transformers' `{% generation %}`
/// blocks (which mark what to train on) are plain scopes, and the line break after `{% raw %}`, which jinja2 keeps, is
/// doubled for the one that minijinja drops. Comments, strings and raw text stay as they are.
pub(super) fn as_minijinja_reads_it(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = ["{%", "{{", "{#"].iter().filter_map(|mark| rest.find(mark)).min() {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with("{#") {
            let end = rest.find("#}").map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let block = rest.starts_with("{%");
        let tag = &rest[..tag_end(rest, if block { "%}" } else { "}}" })];
        rest = &rest[tag.len()..];
        let lead = tag.len() - tag[2..].trim_start_matches(['-', '+']).trim_start().len();
        let word_end = tag[lead..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(tag.len(), |end| lead + end);
        match &tag[lead..word_end] {
            "generation" if block => out.extend([&tag[..lead], "with", &tag[word_end..]]),
            "endgeneration" if block => out.extend([&tag[..lead], "endwith", &tag[word_end..]]),
            "raw" if block => {
                out.push_str(tag);
                if rest.starts_with('\n') && !tag.ends_with("-%}") {
                    out.push('\n');
                }
                let end = raw_end(rest);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            _ => out.push_str(tag),
        }
    }
    out + rest
}

/// Where the tag that `text` starts with ends, strings in it skipped.
fn tag_end(text: &str, close: &str) -> usize {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices().skip(2) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if text[at..].starts_with(close) => return at + 2,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None => {}
        }
    }
    text.len()
}

/// Where the `{% endraw %}` that ends a raw block starts.
fn raw_end(text: &str) -> usize {
    let ends = |at: &usize| text[at + 2..].trim_start_matches(['-', '+']).trim_start().starts_with("endraw");
    text.match_indices("{%").map(|(at, _)| at).find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_blocks_become_scopes() {
        let source = "a{%- generation -%}b{% endgeneration %}{% if x %}{{ '{%' }}";
        assert_eq!(as_minijinja_reads_it(source), "a{%- with -%}b{% endwith %}{% if x %}{{ '{%' }}");
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
