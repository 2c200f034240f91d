//! Chat templates: a conversation in, the text that the model was trained on out, as transformers renders it.
//!
//! minijinja reads the templates. They are evaluated here rather than by its machine for two reasons. Templates are
//! written against Python: what `None` or `0.5` looks like, which values compare, what is true, when an error is raised.
//! And a prompt must tell the template's control tokens from text of a user that looks like one: every character carries
//! its origin ([`Rendered::user`]) through trimming, splitting and joining, so that the tokenizer can decide.
//!
//! Steps, text sizes and nesting are bounded; a template reads no file and nothing but the variables it is given. The
//! only state outside them is the clock of `strftime_now` (UTC).

mod budget;
mod clock;
mod equality;
mod expr;
#[cfg(test)]
mod faults;
mod filters;
mod format;
#[cfg(test)]
mod golden;
mod json;
mod letters;
mod lines;
mod lists;
mod markup;
mod methods;
mod names;
mod numbers;
mod ops;
#[cfg(test)]
mod python;
mod render;
mod repr;
mod scope;
mod source;
pub(crate) use source::{missing as missing_template, token_content};
mod tests;
mod text;
mod value;
mod wrap;

use crate::{Error, Result};
use budget::Budget;
use minijinja::machinery::{Token, WhitespaceConfig, ast::Stmt, parse, tokenize};
use names::FilterNames;
use render::Renderer;
use scope::Frame;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::ops::Range;
use text::Text;
use value::{Eval, Value};

/// Roles that a template may build a control token of, as in `'<|' + role + '|>'`.
const ROLES: [&str; 10] =
    ["system", "developer", "user", "assistant", "tool", "function", "ipython", "model", "environment", "observation"];

/// Reserved, not used, by the usual template.
const STACK_BYTES: usize = 32 << 20;

/// The longest tag: a chain of operators nests as deep as it is long.
const MAX_TAG_TOKENS: usize = 4000;

/// One message of a conversation, in the words of Hugging Face's chat format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool`, ...
    pub role: String,
    /// A string, or a list of parts such as `{"type": "text", "text": ...}`; absent and null differ for templates.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub content: Option<Json>,
    /// Everything else, as given: `tool_calls`, `tool_call_id`, `name`, `reasoning_content`, ...
    #[serde(flatten)]
    pub extra: Map<String, Json>,
}

impl Message {
    /// A message of plain text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(Json::String(content.into())), extra: Map::new() }
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// What the model says.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }

    /// What the model is told beforehand.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }
}

/// Keeps a null that was written.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// What a template is given besides the messages.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    /// Whether to end with the opening of the assistant's answer.
    pub add_generation_prompt: bool,
    /// The tools offered to the model, as JSON schemas.
    pub tools: Option<Vec<Json>>,
    /// More variables, such as `enable_thinking` or `documents`.
    pub variables: Map<String, Json>,
    /// The time that `strftime_now` tells, in seconds since 1970; the system's, in UTC, where absent.
    pub now: Option<i64>,
}

impl RenderOptions {
    /// The defaults with `variables` added.
    pub fn with_variables(variables: Map<String, Json>) -> Self {
        Self { variables, ..Self::default() }
    }
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { add_generation_prompt: true, tools: None, variables: Map::new(), now: None }
    }
}

/// A rendered conversation that remembers which bytes came from the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    text: String,
    user: Vec<Range<usize>>,
}

impl Rendered {
    /// Text of which the byte ranges `user` (in order, without overlaps) came from the user.
    pub fn new(text: impl Into<String>, user: Vec<Range<usize>>) -> Self {
        Self { text: text.into(), user }
    }

    /// The whole text, equal to what transformers renders.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The byte ranges of the text that came from the user; control tokens are never read from them.
    pub fn user(&self) -> &[Range<usize>] {
        &self.user
    }
}

/// The chat template of a model.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    source: String,
    tool_use: Option<String>,
    /// Both as they were given.
    given: (String, Option<String>),
    bos_token: Option<String>,
    eos_token: Option<String>,
}

impl ChatTemplate {
    /// A template from its source and the tokens it knows as `bos_token` and `eos_token`.
    ///
    /// # Errors
    /// [`Error::Template`] when it does not parse.
    pub fn new(source: impl Into<String>, bos_token: Option<&str>, eos_token: Option<&str>) -> Result<Self> {
        let given = source.into();
        let source = source::as_minijinja_reads_it(&given);
        if source.len() as u64 > source::MAX_TEMPLATE {
            return Err(Error::Template {
                message: format!("got {} bytes, expected at most {}", source.len(), source::MAX_TEMPLATE),
                hint: None,
            });
        }
        on_own_stack(|| parsed(&source).map(drop))?;
        Ok(Self {
            source,
            tool_use: None,
            given: (given, None),
            bos_token: bos_token.map(Into::into),
            eos_token: eos_token.map(Into::into),
        })
    }

    /// The same template with another source for conversations that offer tools.
    ///
    /// # Errors
    /// [`Error::Template`] when it does not parse.
    pub fn with_tool_use(mut self, source: impl Into<String>) -> Result<Self> {
        let given = source.into();
        let source = source::as_minijinja_reads_it(&given);
        on_own_stack(|| parsed(&source).map(drop))?;
        (self.tool_use, self.given.1) = (Some(source), Some(given));
        Ok(self)
    }

    /// The sources as they were given: of the template, and of that for conversations that offer tools.
    pub(crate) fn given(&self) -> (&str, Option<&str>) {
        (&self.given.0, self.given.1.as_deref())
    }

    /// The prompt of a conversation.
    ///
    /// # Errors
    /// [`Error::Template`] with the message of the template (`raise_exception`) or of the engine, and when the template
    /// exceeds its bounds of work, text or nesting.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<Rendered> {
        let source = match (&options.tools, &self.tool_use) {
            (Some(_), Some(source)) => source,
            _ => &self.source,
        };
        on_own_stack(|| {
            let template = parsed(source)?;
            let text = self.evaluate(source, &template, messages, options).map_err(|message| Error::Template { message, hint: None })?;
            let (text, user) = text.into_parts();
            Ok(Rendered { text, user })
        })
    }

    fn evaluate(&self, source: &str, template: &Parsed<'_>, messages: &[Message], options: &RenderOptions) -> Eval<Text> {
        let (nodes, bytes) = input_size(messages, options);
        let renderer = Renderer::new(source, &template.specials, Budget::for_input(nodes, bytes), options.now.unwrap_or_else(unix_now));
        let root = Frame::new(None);
        for (name, value) in &options.variables {
            root.set(name, Value::from_json(value)?);
        }
        for (name, token) in [("bos_token", &self.bos_token), ("eos_token", &self.eos_token)] {
            if let Some(token) = token {
                root.set(name, Value::str(token.as_str()));
            }
        }
        root.set("messages", Value::list(messages.iter().map(message_value).collect::<Eval<_>>()?)?);
        if let Some(tools) = &options.tools {
            root.set("tools", Value::list(tools.iter().map(Value::from_json).collect::<Eval<_>>()?)?);
        }
        root.set("add_generation_prompt", Value::Bool(options.add_generation_prompt));
        renderer.template(&template.body, &root)
    }
}

/// Runs `work` on a thread whose stack holds the deepest nesting that the bounds allow, wherever the caller stands.
fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chat-template".into()).stack_size(STACK_BYTES);
        let running = thread.spawn_scoped(scope, work).map_err(|error| Error::io("chat template thread", error))?;
        running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A template and where it names what a macro takes only if its body names it.
struct Parsed<'s> {
    body: Stmt<'s>,
    specials: Vec<(u32, String)>,
}

/// Parses with the settings of transformers: `trim_blocks`, `lstrip_blocks`, one trailing newline dropped.
fn parsed(source: &str) -> Result<Parsed<'_>> {
    let whitespace = WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true };
    let refused = |message: String| Error::Template { message, hint: Some("the chat template is damaged or uses an unknown tag".into()) };
    let (mut in_tag, mut behind_dot, mut specials) = (0, false, Vec::new());
    let mut names = FilterNames::default();
    for token in tokenize(source, false, Default::default(), whitespace) {
        let (token, span) = token.map_err(|error| refused(error.to_string()))?;
        match token {
            Token::Ident(name @ ("caller" | "kwargs" | "varargs")) if !behind_dot => specials.push((span.start_offset, name.to_owned())),
            _ => {}
        }
        names.check(&token).map_err(|message| Error::Template { message, hint: None })?;
        behind_dot = matches!(token, Token::Dot);
        in_tag = match token {
            Token::VariableStart | Token::BlockStart => 0,
            _ => in_tag + 1,
        };
        if in_tag > MAX_TAG_TOKENS {
            return Err(refused(format!("a tag of more than {MAX_TAG_TOKENS} tokens")));
        }
    }
    let body = parse(source, "chat_template", Default::default(), whitespace).map_err(|error| refused(error.to_string()))?;
    Ok(Parsed { body, specials })
}

fn message_value<'t>(message: &Message) -> Eval<Value<'t>> {
    let role = if ROLES.contains(&message.role.as_str()) { Text::template(&*message.role) } else { Text::user(&*message.role) };
    let mut pairs = vec![(Value::str("role"), Value::text(role))];
    if let Some(content) = &message.content {
        pairs.push((Value::str("content"), Value::from_json(content)?));
    }
    for (key, value) in &message.extra {
        pairs.push((Value::text(Text::user(key.as_str())), Value::from_json(value)?));
    }
    Value::dict(pairs)
}

/// How many JSON values the conversation has, and how many bytes of text.
fn input_size(messages: &[Message], options: &RenderOptions) -> (usize, usize) {
    let extras = messages.iter().flat_map(|message| message.content.iter().chain(message.extra.values()));
    let mut pending: Vec<&Json> = extras.chain(options.tools.iter().flatten()).chain(options.variables.values()).collect();
    let (mut nodes, mut bytes) = (messages.len(), 0);
    while let Some(value) = pending.pop() {
        nodes += 1;
        match value {
            Json::String(text) => bytes += text.len(),
            Json::Array(items) => pending.extend(items),
            Json::Object(map) => {
                bytes += map.keys().map(String::len).sum::<usize>();
                pending.extend(map.values());
            }
            _ => {}
        }
    }
    (nodes, bytes)
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}
