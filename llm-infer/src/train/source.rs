//! Where a training run's texts come from.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;

use super::Shape;
use super::corpus::{self, BEGIN, END, Role};
use super::dataset::{Batch, Batches, Encoder, Example, conversation};
use crate::checkpoint::write_atomic;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// Dialogues that the tokenizer of the built-in corpus is trained on.
const TOKENIZER_DIALOGUES: usize = 30_000;
/// Share of joined conversations and of stories by others, in percent.
const JOINED: u32 = 8;
const STORIES: u32 = 6;
/// Seed of the held-out batches, which is no seed of a training run.
const HELD_OUT_SEED: u64 = u64::MAX;
const HELD_OUT_BATCHES: usize = 8;

/// What is learned from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The project's own generators of dialogues and stories, with a JSON list of stories by others beside them.
    Builtin {
        /// The list, read at training time.
        stories: Option<PathBuf>,
    },
    /// Lines of JSON: `{"messages": [{"role": "user", "content": "…"}, …]}` or `{"text": "…"}`. One line in twenty is held out.
    Lines(PathBuf),
}

/// A line of [`Source::Lines`].
#[derive(Deserialize)]
struct Line {
    messages: Option<Vec<Message>>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

/// A text before it is encoded.
enum Text {
    Dialogue(Vec<(Role, String)>),
    Plain(String),
}

type Examples<'a> = Box<dyn Iterator<Item = Result<Example>> + 'a>;

impl Source {
    /// The tokenizer in `folder`, trained on this source and written there first if there is none.
    pub(super) fn tokenizer(&self, folder: &Path, shape: &Shape) -> Result<Tokenizer> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            let texts: Vec<String> = match self {
                Self::Builtin { .. } => corpus::training(0).take(TOKENIZER_DIALOGUES).map(|dialogue| dialogue.render()).collect(),
                Self::Lines(lines) => read_lines(lines)?.into_iter().flat_map(Text::parts).collect(),
            };
            write_atomic(&path, &corpus::tokenizer(texts.into_iter(), shape.vocab_size)?)?;
            let config = serde_json::json!({ "model_max_length": shape.context });
            write_json(&folder.join("tokenizer_config.json"), &merged(corpus::tokenizer_config(), config))?;
            write_json(&folder.join("generation_config.json"), &corpus::generation_config())?;
        }
        Tokenizer::open(folder)
    }

    /// The examples of a training run, endless.
    pub(super) fn examples<'a>(&self, tokenizer: &'a Tokenizer, context: usize, seed: u64) -> Result<Examples<'a>> {
        let encoder = Encoder::new(tokenizer, context);
        match self {
            Self::Builtin { stories } => {
                let stories = stories.as_ref().map(corpus::stories_from_file).transpose()?.unwrap_or_default();
                Ok(builtin(encoder, stories, context, seed))
            }
            Self::Lines(path) => {
                let texts = read_lines(path)?;
                let part: Vec<Example> = encoded(&encoder, texts, |index| index % 20 != 0)?;
                if part.is_empty() {
                    return Err(Error::invalid(path, "lines", "none that fit the context", "dialogues or texts"));
                }
                Ok(Box::new(std::iter::repeat_with(move || part.clone()).flatten().map(Ok)))
            }
        }
    }

    /// Batches that no training run sees.
    pub(super) fn held_out(&self, tokenizer: &Tokenizer, context: usize, budget: usize) -> Result<Vec<Batch>> {
        let encoder = Encoder::new(tokenizer, context);
        match self {
            Self::Builtin { .. } => {
                let examples = builtin(encoder, Vec::new(), context, HELD_OUT_SEED);
                Batches::new(examples, budget, HELD_OUT_SEED).take(HELD_OUT_BATCHES).collect()
            }
            Self::Lines(path) => {
                let part = encoded(&encoder, read_lines(path)?, |index| index % 20 == 0)?;
                Batches::new(part.into_iter().map(Ok), budget, HELD_OUT_SEED).take(HELD_OUT_BATCHES).collect()
            }
        }
    }
}

/// The generators' dialogues, some joined to long conversations, with some of `stories` between them.
fn builtin(encoder: Encoder<'_>, stories: Vec<String>, context: usize, seed: u64) -> Examples<'_> {
    let mut dialogues = corpus::training(seed);
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
    let mut next = move || {
        let at = rng.random_range(0..100);
        if at < STORIES && !stories.is_empty() {
            return encoder.rendered(&stories[rng.random_range(0..stories.len())]).map(Some);
        }
        // About three bytes make a token of this corpus.
        let longest = if (STORIES..STORIES + JOINED).contains(&at) { rng.random_range(context..3 * context) } else { 0 };
        match longest {
            0 => dialogues.next().map_or(Ok(None), |dialogue| encoder.dialogue(&dialogue.turns)),
            longest => encoder.dialogue(&conversation(dialogues.by_ref(), longest)),
        }
    };
    Box::new(std::iter::from_fn(move || {
        loop {
            if let Some(example) = next().transpose() {
                return Some(example);
            }
        }
    }))
}

/// The texts whose index `takes`, encoded; those that do not fit are left out.
fn encoded(encoder: &Encoder, texts: Vec<Text>, takes: impl Fn(usize) -> bool) -> Result<Vec<Example>> {
    let chosen = texts.into_iter().enumerate().filter(|(index, _)| takes(*index));
    let examples = chosen.map(|(_, text)| match text {
        Text::Dialogue(turns) => encoder.dialogue(&turns),
        Text::Plain(text) => encoder.rendered(&[BEGIN, &text, END].concat()).map(Some),
    });
    examples.filter_map(Result::transpose).collect()
}

fn read_lines(path: &Path) -> Result<Vec<Text>> {
    let content = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| Text::parse(line).map_err(|got| wrong_line(path, index, got))).collect()
}

fn wrong_line(path: &Path, index: usize, got: String) -> Error {
    Error::invalid(path, format!("line {}", index + 1), got, "{\"messages\": [{\"role\": …, \"content\": …}]} or {\"text\": …}")
}

impl Text {
    fn parse(line: &str) -> std::result::Result<Self, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        match (line.messages, line.text) {
            (Some(messages), None) => {
                let role = |name: &str| match name {
                    "system" => Ok(Role::System),
                    "user" => Ok(Role::User),
                    "assistant" => Ok(Role::Assistant),
                    other => Err(format!("role `{other}`")),
                };
                let turns = messages.into_iter().map(|message| Ok((role(&message.role)?, message.content)));
                Ok(Self::Dialogue(turns.collect::<std::result::Result<_, String>>()?))
            }
            (None, Some(text)) => Ok(Self::Plain(text)),
            _ => Err("neither or both of `messages` and `text`".into()),
        }
    }

    fn parts(self) -> Vec<String> {
        match self {
            Self::Dialogue(turns) => turns.into_iter().map(|(_, text)| text).collect(),
            Self::Plain(text) => vec![text],
        }
    }
}

fn merged(mut base: serde_json::Value, over: serde_json::Value) -> serde_json::Value {
    if let (Some(base), serde_json::Value::Object(over)) = (base.as_object_mut(), over) {
        base.extend(over);
    }
    base
}

fn write_json(path: &Path, json: &serde_json::Value) -> Result<()> {
    write_atomic(path, format!("{json:#}\n").as_bytes())
}
