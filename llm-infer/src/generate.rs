//! The loop: prefill the prompt in chunks, then sample and decode one token at a time.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::{Int, Tensor, TensorData};
use llm_model::{KvCache, LogitsAt};
use serde::Serialize;

use crate::metrics::{Timings, Usage, per_second};
use crate::model::Model;
use crate::sample::{Sampler, SamplingConfig, TokenLogprob, logprobs};
use crate::stop::StopStrings;
use crate::tokenizer::StreamingDecoder;
use crate::{Error, Result};

/// Prompt tokens of one prefill pass.
pub const PREFILL_CHUNK: usize = 512;

/// What to generate and when to stop.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// How each token is picked.
    pub sampling: SamplingConfig,
    /// Most tokens to generate.
    pub max_tokens: usize,
    /// Texts that end the generation; they are not part of the answer.
    pub stop: Vec<String>,
    /// Go on past the model's end-of-sequence tokens.
    pub ignore_eos: bool,
    /// How many alternatives to report for each token; `None` reports no log-probabilities.
    pub logprobs: Option<usize>,
    /// Prompt tokens of one prefill pass, at least 1.
    pub prefill_chunk: usize,
}

impl GenerateOptions {
    /// Sampling as given, until an end-of-sequence token or `max_tokens`.
    pub fn new(sampling: SamplingConfig, max_tokens: usize) -> Self {
        Self { sampling, max_tokens, stop: Vec::new(), ignore_eos: false, logprobs: None, prefill_chunk: PREFILL_CHUNK }
    }
}

/// What happens during a generation, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// Prompt tokens computed so far, of how many.
    Prefill(usize, usize),
    /// One token was picked.
    Token(u32),
    /// Text that is final: whole characters, and no beginning of a stop text.
    Text(&'a str),
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// An end-of-sequence token or a stop text.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
    /// The receiver of events asked for it.
    Cancelled,
}

/// A finished generation.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The answer, special tokens left out.
    pub text: String,
    /// The picked tokens, the one that ended it included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// One entry for each token, if asked for.
    pub logprobs: Option<Vec<TokenLogprob>>,
    /// Counts.
    pub usage: Usage,
    /// Prompt tokens whose keys and values were taken from the cache.
    pub reused_tokens: usize,
    /// Seconds; `load_s` is the model's.
    pub timings: Timings,
}

/// Runs `prompt` behind the first `reused` of its tokens, which `cache` holds already.
///
/// # Errors
/// [`Error::Request`] for options that make no sense, [`Error::Logits`] when the network yields no numbers.
pub(crate) fn generate(
    model: &Model,
    cache: &mut KvCache,
    prompt: &[u32],
    reused: usize,
    context: usize,
    options: &GenerateOptions,
    receive: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Generation> {
    let mut run = Run::new(model, prompt, options)?;
    let start = Instant::now();
    let mut finish = None;
    let mut logits = match prefill(model, cache, prompt, reused, options.prefill_chunk, receive)? {
        Some(logits) => logits,
        None => return Ok(run.finish(FinishReason::Cancelled, reused, start, start, receive)),
    };
    let prefilled = Instant::now();
    let mut first = prefilled;
    let limit = options.max_tokens.min(context.saturating_sub(prompt.len()));
    while finish.is_none() {
        if run.generated() >= limit {
            finish = Some(FinishReason::Length);
            break;
        }
        let (token, state) = run.pick(&mut logits, receive)?;
        if run.generated() == 1 {
            first = Instant::now();
        }
        finish = state;
        if finish.is_none() && run.generated() < limit {
            logits = step(model, cache, &[token], run.history.len())?;
        }
    }
    let mut done = run.finish(finish.unwrap_or(FinishReason::Length), reused, start, first, receive);
    done.timings.prefill_s = (prefilled - start).as_secs_f64();
    done.timings.prefill_tokens_per_second = per_second(prompt.len() - reused, done.timings.prefill_s);
    Ok(done)
}

/// Computes `prompt[reused..]`, the head for its last position only; `None` when cancelled.
fn prefill(
    model: &Model,
    cache: &mut KvCache,
    prompt: &[u32],
    reused: usize,
    chunk: usize,
    receive: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Option<Vec<f32>>> {
    let mut done = reused;
    for part in prompt[reused..].chunks(chunk.max(1)) {
        done += part.len();
        let logits = if done == prompt.len() {
            Some(step(model, cache, part, prompt.len())?)
        } else {
            model.lm().fill(tensor(model, part), &[prompt.len()], cache);
            None
        };
        if receive(Event::Prefill(done, prompt.len())).is_break() {
            return Ok(None);
        }
        if logits.is_some() {
            return Ok(logits);
        }
    }
    Err(Error::request("prompt", "no tokens", "at least one token"))
}

/// Logits of the last of `tokens`, the next of one sequence that is `length` long once its prompt is in.
fn step(model: &Model, cache: &mut KvCache, tokens: &[u32], length: usize) -> Result<Vec<f32>> {
    let logits = model.lm().forward_step(tensor(model, tokens), &[length], &LogitsAt::Last, Some(cache));
    logits.into_data().try_into_vec::<f32>().map_err(|error| Error::Logits { got: format!("{error:?}") })
}

fn tensor(model: &Model, tokens: &[u32]) -> Tensor<2, Int> {
    let ids: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(ids, [1, tokens.len()]), &model.device().device)
}

/// The state of one generation between two steps.
struct Run<'a> {
    options: &'a GenerateOptions,
    eos: &'a [u32],
    sampler: Sampler,
    stops: StopStrings,
    decoder: StreamingDecoder,
    /// Prompt and generated tokens.
    history: Vec<u32>,
    prompt: usize,
    text: String,
    logprobs: Vec<TokenLogprob>,
    stopped: bool,
}

impl<'a> Run<'a> {
    fn new(model: &'a Model, prompt: &[u32], options: &'a GenerateOptions) -> Result<Self> {
        Ok(Self {
            options,
            eos: &model.generation().eos_token_id,
            sampler: Sampler::new(&options.sampling, model.config().vocab_size)?,
            stops: StopStrings::new(&options.stop)?,
            decoder: model.tokenizer().streaming_decoder(true),
            history: prompt.to_vec(),
            prompt: prompt.len(),
            text: String::new(),
            logprobs: Vec::new(),
            stopped: false,
        })
    }

    fn generated(&self) -> usize {
        self.history.len() - self.prompt
    }

    /// Picks the next token and hands on what it makes final.
    fn pick(&mut self, logits: &mut [f32], receive: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<(u32, Option<FinishReason>)> {
        let before = self.options.logprobs.map(|_| logits.to_vec());
        let token = self.sampler.sample(&self.history, self.prompt, logits)?;
        if let (Some(top), Some(before)) = (self.options.logprobs, before) {
            self.logprobs.push(logprobs(&before, top, token));
        }
        self.history.push(token);
        let cancelled = receive(Event::Token(token)).is_break();
        if self.eos.contains(&token) && !self.options.ignore_eos {
            return Ok((token, Some(FinishReason::Stop)));
        }
        let piece = self.decoder.push(token).unwrap_or_default();
        let state = self.stops.push(&piece);
        self.stopped = state.stopped;
        let cancelled = self.emit(&state.emit, receive) || cancelled;
        Ok((token, if state.stopped { Some(FinishReason::Stop) } else { cancelled.then_some(FinishReason::Cancelled) }))
    }

    /// Hands on final text; true if the receiver wants no more.
    fn emit(&mut self, text: &str, receive: &mut dyn FnMut(Event) -> ControlFlow<()>) -> bool {
        self.text.push_str(text);
        !text.is_empty() && receive(Event::Text(text)).is_break()
    }

    fn finish(
        mut self,
        mut reason: FinishReason,
        reused: usize,
        start: Instant,
        first: Instant,
        receive: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Generation {
        let end = Instant::now();
        if !self.stopped {
            let tail = self.decoder.flush();
            let state = self.stops.push(&tail);
            self.emit(&state.emit, receive);
            if state.stopped {
                reason = FinishReason::Stop;
            } else {
                let held = self.stops.finish();
                self.emit(&held, receive);
            }
        }
        let tokens = self.history.split_off(self.prompt);
        let decode_s = (end - first).as_secs_f64();
        let timings = Timings {
            time_to_first_token_s: (first - start).as_secs_f64(),
            decode_s,
            decode_tokens_per_second: per_second(tokens.len().saturating_sub(1), decode_s),
            ..Timings::default()
        };
        Generation {
            text: self.text,
            usage: Usage { prompt_tokens: self.prompt, completion_tokens: tokens.len() },
            tokens,
            finish_reason: reason,
            logprobs: self.options.logprobs.map(|_| self.logprobs),
            reused_tokens: reused,
            timings,
        }
    }
}
