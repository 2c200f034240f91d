//! Speed: prompts and single tokens per second, beside what the memory of the machine allows.
//!
//! Each measurement is run once to warm up and then `runs` times on the same cache, which is truncated in between. Decoding is
//! bound by memory: each token reads every weight once, and the keys and values so far. [`Bandwidth`] measures before every run how
//! fast this machine reads, as that changes where others share it, and the quotient is the limit. Prefill is bound by arithmetic and
//! has no such limit here.

mod bandwidth;
mod plot;
mod subject;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use llm_model::{KvCache, LogitsAt, ModelConfig, ops};
use serde::Serialize;

pub use bandwidth::Bandwidth;
pub use plot::plot;
pub use subject::Subject;

use crate::generate::PREFILL_CHUNK;
use crate::sample::argmax;
use crate::{Error, Result};

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Prompt lengths; 0 is not measured.
    pub prefill: Vec<usize>,
    /// Numbers of tokens to decode; 0 is not measured.
    pub decode: Vec<usize>,
    /// Tokens in the cache beforehand.
    pub depth: Vec<usize>,
    /// Sequences at once.
    pub batch: Vec<usize>,
    /// Measured runs of each, at least 1.
    pub runs: usize,
    /// The type of keys and values.
    pub kv_dtype: DType,
}

/// One kind of measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Many tokens at once.
    Prefill,
    /// One token at a time.
    Decode,
}

/// One measurement to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Which kind.
    pub test: Test,
    /// How many tokens.
    pub tokens: usize,
    /// Behind how many.
    pub depth: usize,
    /// In how many sequences at once.
    pub batch: usize,
}

impl Case {
    /// Positions that it fills in each sequence.
    pub fn length(&self) -> usize {
        self.depth.saturating_add(self.tokens)
    }
}

/// The spread of a measurement over its runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The slowest.
    pub min: f64,
    /// The fastest.
    pub max: f64,
}

/// One measurement; the fields are those of `llm bench --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The model's name, or the shape's.
    pub model: String,
    /// The type of the weights.
    pub format: String,
    /// Bits in memory for each parameter.
    pub bits_per_weight: f64,
    /// The device.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// Which kind.
    pub test: Test,
    /// How many tokens.
    pub tokens: usize,
    /// Behind how many.
    pub depth: usize,
    /// Sequences at once.
    pub batch: usize,
    /// Tokens per second.
    pub tokens_per_second: Spread,
    /// Measured runs.
    pub runs: usize,
    /// Bytes that a decoded token must read: weights, keys and values at the middle of the run; of a prefill the share of one token.
    pub bytes_per_token: f64,
    /// What the device reads in a second: the median of what was measured before each run.
    pub read_bytes_per_second: f64,
    /// `read_bytes_per_second / bytes_per_token`, for decoding.
    pub limit_tokens_per_second: Option<f64>,
    /// The median as a share of that limit.
    pub share_of_limit: Option<f64>,
}

impl BenchOptions {
    /// The measurements in order: prefill by length, then decode by number, each at every depth and in every batch.
    pub fn cases(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (test, counts) in [(Test::Prefill, &self.prefill), (Test::Decode, &self.decode)] {
            for &tokens in counts.iter().filter(|tokens| **tokens > 0) {
                for &depth in &self.depth {
                    cases.extend(self.batch.iter().map(|&batch| Case { test, tokens, depth, batch }));
                }
            }
        }
        cases
    }
}

/// Makes the measurement `case` of `subject`.
///
/// # Errors
/// [`Error::Request`] for more tokens than the model's context, [`Error::Cancelled`] once `cancel` is set.
pub fn measure(subject: &Subject, case: Case, options: &BenchOptions, bandwidth: &Bandwidth, cancel: &AtomicBool) -> Result<Row> {
    let context = subject.config().max_position_embeddings;
    let length = case.length();
    if length > context {
        return Err(Error::request("--depth", format!("{length} tokens in all"), format!("at most the context of {context}")));
    }
    let mut cache = KvCache::new(subject.config(), case.batch, length, options.kv_dtype, &subject.device().device);
    prefill(subject, &mut cache, case.depth, cancel)?;
    let (mut speeds, mut reads) = (Vec::with_capacity(options.runs), Vec::with_capacity(options.runs));
    for run in 0..=options.runs.max(1) {
        (0..case.batch).for_each(|row| cache.truncate(row, case.depth));
        let read = bandwidth.bytes_per_second();
        let start = Instant::now();
        match case.test {
            Test::Prefill => prefill(subject, &mut cache, case.tokens, cancel)?,
            Test::Decode => decode(subject, &mut cache, case.tokens, cancel)?,
        }
        if run > 0 {
            speeds.push((case.batch * case.tokens) as f64 / start.elapsed().as_secs_f64());
            reads.push(read);
        }
    }
    Ok(row(subject, case, options, &mut speeds, spread(&mut reads).median))
}

fn row(subject: &Subject, case: Case, options: &BenchOptions, speeds: &mut [f64], read_bytes_per_second: f64) -> Row {
    let tokens_per_second = spread(speeds);
    let bytes_per_token = match case.test {
        Test::Decode => {
            let kv = kv_bytes(subject.config(), options.kv_dtype, case.depth + case.tokens / 2);
            subject.read_bytes() as f64 / case.batch as f64 + kv as f64
        }
        Test::Prefill => subject.read_bytes() as f64 / (case.batch * case.tokens) as f64,
    };
    let limit = (case.test == Test::Decode).then(|| read_bytes_per_second / bytes_per_token);
    Row {
        model: subject.name().to_owned(),
        format: subject.format().to_owned(),
        bits_per_weight: subject.bits_per_weight(),
        device: subject.device().name.clone(),
        threads: ops::threads::count(),
        test: case.test,
        tokens: case.tokens,
        depth: case.depth,
        batch: case.batch,
        tokens_per_second,
        runs: speeds.len(),
        bytes_per_token,
        read_bytes_per_second,
        limit_tokens_per_second: limit,
        share_of_limit: limit.map(|limit| tokens_per_second.median / limit),
    }
}

/// Fills the cache with `count` tokens in each sequence as a prompt would, and waits for the last logits.
fn prefill(subject: &Subject, cache: &mut KvCache, count: usize, cancel: &AtomicBool) -> Result<()> {
    let vocabulary = subject.config().vocab_size;
    // Ids all over the vocabulary, the same ones in every run.
    let ids: Vec<i32> = (0..count).map(|index| (index.wrapping_mul(7919) % vocabulary) as i32).collect();
    let whole = count.saturating_sub(1) / PREFILL_CHUNK * PREFILL_CHUNK;
    for part in ids[..whole].chunks(PREFILL_CHUNK) {
        require_running(cancel)?;
        let lengths: Vec<usize> = cache.lengths().iter().map(|length| length + part.len()).collect();
        let batch = lengths.len();
        subject.lm().fill(on_device(part.repeat(batch), batch, &subject.device().device), &lengths, cache);
    }
    if count > 0 {
        forward(subject, cache, ids[whole..].repeat(cache.lengths().len()), cancel)?;
    }
    Ok(())
}

/// Decodes `count` tokens of each sequence, each the likeliest after the one before.
fn decode(subject: &Subject, cache: &mut KvCache, count: usize, cancel: &AtomicBool) -> Result<()> {
    let mut tokens = vec![0; cache.lengths().len()];
    for _ in 0..count {
        let logits = forward(subject, cache, tokens, cancel)?;
        tokens = logits.chunks(subject.config().vocab_size).map(|logits| argmax(logits) as i32).collect();
    }
    Ok(())
}

fn require_running(cancel: &AtomicBool) -> Result<()> {
    if cancel.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}

/// The logits behind `ids`, as many for each sequence of the cache.
fn forward(subject: &Subject, cache: &mut KvCache, ids: Vec<i32>, cancel: &AtomicBool) -> Result<Vec<f32>> {
    require_running(cancel)?;
    let batch = cache.lengths().len();
    let lengths: Vec<usize> = cache.lengths().iter().map(|length| length + ids.len() / batch).collect();
    let tokens = on_device(ids, batch, &subject.device().device);
    let logits = subject.lm().forward_step(tokens, &lengths, &LogitsAt::Last, Some(cache));
    logits.into_data().try_into_vec::<f32>().map_err(|error| Error::Logits { got: format!("{error:?}") })
}

fn on_device(ids: Vec<i32>, batch: usize, device: &Device) -> Tensor<2, Int> {
    let length = ids.len() / batch;
    Tensor::from_data(TensorData::new(ids, [batch, length]), device)
}

/// Bytes of keys and values that a token behind `depth` others reads: all, or those in the window of each layer.
fn kv_bytes(config: &ModelConfig, dtype: DType, depth: usize) -> u64 {
    let layers = config.num_hidden_layers.max(1);
    let of_layer = (config.kv_bytes_per_token(dtype) / layers) as u64;
    let seen = |layer: usize| config.sliding_windows.get(layer).copied().flatten().map_or(depth, |window| window.min(depth));
    (0..layers).map(|layer| of_layer * seen(layer) as u64).sum()
}

fn spread(speeds: &mut [f64]) -> Spread {
    speeds.sort_by(f64::total_cmp);
    let at = |index: usize| speeds.get(index).copied().unwrap_or(0.0);
    let count = speeds.len();
    let median = if count % 2 == 1 { at(count / 2) } else { (at(count / 2) + at((count / 2).saturating_sub(1))) / 2.0 };
    Spread { median, min: at(0), max: at(count.saturating_sub(1)) }
}

#[cfg(test)]
mod tests;
