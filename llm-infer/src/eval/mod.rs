//! Quality: perplexity of a text, and how far a model is from a reference.
//!
//! Perplexity is `exp(-1/n Σ ln p(token | those before it in its window))`. Windows are those of transformers' guide ("Perplexity
//! of fixed-length models"): see [`windows()`]. Text is tokenized once, whole, with what the tokenizer puts around it: a begin token
//! stands before the first token of the text, which is then scored, too, and nowhere else.
//!
//! The reference of a comparison is the base: `KL(reference ‖ model) = Σ p ln(p / q)` with `p` the reference's distribution and `q`
//! the model's, as `llama-perplexity --kl-divergence` has it. Both read the same windows side by side, so nothing is kept of a
//! token but its divergence. Logits are computed for a bounded number of positions at a time; sums are in double precision.

mod outline;
mod runner;
mod scores;
mod windows;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::DType;
use serde::Serialize;

pub use outline::Outline;
use runner::Runner;
use scores::Totals;
pub use windows::{Window, windows};

use crate::generate::PREFILL_CHUNK;
use crate::model::Model;
use crate::{Error, Result};

/// Logits that are computed at once and model, in numbers: 32 MiB.
const LOGITS_AT_ONCE: usize = 8 << 20;

/// How to read the text.
#[derive(Clone)]
pub struct EvalOptions<'a> {
    /// Tokens of a window, at least 2.
    pub context: usize,
    /// Tokens from the beginning of one window to that of the next, 1 to `context`; less is more exact, and slower.
    pub stride: usize,
    /// The type of the model's keys and values; `None` is its own choice. A reference always has its own.
    pub kv_dtype: Option<DType>,
    /// Called with the tokens scored so far, and how many there are.
    pub progress: Option<&'a dyn Fn(usize, usize)>,
    /// Ends the work with [`Error::Cancelled`] once it is true.
    pub cancel: Option<&'a AtomicBool>,
}

impl EvalOptions<'_> {
    /// Windows of `context` tokens that overlap by half, so that every token but the first ones has at least half a window before it.
    pub fn new(context: usize) -> Self {
        Self { context, stride: (context / 2).max(1), kv_dtype: None, progress: None, cancel: None }
    }

    /// Whether windows of this kind score every token.
    ///
    /// # Errors
    /// [`Error::Request`] naming the flag.
    pub fn check(&self) -> Result<()> {
        if self.context < 2 {
            return Err(Error::request("--context", self.context, "at least 2 tokens").with_hint("a token is predicted from another"));
        }
        if !(1..=self.context).contains(&self.stride) {
            let expected = format!("1 to the context of {}", self.context);
            return Err(Error::request("--stride", self.stride, expected).with_hint("a longer stride would leave tokens out"));
        }
        Ok(())
    }
}

/// What was found; the fields are those of `llm eval --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The model's name.
    pub model: String,
    /// The device.
    pub device: String,
    /// `exp` of the mean negative log-probability.
    pub perplexity: f64,
    /// Tokens scored: all but the first, which is the begin token where the tokenizer adds one.
    pub tokens: usize,
    /// Tokens of a window.
    pub context: usize,
    /// Tokens between the beginnings of windows.
    pub stride: usize,
    /// Bits in memory for each parameter.
    pub bits_per_weight: f64,
    /// How far the model is from the reference, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<Comparison>,
    /// Seconds that it took, loading left out.
    pub seconds: f64,
}

/// A model beside its reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The reference's name.
    pub model: String,
    /// The reference's perplexity.
    pub perplexity: f64,
    /// The mean of `KL(reference ‖ model)` over the tokens, in nats.
    pub kl_mean: f64,
    /// Its 99th percentile, linear between ranks.
    pub kl_p99: f64,
    /// The share of tokens for which both find the same token likeliest.
    pub top1_agreement: f64,
    /// The model's perplexity by the reference's.
    pub perplexity_ratio: f64,
}

/// Scores `tokens` by `model`, beside `reference` where there is one.
///
/// # Errors
/// [`Error::Request`] for options that make no sense, fewer than two tokens, ids that the model lacks, or a reference of another
/// vocabulary; [`Error::Logits`] when a network yields no numbers; [`Error::Cancelled`].
pub fn evaluate(model: &Model, reference: Option<&Model>, tokens: &[u32], options: &EvalOptions) -> Result<Evaluation> {
    let rows = (LOGITS_AT_ONCE / model.config().vocab_size.max(1)).max(1);
    evaluate_in(Pass { tokens: PREFILL_CHUNK, rows }, model, reference, tokens, options)
}

/// What is computed at once, which changes no result but by rounding.
#[derive(Clone, Copy)]
struct Pass {
    /// Tokens through the layers.
    tokens: usize,
    /// Positions through the head.
    rows: usize,
}

fn evaluate_in(pass: Pass, model: &Model, reference: Option<&Model>, tokens: &[u32], options: &EvalOptions) -> Result<Evaluation> {
    options.check()?;
    if let Some(rows) = [Some(model), reference].into_iter().flatten().filter_map(|model| model.config().learned_positions).min()
        && options.context > rows
    {
        return Err(Error::request("--context", options.context, format!("at most the {rows} positions that the model has")));
    }
    let outline = Outline::of(model);
    outline.require_scorable(tokens)?;
    if let Some(reference) = reference {
        outline.require_same_vocabulary(&Outline::of(reference))?;
    }
    let start = Instant::now();
    let capacity = options.context.min(tokens.len());
    let mut runners = vec![Runner::new(model, options.kv_dtype.unwrap_or_else(|| model.kv_dtype()), capacity)];
    runners.extend(reference.map(|reference| Runner::new(reference, reference.kv_dtype(), capacity)));
    let mut totals = Totals::default();
    for window in windows(tokens.len(), options.context, options.stride) {
        read(&window, pass, &mut runners, tokens, options, &mut totals)?;
    }
    let perplexity = totals.perplexity()?;
    let compare = reference.map(|reference| totals.comparison(reference.name())).transpose()?;
    Ok(Evaluation {
        model: model.name().to_owned(),
        device: model.device().name.clone(),
        perplexity,
        tokens: totals.tokens(),
        context: options.context,
        stride: options.stride,
        bits_per_weight: model.report().bits_per_weight(),
        compare,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Runs every runner through `window` and adds up what is scored there.
fn read(window: &Window, pass: Pass, runners: &mut [Runner], tokens: &[u32], options: &EvalOptions, totals: &mut Totals) -> Result<()> {
    let require_running = || match options.cancel {
        Some(cancel) if cancel.load(Ordering::Relaxed) => Err(Error::Cancelled),
        _ => Ok(()),
    };
    let length = window.end - window.begin;
    runners.iter_mut().for_each(|runner| runner.begin(length));
    // The logits at a position are those of the token behind it; nothing is behind the last.
    for part in tokens[window.begin..window.scored - 1].chunks(pass.tokens) {
        require_running()?;
        runners.iter_mut().for_each(|runner| runner.fill(part));
    }
    for (inputs, targets) in
        tokens[window.scored - 1..window.end - 1].chunks(pass.tokens).zip(tokens[window.scored..window.end].chunks(pass.tokens))
    {
        require_running()?;
        let hidden: Vec<_> = runners.iter_mut().map(|runner| runner.hidden(inputs)).collect();
        for (index, targets) in targets.chunks(pass.rows).enumerate() {
            let from = index * pass.rows;
            let logits = runners.iter().zip(&hidden).map(|(runner, hidden)| runner.logits(hidden, from..from + targets.len()));
            totals.add(&logits.collect::<Result<Vec<_>>>()?, targets)?;
        }
        if let Some(progress) = options.progress {
            progress(totals.tokens(), tokens.len() - 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
