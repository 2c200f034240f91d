//! Ways to ask: a wording names the thing asked for, a frame wraps it in everyday words.
//!
//! `what 3 + 4 is` (a wording of form [`Form::Clause`]) in the frame `could you tell me {}?` becomes the template of
//! `Could you tell me what 3 + 4 is?`. Every topic shares the frames, so a frame met with colors also works with numbers.

use rand::Rng;
use rand::rngs::StdRng;

/// What the grammar of a wording is, and so which frames fit around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A direct question without its mark: `what color is the sky`.
    Question,
    /// An indirect question: `what color the sky is`.
    Clause,
    /// A thing: `the color of the sky`.
    Noun,
    /// Something to do: `spell cat`.
    Request,
    /// Complete as it stands: `hello`.
    Whole,
}

/// One way to ask, with slots in braces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording {
    form: Form,
    text: &'static str,
    unseen: bool,
}

impl Wording {
    /// The text, if it is complete as it stands and training may use it.
    pub fn known_whole(&self) -> Option<&'static str> {
        (self.form == Form::Whole && !self.unseen).then_some(self.text)
    }
}

macro_rules! wordings {
    ($($name:ident = $form:ident),*) => { $(
        #[doc = concat!("A wording of form [`Form::", stringify!($form), "`].")]
        pub(super) const fn $name(text: &'static str) -> Wording {
            Wording { form: Form::$form, text, unseen: false }
        }
    )* };
}
wordings!(question = Question, clause = Clause, noun = Noun, request = Request, whole = Whole);

/// The same wording, kept for evaluation.
pub(super) const fn unseen(wording: Wording) -> Wording {
    Wording { unseen: true, ..wording }
}

/// How a held-out prompt differs from all prompts of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Novelty {
    /// Its frame and its wording are known, their combination is new.
    Recombined,
    /// The frame or the wording itself is new.
    Unseen,
}

/// A wording in its frame.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// The prompt with its slots.
    pub text: String,
    /// Whether the wording stands alone, as most people write it.
    pub plain: bool,
    /// Set where training must not use it.
    pub held_out: Option<Novelty>,
}

const QUESTION: &[&str] = &[
    "{}?",
    "tell me, {}?",
    "please tell me, {}?",
    "hey, {}?",
    "hello, {}?",
    "hi, {}?",
    "hello! {}?",
    "hi llm, {}?",
    "llm, {}?",
    "ok, {}?",
    "so, {}?",
    "now, {}?",
    "please, {}?",
    "excuse me, {}?",
    "quick question: {}?",
    "question: {}?",
    "I have a question. {}?",
    "I have a question: {}?",
    "can you help me? {}?",
    "can you answer this? {}?",
    "please answer: {}?",
    "please answer this: {}?",
    "answer this: {}?",
    "my friend asks: {}?",
    "help me, please. {}?",
    "do you know this? {}?",
    "{}? do you know?",
    "{}? please tell me.",
    "{}? thanks.",
    "{}? thank you!",
    "{}, please?",
    "I want to know, {}?",
    "{}, do you know?",
    "and {}?",
];
const QUESTION_UNSEEN: &[&str] = &[
    "hi, I have a question: {}?",
    "hello llm, {}?",
    "please help me: {}?",
    "{}? please answer.",
    "hey, quick question: {}?",
    "I wonder, {}?",
];

const CLAUSE: &[&str] = &[
    "do you know {}?",
    "can you tell me {}?",
    "could you tell me {}?",
    "tell me {}.",
    "please tell me {}.",
    "tell me {}, please.",
    "I want to know {}.",
    "I would like to know {}.",
    "I'd like to know {}.",
    "I need to know {}.",
    "can you please tell me {}?",
    "will you tell me {}?",
    "would you tell me {}?",
    "I wonder {}.",
    "hey, do you know {}?",
    "hi, tell me {}.",
    "hello, can you tell me {}?",
    "please let me know {}.",
    "I forgot {}.",
    "can you say {}?",
    "excuse me, do you know {}?",
    "do you remember {}?",
    "llm, tell me {}.",
    "I do not know {}.",
    "so do you know {}?",
    "please say {}.",
    "can you help me? tell me {}.",
];
const CLAUSE_UNSEEN: &[&str] = &[
    "could you please tell me {}?",
    "would you please tell me {}?",
    "hello, I want to know {}.",
    "hi, do you know {}?",
    "hey, can you tell me {}?",
    "could you tell me {}, please?",
];

const NOUN: &[&str] = &[
    "what is {}?",
    "what's {}?",
    "tell me {}.",
    "please tell me {}.",
    "give me {}.",
    "please give me {}.",
    "can you tell me {}?",
    "could you tell me {}?",
    "do you know {}?",
    "I want to know {}.",
    "I need {}.",
    "I need to know {}.",
    "{}?",
    "{}.",
    "{}, please.",
    "what is {}, please?",
    "hey, what is {}?",
    "hello, what is {}?",
    "can you give me {}?",
    "find {}.",
    "say {}.",
    "do you remember {}?",
    "so what is {}?",
    "I forgot {}.",
    "and what is {}?",
    "llm, what is {}?",
    "I want {}.",
    "what is {}? do you know?",
    "please find {}.",
];
const NOUN_UNSEEN: &[&str] = &[
    "could you give me {}?",
    "tell me {}, please.",
    "I would like to know {}.",
    "please, what is {}?",
    "could you please tell me {}?",
    "hi, what is {}?",
];

const REQUEST: &[&str] = &[
    "{}.",
    "please {}.",
    "can you {}?",
    "could you {}?",
    "{}, please.",
    "would you {}?",
    "will you {}?",
    "can you please {}?",
    "I want you to {}.",
    "I would like you to {}.",
    "I'd like you to {}.",
    "hey, {}.",
    "hello, please {}.",
    "hi, can you {}?",
    "now {}.",
    "llm, {}.",
    "{} for me.",
    "please {} for me.",
    "can you {} for me?",
    "try to {}.",
    "I need you to {}.",
    "ok, {}.",
    "could you {}, please?",
    "are you able to {}?",
    "now please {}.",
    "hello! {}.",
    "can you {}, please?",
    "help me: {}.",
];
const REQUEST_UNSEEN: &[&str] = &[
    "could you please {}?",
    "would you please {}?",
    "could you {} for me?",
    "hello, could you {}?",
    "hey, please {}.",
    "will you please {}?",
];

const WHOLE: &[&str] = &["{}"];

/// The known and the unseen frames of a form; the first known one is the plain one.
fn frames(form: Form) -> (&'static [&'static str], &'static [&'static str]) {
    match form {
        Form::Question => (QUESTION, QUESTION_UNSEEN),
        Form::Clause => (CLAUSE, CLAUSE_UNSEEN),
        Form::Noun => (NOUN, NOUN_UNSEEN),
        Form::Request => (REQUEST, REQUEST_UNSEEN),
        Form::Whole => (WHOLE, &[]),
    }
}

/// One in this many combinations of a known frame with a known wording is held out.
const HELD_OUT_OF: u64 = 8;

/// Every wording in every frame that fits.
pub(super) fn templates(wordings: &[Wording]) -> Vec<Template> {
    let mut all = Vec::new();
    for wording in wordings {
        let (known, new) = frames(wording.form);
        for (index, frame) in known.iter().chain(new).enumerate() {
            let plain = index == 0;
            if frame.contains(" me") && wording.text.contains(" me") {
                continue;
            }
            let text = frame.replacen("{}", wording.text, 1);
            let held_out = if wording.unseen || index >= known.len() {
                Some(Novelty::Unseen)
            } else {
                (!plain && fnv1a(&normalize(&text)) % HELD_OUT_OF == 0).then_some(Novelty::Recombined)
            };
            all.push(Template { text, plain, held_out });
        }
    }
    all
}

/// The 64-bit FNV-1a hash: the split must not depend on the hasher of a toolchain.
pub(super) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Fills the slots of `template`; a slot written with a capital is the same slot, capitalized.
pub(super) fn fill<'a>(template: &str, slot: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(template.len() + 16);
    let mut rest = template;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(before, tail)| Some((before, tail.split_once('}')?))) {
        out.push_str(before);
        match slot(name).map(str::to_owned).or_else(|| slot(&name.to_lowercase()).map(capitalize)) {
            Some(value) => out.push_str(&value),
            None => out.extend(["{", name, "}"]),
        }
        rest = after;
    }
    out + rest
}

/// The text with its first letter in upper case.
pub(super) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The text with a capital at the start of each sentence.
pub(super) fn capitalize_sentences(text: &str) -> String {
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if start && c.is_alphanumeric() {
            out.extend(c.to_uppercase());
            start = false;
        } else {
            start |= matches!(c, '.' | '!' | '?');
            out.push(c);
        }
    }
    out
}

/// How carefully a person writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Capitals and punctuation.
    Careful,
    /// No mark at the end.
    NoEnd,
    /// No capitals.
    Lower,
    /// Neither capitals nor punctuation.
    Bare,
}

impl Style {
    /// All styles, for evaluation.
    pub const ALL: [Self; 4] = [Self::Careful, Self::NoEnd, Self::Lower, Self::Bare];

    /// A style as often as people write so.
    pub fn draw(rng: &mut StdRng) -> Self {
        match rng.random_range(0..100) {
            0..55 => Self::Careful,
            55..68 => Self::NoEnd,
            68..80 => Self::Lower,
            _ => Self::Bare,
        }
    }

    /// Writes a prompt in this style.
    pub fn apply(self, prompt: &str) -> String {
        let unfinished = prompt.trim_end_matches(['.', '?', '!']);
        match self {
            Self::Careful => capitalize_sentences(prompt),
            Self::NoEnd => capitalize_sentences(unfinished),
            Self::Lower => prompt.to_lowercase(),
            Self::Bare => prompt.to_lowercase().replace(['.', ',', '?', '!', ':', '"'], ""),
        }
    }
}

/// The words alone: lower case without punctuation, but with `+` and `-`, and with the braces of slots.
pub(super) fn normalize(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '+' | '-' | '{' | '}');
    text.to_lowercase().chars().filter(|&c| kept(c)).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_wrap_wordings_and_slots_are_filled() {
        let all = templates(&[clause("what {a} + {b} is")]);
        assert!(all[0].plain && all[0].held_out.is_none());
        let text = fill(&all[0].text, |name| (name == "a").then_some("3").or((name == "b").then_some("4")));
        assert_eq!(Style::Careful.apply(&text), "Do you know what 3 + 4 is?");
        assert_eq!(Style::Bare.apply(&text), "do you know what 3 + 4 is");
    }

    #[test]
    fn a_capital_slot_is_capitalized() {
        assert_eq!(fill("{He} saw {him}{x}.", |name| matches!(name, "he" | "him").then_some("her")), "Her saw her{x}.");
        assert_eq!(capitalize_sentences("hello! what is 3 + 4? thanks."), "Hello! What is 3 + 4? Thanks.");
        assert_eq!(normalize("Hello, llm: what's 3 - 4?"), "hello llm whats 3 - 4");
    }
}
