//! Ways to ask: a wording names the thing asked for, a frame wraps it in everyday words.
//!
//! `what 3 + 4 is` (a wording of form [`Form::Clause`]) in the frame `could you tell me {}?` becomes the template of
//! `Could you tell me what 3 + 4 is?`. Every topic shares the frames, so a frame met with colors also works with numbers.

use rand::Rng;
use rand::rngs::StdRng;

use super::frames::frames;

/// What the grammar of a wording is, and so which frames fit around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A direct question without its mark: `what color is the sky`.
    Question,
    /// An indirect question: `what color the sky is`.
    Clause,
    /// A thing: `the color of the sky`.
    Noun,
    /// Several things: `the letters of cat`.
    Nouns,
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
wordings!(question = Question, clause = Clause, noun = Noun, nouns = Nouns, request = Request, whole = Whole);

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
            if wording.form == Form::Nouns && frame.contains("what's {}") {
                continue;
            }
            let frame = if wording.form == Form::Nouns { frame.replace("is {}", "are {}") } else { (*frame).to_owned() };
            let text = frame.replacen("{}", wording.text, 1);
            let held_out = if wording.unseen || index >= known.len() {
                Some(Novelty::Unseen)
            } else {
                (!plain && fnv1a(&normalize(&text)).is_multiple_of(HELD_OUT_OF)).then_some(Novelty::Recombined)
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

/// The name of the model, in lower case everywhere.
const OWN_NAME: &str = "llm";

/// The text with a capital at the start of each sentence, save for the name of the model.
pub(super) fn capitalize_sentences(text: &str) -> String {
    let mut start = true;
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if start && c.is_alphanumeric() {
            let own_name = text[at..].starts_with(OWN_NAME);
            if own_name {
                out.push(c)
            } else {
                out.extend(c.to_uppercase())
            }
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
            Self::Bare => prompt.to_lowercase().replace(['.', ',', '?', '!', ':', '"', '\''], ""),
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
        assert_eq!(capitalize_sentences("llm, hi! llm?"), "llm, hi! llm?");
        assert_eq!(normalize("Hello, llm: what's 3 - 4?"), "hello llm whats 3 - 4");
    }
}
