//! A topic: facts of one sort, and the ways to ask for them.

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::wording::{Novelty, Style, Template, Wording, fill, normalize, templates};
use super::{Check, Kind};

/// A question's content and its answer.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    /// What fills the slots of a wording.
    pub slots: Vec<(&'static str, String)>,
    /// What the model should say.
    pub answer: String,
    /// What an answer must hold to count as right.
    pub check: Check,
    /// Whether only evaluation asks for it.
    pub unseen: bool,
}

impl Fact {
    /// A fact that training may use.
    pub fn new(slots: Vec<(&'static str, String)>, answer: impl Into<String>, check: Check) -> Self {
        Self { slots, answer: answer.into(), check, unseen: false }
    }

    /// Fills the slots of `template`.
    pub fn ask(&self, template: &str) -> String {
        fill(template, |name| self.slots.iter().find(|(slot, _)| *slot == name).map(|(_, value)| value.as_str()))
    }
}

/// Which side of the split a made fact is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// For learning.
    Training,
    /// For measuring.
    Evaluation,
}

/// Where facts come from.
pub(super) enum Source {
    /// A list, each equally often.
    Listed(Vec<Fact>),
    /// Made on demand, as stories are.
    Made(fn(&mut StdRng, Split) -> Fact),
}

/// Facts of one sort, and the ways to ask for them.
pub(super) struct Topic {
    /// The kind it belongs to.
    pub kind: Kind,
    /// Its share of training, relative to the other topics.
    pub weight: f64,
    source: Source,
    plain: Vec<Template>,
    framed: Vec<Template>,
    /// The templates that only evaluation uses; until [`split`], all of them.
    pub held_out: Vec<Template>,
    follow_ups: &'static [&'static str],
}

/// One in this many questions stands in its plain wording.
const PLAIN_SHARE: f64 = 0.45;

impl Topic {
    /// A topic of listed facts.
    pub fn listed(kind: Kind, weight: f64, wordings: &[Wording], facts: Vec<Fact>) -> Self {
        Self::new(kind, weight, wordings, Source::Listed(facts))
    }

    /// A topic whose facts are made on demand.
    pub fn made(kind: Kind, weight: f64, wordings: &[Wording], make: fn(&mut StdRng, Split) -> Fact) -> Self {
        Self::new(kind, weight, wordings, Source::Made(make))
    }

    fn new(kind: Kind, weight: f64, wordings: &[Wording], source: Source) -> Self {
        Self { kind, weight, source, plain: Vec::new(), framed: Vec::new(), held_out: templates(wordings), follow_ups: &[] }
    }

    /// The same topic with ways to ask for a second fact right after a first.
    pub fn with_follow_ups(mut self, follow_ups: &'static [&'static str]) -> Self {
        self.follow_ups = follow_ups;
        self
    }

    /// Whether a second fact can be asked for in short.
    pub fn has_follow_ups(&self) -> bool {
        !self.follow_ups.is_empty()
    }

    /// How many distinct questions there are besides their wordings, where they are listed.
    pub fn facts(&self) -> Option<usize> {
        match &self.source {
            Source::Listed(facts) => Some(facts.iter().map(|fact| &fact.slots).collect::<HashSet<_>>().len()),
            Source::Made(_) => None,
        }
    }

    /// A fact of this side of the split; evaluation also asks for what training knows.
    pub fn fact(&self, rng: &mut StdRng, split: Split) -> Fact {
        match &self.source {
            Source::Made(make) => make(rng, split),
            Source::Listed(facts) => loop {
                let fact = facts.choose(rng).expect("a topic has facts");
                if !fact.unseen || split == Split::Evaluation {
                    return fact.clone();
                }
            },
        }
    }

    /// A question for `fact`, as training asks it.
    pub fn prompt(&self, fact: &Fact, rng: &mut StdRng) -> String {
        let plain = self.framed.is_empty() || rng.random_bool(PLAIN_SHARE);
        let template = if plain { &self.plain } else { &self.framed }.choose(rng).expect("a topic has plain wordings");
        Style::draw(rng).apply(&fact.ask(&template.text))
    }

    /// A short question for `fact` that leans on the question before it.
    pub fn follow_up(&self, fact: &Fact, rng: &mut StdRng) -> Option<String> {
        let template = self.follow_ups.choose(rng)?;
        Some(Style::draw(rng).apply(&fact.ask(template)))
    }

    /// Moves each template to its side, given what is plain or held out in any topic.
    fn split(&mut self, plain: &HashSet<String>, held_out: &HashMap<String, Novelty>) {
        for mut template in std::mem::take(&mut self.held_out) {
            let words = normalize(&template.text);
            template.held_out = held_out.get(&words).copied().filter(|_| !plain.contains(&words));
            match template {
                Template { held_out: Some(_), .. } => self.held_out.push(template),
                Template { plain: true, .. } => self.plain.push(template),
                _ => self.framed.push(template),
            }
        }
    }
}

/// Splits the templates of all topics, so that what one topic holds out, none trains on.
///
/// Two wordings in two frames can give the same words; these are held out if one of them is, unless one is plain.
pub(super) fn split(mut topics: Vec<Topic>) -> Vec<Topic> {
    let mut plain = HashSet::new();
    let mut held_out = HashMap::new();
    for template in topics.iter().flat_map(|topic| &topic.held_out) {
        let words = normalize(&template.text);
        match template.held_out {
            Some(novelty) => _ = held_out.insert(words, novelty),
            None if template.plain => _ = plain.insert(words),
            None => {}
        }
    }
    topics.iter_mut().for_each(|topic| topic.split(&plain, &held_out));
    topics
}
