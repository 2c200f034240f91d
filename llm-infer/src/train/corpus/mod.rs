//! What the embedded model learns from: small dialogues about a small world, and little stories.
//!
//! A topic is a list of facts and a list of ways to ask for them. Its ways to ask (wordings) are put into
//! the frames of everyday politeness, and a fixed part of these combinations is kept out of training, so that
//! [`evaluation`] asks for known facts in words the model never saw. The same question has the same answer everywhere; only
//! stories vary.
//!
//! ```
//! let dialogue = llm_infer::train::corpus::training(7).next().expect("the stream is endless");
//! assert!(dialogue.turns.len() >= 2);
//! ```

mod animals;
mod arithmetic;
mod bpe;
mod calendar;
mod check;
mod colors;
mod counting;
mod evaluation;
mod frames;
mod identity;
mod mix;
mod small_talk;
mod spelling;
mod story;
mod text;
mod topic;
mod unknown;
mod wording;
mod words;

pub use bpe::{BEGIN, CHAT_TEMPLATE, CONTEXT, END, SPECIAL_TOKENS, generation_config, tokenizer, tokenizer_config};
pub use check::Check;
pub use evaluation::{EvalPrompt, evaluation};
pub use mix::{Share, Training, shares, training};
pub use text::stories_from_file;
pub use wording::Novelty;

/// Who speaks in a turn; the names are those of Hugging Face's chat templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// What the model is told beforehand; the embedded model reads it and stays itself.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name in a chat template: `system`, `user` or `assistant`.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The special token that opens a turn of this role.
    pub fn token(self) -> &'static str {
        match self {
            Self::System => "<|system|>",
            Self::User => "<|user|>",
            Self::Assistant => "<|assistant|>",
        }
    }
}

/// What a dialogue is about; evaluation reports one rate per kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Hello, thanks, goodbye, and how one feels.
    SmallTalk,
    /// Who the model is and what it can do.
    Identity,
    /// Sums and differences between 0 and 20.
    Arithmetic,
    /// Which of two numbers is bigger.
    Comparison,
    /// Counting up and down, and the number next to a number.
    Counting,
    /// Words letter by letter.
    Spelling,
    /// First letter, last letter and number of letters of a word.
    Letters,
    /// Opposites of words.
    Opposite,
    /// Plurals of words.
    Plural,
    /// Colors of things and of mixtures.
    Color,
    /// Sounds, legs, young and homes of animals.
    Animal,
    /// Days, months and seasons.
    Calendar,
    /// Little stories with the asked things in them.
    Story,
    /// Questions that a model of this size has no answer to.
    Unknown,
}

impl Kind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::SmallTalk,
        Self::Identity,
        Self::Arithmetic,
        Self::Comparison,
        Self::Counting,
        Self::Spelling,
        Self::Letters,
        Self::Opposite,
        Self::Plural,
        Self::Color,
        Self::Animal,
        Self::Calendar,
        Self::Story,
        Self::Unknown,
    ];

    /// The name in reports, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallTalk => "small talk",
            Self::Identity => "identity",
            Self::Arithmetic => "arithmetic",
            Self::Comparison => "comparison",
            Self::Counting => "counting",
            Self::Spelling => "spelling",
            Self::Letters => "letters",
            Self::Opposite => "opposite",
            Self::Plural => "plural",
            Self::Color => "color",
            Self::Animal => "animal",
            Self::Calendar => "calendar",
            Self::Story => "story",
            Self::Unknown => "unknown",
        }
    }
}

/// A conversation that the model learns from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// What its first question is about.
    pub kind: Kind,
    /// The turns in order: perhaps one of [`Role::System`], then user and assistant by turns, the assistant last.
    pub turns: Vec<(Role, String)>,
}

impl Dialogue {
    /// The conversation as [`CHAT_TEMPLATE`] renders it, special tokens included.
    pub fn render(&self) -> String {
        let mut text = String::from(BEGIN);
        for (role, content) in &self.turns {
            text.extend([role.token(), content, END]);
        }
        text
    }
}

#[cfg(test)]
mod tests;

/// The topics of all kinds, each with its share of training.
fn topics() -> Vec<topic::Topic> {
    let mut topics = small_talk::topics();
    topics.extend(identity::topics());
    topics.extend(arithmetic::topics());
    topics.extend(counting::topics());
    topics.extend(spelling::topics());
    topics.extend(words::topics());
    topics.extend(colors::topics());
    topics.extend(animals::topics());
    topics.extend(calendar::topics());
    topics.extend(story::topics());
    topics.extend(unknown::topics());
    topic::split(topics)
}
