//! From logits to a token: a chain of small processors, then one seeded draw.
//!
//! The order is that of transformers' `_get_logits_processor`: logit bias, repetition penalty, presence and frequency
//! penalty (which transformers lacks), temperature, top-k, top-p, min-p. Greedy decoding keeps the penalties and the bias
//! and takes the largest logit. Masked tokens are `-inf`; every other logit stays finite whatever the penalties are.
//!
//! A processor is a file here, a field of [`SamplingConfig`] and a line in [`Sampler::new`].

mod config;
mod draw;
mod lanes;
mod largest;
mod logit_bias;
mod logprobs;
mod min_p;
mod presence_frequency;
mod repetition_penalty;
mod temperature;
mod token_counts;
mod top_k;
mod top_p;

use std::hash::{BuildHasher, Hasher};

use rand::{SeedableRng, rngs::StdRng};

pub use config::{SamplingConfig, SamplingOptions};
pub(crate) use lanes::argmax;
pub use logit_bias::LogitBias;
pub use logprobs::{TokenLogprob, logprobs};
pub use min_p::MinP;
pub use presence_frequency::PresenceFrequencyPenalty;
pub use repetition_penalty::RepetitionPenalty;
pub use temperature::Temperature;
pub use top_k::TopK;
pub use top_p::TopP;

use crate::{Error, Result};

/// One step between the model's logits and the draw: it moves logits, or masks them with `-inf`.
pub trait LogitsProcessor {
    /// Changes `logits` (one per token of the vocabulary) in place, given the ids that came before.
    ///
    /// From call to call `history` grows at its end, or is cut; a processor may keep what it learned from the part it knows.
    fn process(&mut self, history: &[u32], logits: &mut [f32]);
}

/// The part of the history that a processor is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Prompt and generated tokens.
    Sequence,
    /// Generated tokens only.
    Generated,
}

struct Stage {
    scope: Scope,
    processor: Box<dyn LogitsProcessor + Send>,
}

impl Stage {
    fn new(scope: Scope, processor: impl LogitsProcessor + Send + 'static) -> Self {
        Self { scope, processor: Box::new(processor) }
    }
}

/// Picks the tokens of one sequence; a batch has one sampler for each of its sequences.
///
/// The random numbers are those of `rand`'s `StdRng` (ChaCha12 in the pinned version), one for each sampled token: with the
/// same build and backend, the same seed and logits give the same tokens.
pub struct Sampler {
    chain: Vec<Stage>,
    greedy: bool,
    seed: u64,
    rng: StdRng,
}

impl Sampler {
    /// The sampler of a single sequence over a vocabulary of `vocab_size` tokens.
    ///
    /// # Errors
    /// [`Error::Request`] where [`SamplingConfig::validate`] refuses the values or `logit_bias` names an id outside of the
    /// vocabulary.
    pub fn new(config: &SamplingConfig, vocab_size: usize) -> Result<Self> {
        Self::for_sequence(config, vocab_size, 0)
    }

    /// The sampler of sequence `index` of a batch: the same seed, and a stream of random numbers of its own.
    ///
    /// Sequence 0 draws as [`Sampler::new`] does.
    ///
    /// # Errors
    /// As [`Sampler::new`].
    pub fn for_sequence(config: &SamplingConfig, vocab_size: usize, index: u64) -> Result<Self> {
        config.validate()?;
        config.validate_ids(vocab_size)?;
        let seed = config.seed.unwrap_or_else(fresh_seed);
        Ok(Self { chain: chain(config), greedy: config.is_greedy(), seed, rng: stream(seed, index) })
    }

    /// The seed in use: the one asked for, or the one made up where none was.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Picks the next token after `history` (prompt, then from `generated_from` on the generated tokens).
    ///
    /// `logits` is scratch space afterwards; [`logprobs`] wants it as it was before. Greedy decoding takes the lowest of equal ids.
    ///
    /// # Errors
    /// [`Error::Logits`] where a logit is NaN or `+inf`, with its index, or where none is finite.
    pub fn sample(&mut self, history: &[u32], generated_from: usize, logits: &mut [f32]) -> Result<u32> {
        check(logits)?;
        let generated = history.get(generated_from..).unwrap_or_default();
        for stage in &mut self.chain {
            let shown = if stage.scope == Scope::Generated { generated } else { history };
            stage.processor.process(shown, logits);
        }
        let picked = if self.greedy { argmax(logits) } else { draw::draw(logits, &mut self.rng) };
        Ok(picked as u32)
    }
}

fn chain(config: &SamplingConfig) -> Vec<Stage> {
    let mut chain = Vec::new();
    if !config.logit_bias.is_empty() {
        chain.push(Stage::new(Scope::Sequence, LogitBias::new(&config.logit_bias)));
    }
    if config.repetition_penalty != 1.0 {
        chain.push(Stage::new(Scope::Sequence, RepetitionPenalty::new(config.repetition_penalty)));
    }
    if config.presence_penalty != 0.0 || config.frequency_penalty != 0.0 {
        let penalty = PresenceFrequencyPenalty::new(config.presence_penalty, config.frequency_penalty);
        chain.push(Stage::new(Scope::Generated, penalty));
    }
    if config.is_greedy() {
        return chain;
    }
    if config.temperature != 1.0 {
        chain.push(Stage::new(Scope::Sequence, Temperature::new(config.temperature)));
    }
    if config.top_k > 0 {
        chain.push(Stage::new(Scope::Sequence, TopK::new(config.top_k as usize)));
    }
    if config.top_p < 1.0 {
        chain.push(Stage::new(Scope::Sequence, TopP::new(config.top_p)));
    }
    if config.min_p > 0.0 {
        chain.push(Stage::new(Scope::Sequence, MinP::new(config.min_p)));
    }
    chain
}

/// A seed from the system's entropy: the hasher keys of the standard library are drawn from it.
fn fresh_seed() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// The random numbers of sequence `index`: both words go into the key, so that no two sequences share a stream.
fn stream(seed: u64, index: u64) -> StdRng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&index.to_le_bytes());
    StdRng::from_seed(key)
}

fn check(logits: &[f32]) -> Result<()> {
    if let Some(index) = lanes::find_not_a_logit(logits) {
        return Err(Error::Logits { got: format!("{} at index {index} of {}", logits[index], logits.len()) });
    }
    if lanes::max(logits) == f32::NEG_INFINITY {
        return Err(Error::Logits { got: format!("no finite value among {}", logits.len()) });
    }
    Ok(())
}

/// Keeps a moved logit finite, so that no penalty or bias can mask a token or make all of them infinite.
fn saturate(logit: f32) -> f32 {
    logit.clamp(f32::MIN, f32::MAX)
}

#[cfg(test)]
mod tests;
