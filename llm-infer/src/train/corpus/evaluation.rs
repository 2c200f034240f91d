//! Prompts that training never saw, with what a right answer holds.

use std::collections::HashSet;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::topic::{Split, Topic};
use super::wording::{Novelty, Style, normalize};
use super::{Check, Kind, topics};

/// A question of the held-out set.
#[derive(Debug, Clone)]
pub struct EvalPrompt {
    /// What it is about.
    pub kind: Kind,
    /// What the user says; the only turn.
    pub prompt: String,
    /// How its wording differs from those of training.
    pub novelty: Novelty,
    /// What the corpus itself would answer; for stories one of many.
    pub reference: String,
    /// What a right answer holds.
    pub check: Check,
}

impl EvalPrompt {
    /// Whether `answer` is right.
    pub fn check(&self, answer: &str) -> bool {
        self.check.accepts(answer)
    }
}

/// Prompts of each kind in the held-out set.
const PER_KIND: usize = 40;

/// Tries for prompts of a kind; repeated prompts do not count.
const TRIES: usize = 20 * PER_KIND;

/// The held-out set: the same prompts at every call, 40 of each kind.
///
/// Each prompt has a wording, or a combination of wording and frame, that [`training`](super::training) never uses. The facts
/// asked for occur in training in other words, save for the pairs of things in stories and a part of the unanswerable
/// questions, which are new as well.
pub fn evaluation() -> Vec<EvalPrompt> {
    let mut rng = StdRng::seed_from_u64(0x6576_616c);
    let topics = topics();
    let mut prompts = Vec::new();
    for kind in Kind::ALL {
        let of_kind: Vec<&Topic> = topics.iter().filter(|topic| topic.kind == kind && !topic.held_out.is_empty()).collect();
        let mut known = HashSet::new();
        for turn in 0..TRIES {
            let topic = of_kind.choose_weighted(&mut rng, |topic| topic.weight).expect("every kind has a topic");
            let prompt = draw(topic, Style::ALL[turn % Style::ALL.len()], &mut rng);
            if known.len() < PER_KIND && known.insert(normalize(&prompt.prompt)) {
                prompts.push(prompt);
            }
        }
    }
    prompts
}

/// A question of `topic`, recombined and unseen wordings equally often.
fn draw(topic: &Topic, style: Style, rng: &mut StdRng) -> EvalPrompt {
    let wanted = *[Novelty::Recombined, Novelty::Unseen].choose(rng).expect("two are there");
    let of_wanted: Vec<_> = topic.held_out.iter().filter(|template| template.held_out == Some(wanted)).collect();
    let template = match of_wanted.choose(rng) {
        Some(template) => *template,
        None => topic.held_out.choose(rng).expect("only topics with held-out templates are asked"),
    };
    let fact = topic.fact(rng, Split::Evaluation);
    EvalPrompt {
        kind: topic.kind,
        prompt: style.apply(&fact.ask(&template.text)),
        novelty: template.held_out.unwrap_or(Novelty::Recombined),
        reference: fact.answer,
        check: fact.check,
    }
}
