//! The endless stream of training dialogues.

use rand::distr::weighted::WeightedIndex;
use rand::prelude::Distribution;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::topic::{Split, Topic};
use super::{Dialogue, Kind, Role, small_talk, topics};

/// An endless stream of dialogues; see [`training()`].
pub struct Training {
    rng: StdRng,
    topics: Vec<Topic>,
    mix: WeightedIndex<f64>,
}

/// The dialogues to learn from, mixed by [`shares`]; the same seed gives the same stream.
pub fn training(seed: u64) -> Training {
    let topics = topics();
    let mix = WeightedIndex::new(topics.iter().map(|topic| topic.weight)).expect("weights are positive constants");
    Training { rng: StdRng::seed_from_u64(seed), topics, mix }
}

/// What a kind takes of the training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The kind.
    pub kind: Kind,
    /// Its part of all questions, from 0 to 1.
    pub share: f64,
    /// How many distinct questions it has besides their wordings; nothing where they are made on demand.
    pub facts: Option<usize>,
}

/// The mix of [`training()`].
pub fn shares() -> Vec<Share> {
    let topics = topics();
    let total: f64 = topics.iter().map(|topic| topic.weight).sum();
    let of_kind = |kind: Kind| topics.iter().filter(move |topic| topic.kind == kind);
    let share = |kind| Share {
        kind,
        share: of_kind(kind).map(|topic| topic.weight).sum::<f64>() / total,
        facts: of_kind(kind).map(Topic::facts).sum(),
    };
    Kind::ALL.into_iter().map(share).collect()
}

/// Shares of the shapes of dialogues, in percent; the rest is a single question.
mod shape {
    pub const GREETED: u32 = 5;
    pub const THANKED: u32 = 4;
    pub const TWO_QUESTIONS: u32 = 8;
    pub const FOLLOW_UP: u32 = 7;
    pub const NAME: u32 = 2;
    /// Percent of dialogues that begin with a system turn.
    pub const SYSTEM: u32 = 4;
}

/// System turns; the model answers as ever.
const SYSTEM: [&str; 6] = [
    "You are a helpful assistant.",
    "You are llm, a small language model.",
    "You are a friendly assistant. Give short answers.",
    "Be kind and answer in short sentences.",
    "You are a helpful AI assistant.",
    "Answer the questions of the user.",
];

impl Iterator for Training {
    type Item = Dialogue;

    fn next(&mut self) -> Option<Dialogue> {
        let (kind, pairs) = self.exchanges();
        let mut turns = Vec::with_capacity(2 * pairs.len() + 1);
        if self.rng.random_range(0..100) < shape::SYSTEM {
            turns.extend(SYSTEM.choose(&mut self.rng).map(|&text| (Role::System, text.to_owned())));
        }
        for (question, answer) in pairs {
            turns.extend([(Role::User, question), (Role::Assistant, answer)]);
        }
        Some(Dialogue { kind, turns })
    }
}

/// A question and its answer.
type Exchange = (String, String);

impl Training {
    /// The questions and answers of one dialogue.
    fn exchanges(&mut self) -> (Kind, Vec<Exchange>) {
        let topic = self.mix.sample(&mut self.rng);
        let kind = self.topics[topic].kind;
        let first = self.exchange(topic);
        let mut at = self.rng.random_range(0..100u32);
        let mut falls_in = |share: u32| {
            let inside = at < share;
            at = at.wrapping_sub(share);
            inside
        };
        let pairs = if falls_in(shape::GREETED) {
            vec![small_talk::greeting(&mut self.rng), first]
        } else if falls_in(shape::THANKED) {
            vec![first, small_talk::thanks(&mut self.rng)]
        } else if falls_in(shape::TWO_QUESTIONS) {
            self.two_questions(kind, first)
        } else if falls_in(shape::FOLLOW_UP) {
            self.followed_up(topic, first)
        } else if falls_in(shape::NAME) {
            return (Kind::SmallTalk, self.name(first));
        } else {
            vec![first]
        };
        (kind, pairs)
    }

    /// A question of the topic at `index`.
    fn exchange(&mut self, index: usize) -> Exchange {
        let topic = &self.topics[index];
        let fact = topic.fact(&mut self.rng, Split::Training);
        (topic.prompt(&fact, &mut self.rng), fact.answer)
    }

    /// Two questions that have nothing to do with each other; two stories would not fit the context.
    fn two_questions(&mut self, kind: Kind, first: Exchange) -> Vec<Exchange> {
        let next = self.mix.sample(&mut self.rng);
        if kind == Kind::Story && self.topics[next].kind == Kind::Story {
            return vec![first];
        }
        vec![first, self.exchange(next)]
    }

    /// A question and one or two more of the same sort, asked in short.
    fn followed_up(&mut self, index: usize, first: Exchange) -> Vec<Exchange> {
        let mut pairs = vec![first];
        let topic = &self.topics[index];
        let more = if topic.has_follow_ups() { self.rng.random_range(1..=2) } else { 0 };
        for _ in 0..more {
            let fact = topic.fact(&mut self.rng, Split::Training);
            pairs.extend(topic.follow_up(&fact, &mut self.rng).map(|question| (question, fact.answer)));
        }
        pairs
    }

    /// The user says a name and later asks for it.
    fn name(&mut self, between: Exchange) -> Vec<Exchange> {
        let (told, asked) = small_talk::name_and_recall(&mut self.rng);
        if self.rng.random_bool(0.5) && between.1.len() < 200 { vec![told, between, asked] } else { vec![told, asked] }
    }
}
