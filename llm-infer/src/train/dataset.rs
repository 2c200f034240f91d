//! Texts as token sequences, and sequences of like length as batches.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::corpus::{BEGIN, Dialogue, END, Role};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// Batches that are drawn together and sorted by length, so that little is spent on padding.
const POOL: usize = 32;

/// A sequence and which of its tokens are to be learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The ids.
    pub tokens: Vec<u32>,
    /// Whether the token of the same index is learned from those before it.
    pub learned: Vec<bool>,
}

impl Example {
    fn push(&mut self, ids: &[u32], learned: bool) {
        self.tokens.extend(ids);
        self.learned.resize(self.tokens.len(), learned);
    }
}

/// Encodes texts in the form of the embedded model's chat template.
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    context: usize,
}

impl<'a> Encoder<'a> {
    /// For sequences of at most `context` tokens.
    pub fn new(tokenizer: &'a Tokenizer, context: usize) -> Self {
        Self { tokenizer, context }
    }

    fn special(&self, token: &str) -> Result<u32> {
        self.tokenizer
            .id(token)
            .ok_or_else(|| Error::request("tokenizer", format!("no `{token}`"), "the special tokens of the chat template"))
    }

    /// A dialogue whose assistant turns are learned; `None` if it does not fit.
    ///
    /// # Errors
    /// A tokenizer without the special tokens.
    pub fn dialogue(&self, turns: &[(Role, String)]) -> Result<Option<Example>> {
        let end = self.special(END)?;
        let mut example = Example { tokens: Vec::new(), learned: Vec::new() };
        example.push(&[self.special(BEGIN)?], false);
        for (role, text) in turns {
            example.push(&[self.special(role.token())?], false);
            let mut ids = self.tokenizer.encode(text, false)?;
            ids.push(end);
            example.push(&ids, *role == Role::Assistant);
        }
        Ok((example.tokens.len() <= self.context).then_some(example))
    }

    /// A text that opens with the begin token, learned whole and cut at the context.
    ///
    /// # Errors
    /// A tokenizer without the special tokens.
    pub fn rendered(&self, text: &str) -> Result<Example> {
        let mut example = Example { tokens: Vec::new(), learned: Vec::new() };
        let (text, whole) = text.strip_suffix(END).map_or((text, false), |text| (text, true));
        example.push(&[self.special(BEGIN)?], false);
        example.push(&self.tokenizer.encode(text.strip_prefix(BEGIN).unwrap_or(text), false)?, true);
        if whole {
            example.push(&[self.special(END)?], true);
        }
        example.tokens.truncate(self.context);
        example.learned.truncate(self.context);
        Ok(example)
    }
}

/// Several short dialogues as one conversation of at most `longest` bytes of text, without system turns: these stand at the beginning only.
pub fn conversation(dialogues: impl Iterator<Item = Dialogue>, longest: usize) -> Vec<(Role, String)> {
    let mut turns: Vec<(Role, String)> = Vec::new();
    let mut bytes = 0;
    for dialogue in dialogues {
        bytes += dialogue.turns.iter().map(|(_, text)| text.len() + 8).sum::<usize>();
        if bytes > longest && !turns.is_empty() {
            break;
        }
        turns.extend(dialogue.turns.into_iter().filter(|(role, _)| *role != Role::System));
    }
    turns
}

/// Sequences padded to one length, and where their learned tokens stand.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Ids, `[rows, length]`, padded with 0 on the right.
    pub ids: Vec<i32>,
    /// Rows and padded length.
    pub shape: [usize; 2],
    /// Flat positions whose next token is learned.
    pub positions: Vec<i32>,
    /// Those next tokens.
    pub targets: Vec<i32>,
    /// Tokens without padding.
    pub tokens: usize,
}

impl Batch {
    /// Joins examples; a causal model never looks at the padding on the right.
    pub fn new(examples: &[Example]) -> Self {
        let length = examples.iter().map(|example| example.tokens.len()).max().unwrap_or(0);
        let mut batch = Self { ids: Vec::new(), shape: [examples.len(), length], positions: Vec::new(), targets: Vec::new(), tokens: 0 };
        for (row, example) in examples.iter().enumerate() {
            for at in 1..example.tokens.len() {
                if example.learned[at] {
                    batch.positions.push((row * length + at - 1) as i32);
                    batch.targets.push(example.tokens[at] as i32);
                }
            }
            batch.tokens += example.tokens.len();
            batch.ids.extend(example.tokens.iter().map(|id| *id as i32));
            batch.ids.resize((row + 1) * length, 0);
        }
        batch
    }

    /// Ids `[rows, length]`, positions `[learned]` and targets `[learned]` on `device`.
    pub fn to_device(&self, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>, Tensor<1, Int>) {
        let list = |values: &[i32]| Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device);
        (Tensor::from_data(TensorData::new(self.ids.clone(), self.shape), device), list(&self.positions), list(&self.targets))
    }
}

/// Batches of at most `budget` tokens, padding counted, from an endless stream of examples; the same seed gives the same ones.
pub struct Batches<I> {
    examples: I,
    budget: usize,
    rng: StdRng,
    ready: Vec<Batch>,
}

impl<I: Iterator<Item = Result<Example>>> Batches<I> {
    /// See [`Batches`].
    pub fn new(examples: I, budget: usize, seed: u64) -> Self {
        Self { examples, budget, rng: StdRng::seed_from_u64(seed), ready: Vec::new() }
    }

    fn refill(&mut self) -> Result<()> {
        let mut pool = Vec::new();
        let mut tokens = 0;
        while tokens < POOL * self.budget {
            let Some(example) = self.examples.next().transpose()? else { break };
            tokens += example.tokens.len();
            pool.push(example);
        }
        pool.sort_by_key(|example| example.tokens.len());
        let mut rows: Vec<Example> = Vec::new();
        for example in pool {
            // Sorted by length, so that the newest row is the longest.
            if !rows.is_empty() && (rows.len() + 1) * example.tokens.len() > self.budget {
                self.ready.push(Batch::new(&rows));
                rows.clear();
            }
            rows.push(example);
        }
        if !rows.is_empty() {
            self.ready.push(Batch::new(&rows));
        }
        self.ready.shuffle(&mut self.rng);
        Ok(())
    }
}

impl<I: Iterator<Item = Result<Example>>> Iterator for Batches<I> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && let Err(error) = self.refill()
        {
            return Some(Err(error));
        }
        self.ready.pop().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(length: usize) -> Example {
        Example { tokens: (0..length as u32).collect(), learned: (0..length).map(|at| at % 2 == 1).collect() }
    }

    #[test]
    fn a_batch_pads_and_points_at_the_tokens_before() {
        let batch = Batch::new(&[example(2), example(4)]);
        assert_eq!(batch.shape, [2, 4]);
        assert_eq!(batch.ids, [0, 1, 0, 0, 0, 1, 2, 3]);
        assert_eq!(batch.positions, [0, 4, 6]);
        assert_eq!(batch.targets, [1, 1, 3]);
    }

    #[test]
    fn batches_keep_their_budget_and_order_by_seed() {
        let stream = || (0..500).map(|i| Ok(example(2 + i * 7 % 50)));
        let shapes = |seed| Batches::new(stream(), 200, seed).map(|batch| batch.expect("batch").shape).collect::<Vec<_>>();
        assert!(shapes(1).iter().all(|[rows, length]| rows * length <= 200));
        assert_eq!(shapes(1), shapes(1));
        assert_ne!(shapes(1), shapes(2));
        assert_eq!(shapes(1).iter().map(|[rows, _]| rows).sum::<usize>(), 500);
    }
}
