//! The text that shows a model's inputs: read, cut into sequences, and run through layers whose matrices are watched.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use llm_model::{DecoderLayer, Embedding, ModelConfig, Step, Weight};
use serde::Deserialize;

use super::moments::Moments;
use crate::chat::{ChatTemplate, Message, RenderOptions};
use crate::checkpoint::json;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// The most tokens that are run through the model; more change little.
const TOKENS: usize = 8192;

/// The longest sequence; a model of a shorter context has its own.
const LONGEST: usize = 512;

/// The shortest that a text is cut into.
const SHORTEST: usize = 32;

/// Of so many sequences the last is held out: it measures and does not calibrate.
const HELD_OUT: usize = 8;

/// Fewer tokens say too little about any model.
const LEAST: usize = 64;

/// The longest file that is read, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// Sequences of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    /// Those that calibrate.
    pub sequences: Vec<Vec<u32>>,
    /// Those that only measure.
    pub held_out: Vec<Vec<u32>>,
}

/// A line of a `.jsonl` file.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    messages: Option<Vec<Message>>,
}

impl Calibration {
    /// Reads a text, or where the name ends in `.jsonl` lines of `{"text": …}` or `{"messages": […]}`, which `template` renders.
    ///
    /// # Errors
    /// A file that cannot be read, is too large or too short, or has lines of another kind, and messages without a template.
    pub fn read(path: &Path, tokenizer: &Tokenizer, template: &Result<ChatTemplate>, config: &ModelConfig) -> Result<Self> {
        let bytes = json::read_bounded(path, MAX_BYTES)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::invalid(path, format!("byte {at}"), format!("`0x{:02x}`", error.as_bytes()[at]), "UTF-8")
        })?;
        let texts = if path.extension().is_some_and(|extension| extension == "jsonl") {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines.map(|(index, line)| encode_line(line, tokenizer, template).map_err(|error| at_line(path, index, error))).collect()
        } else {
            tokenizer.encode(&text, false).map(|ids| vec![ids])
        };
        let new = Self::cut(texts?, tokenizer.bos_id(), config.context_length().min(LONGEST));
        let tokens = new.tokens();
        if tokens < LEAST {
            return Err(Error::invalid(path, "text", format!("{tokens} tokens"), format!("at least {LEAST}, better some thousands")));
        }
        Ok(new)
    }

    /// Sequences of at most `longest` tokens, each with the token `bos` first.
    fn cut(texts: Vec<Vec<u32>>, bos: Option<u32>, longest: usize) -> Self {
        let (mut new, mut count, mut tokens) = (Self { sequences: Vec::new(), held_out: Vec::new() }, 0, 0);
        // Of a short text, short sequences: there shall be some to hold out.
        let total: usize = texts.iter().map(Vec::len).sum();
        let longest = longest.min((total / (2 * HELD_OUT)).max(SHORTEST));
        let room = longest.saturating_sub(usize::from(bos.is_some())).max(1);
        for piece in texts.iter().flat_map(|text| text.strip_prefix(bos.as_slice()).unwrap_or(text).chunks(room)) {
            if tokens >= TOKENS {
                break;
            }
            count += 1;
            let sequence: Vec<u32> = bos.iter().chain(piece).copied().collect();
            if count % HELD_OUT == 0 {
                new.held_out.push(sequence);
            } else {
                tokens += sequence.len();
                new.sequences.push(sequence);
            }
        }
        new
    }

    /// Tokens that calibrate.
    pub fn tokens(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }
}

fn encode_line(line: &str, tokenizer: &Tokenizer, template: &Result<ChatTemplate>) -> Result<Vec<u32>> {
    let wrong = |got: String| Error::request("line", got, "{\"text\": …} or {\"messages\": […]}");
    let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
    match (line.text, line.messages, template) {
        (Some(text), None, _) => tokenizer.encode(&text, false),
        (None, Some(messages), Ok(template)) => tokenizer.encode_rendered(&template.render(&messages, &RenderOptions::default())?),
        (None, Some(_), Err(error)) => Err(Error::Template { message: error.to_string(), hint: error.hint().map(str::to_owned) }),
        _ => Err(wrong("neither or both of `text` and `messages`".to_owned())),
    }
}

fn at_line(path: &Path, index: usize, error: Error) -> Error {
    match error {
        Error::Request { got, expected, .. } => Error::invalid(path, format!("line {}", index + 1), got, expected),
        other => other,
    }
}

/// Sequences on their way through the layers.
pub(super) struct Stream {
    /// What the next layer gets: `[1, length, hidden]` for each sequence.
    inputs: Vec<Tensor<3>>,
    steps: Vec<Step>,
}

impl Stream {
    /// The rows of `embedding` for each sequence.
    pub fn new(sequences: &[Vec<u32>], embedding: &Embedding, config: &ModelConfig, device: &Device) -> Self {
        let (mut inputs, mut steps) = (Vec::new(), Vec::new());
        for sequence in sequences {
            let ids: Vec<i32> = sequence.iter().map(|id| *id as i32).collect();
            let length = ids.len();
            inputs.push(embedding.forward(Tensor::<2, Int>::from_data(TensorData::new(ids, [1, length]), device), &[0]));
            steps.push(Step::new(&config.rope, config.local_rope.as_ref(), vec![0], &[length], length, device));
        }
        Self { inputs, steps }
    }

    /// What the next layer gets.
    pub fn inputs(&self) -> &[Tensor<3>] {
        &self.inputs
    }

    /// Goes through `layer`.
    pub fn advance<L: DecoderLayer>(&mut self, layer: &L) {
        for (x, step) in self.inputs.iter_mut().zip(&self.steps) {
            *x = layer.forward(x.clone(), step, None);
        }
    }

    /// What each of `weights` is multiplied with when the sequences go through `layer`; they stay where they are. Nothing is known of
    /// experts that no token passes.
    pub fn observe<L: DecoderLayer>(&self, layer: &mut L) -> Result<HashMap<String, Moments>> {
        let mut sums: Vec<(String, Shared)> = Vec::new();
        for (path, weight) in layer.weights_mut() {
            sums.push((path, watch(weight)));
        }
        for (x, step) in self.inputs.iter().zip(&self.steps) {
            drop(layer.forward(x.clone(), step, None));
        }
        let is_idle = |path: &str, sums: &Shared| path.contains(".experts.") && sums.lock().is_ok_and(|sums| sums.is_none());
        let seen = sums.into_iter().filter(|(path, sums)| !is_idle(path, sums));
        seen.map(|(path, sums)| moments(&sums, &path).map(|moments| (path, moments))).collect()
    }
}

/// Sums of a matrix that is watched.
type Shared = Arc<Mutex<Option<Sums>>>;

struct Sums {
    /// Σ x xᵀ.
    gram: Tensor<2>,
    /// Σ |x|, `[1, width]`.
    magnitude: Tensor<2>,
    rows: usize,
}

fn watch(weight: &mut Weight) -> Shared {
    let shared = Shared::default();
    let sums = shared.clone();
    weight.observe(move |x| add(&sums, x));
    shared
}

/// The moments of `inputs`, each `[rows, width]`, of the matrix at `path`.
pub(super) fn moments_of(inputs: impl Iterator<Item = Tensor<2>>, path: &str) -> Result<Moments> {
    let sums = Shared::default();
    inputs.for_each(|x| add(&sums, x));
    moments(&sums, path)
}

fn add(sums: &Shared, x: Tensor<2>) {
    let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = x.dims()[0];
    let (gram, magnitude) = (x.clone().transpose().matmul(x.clone()), x.abs().sum_dim(0));
    *sums = Some(match sums.take() {
        Some(old) => Sums { gram: old.gram + gram, magnitude: old.magnitude + magnitude, rows: old.rows + rows },
        None => Sums { gram, magnitude, rows },
    });
}

fn moments(sums: &Shared, path: &str) -> Result<Moments> {
    let Some(Sums { gram, magnitude, rows }) = sums.lock().unwrap_or_else(PoisonError::into_inner).take() else {
        return Err(Error::request(path, "a matrix that multiplies nothing", "a layer that uses all that it lists"));
    };
    let (width, scale) = (gram.dims()[0], 1.0 / rows as f32);
    let mean = |sum: Tensor<2>| -> Result<Vec<f32>> {
        let message = |error: String| Error::Device { device: "of the calibration".to_owned(), message: error, hint: None };
        let data = (sum * scale).try_into_data().map_err(|error| message(error.to_string()))?;
        data.try_into_vec().map_err(|error| message(error.to_string()))
    };
    let new = Moments { width, gram: mean(gram)?, magnitude: mean(magnitude)? };
    if new.gram.iter().all(|x| x.is_finite()) {
        return Ok(new);
    }
    Err(Error::request(path, "inputs that are no numbers", "finite ones")
        .with_hint("every weight is a number: what they make of the text is too large for f32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eighth_sequence_is_held_out() {
        let new = Calibration::cut(vec![(0..40).collect(), vec![9, 1, 2]], Some(9), 5);
        assert_eq!((new.sequences.len(), new.held_out.len()), (10, 1));
        assert_eq!(
            (&new.sequences[0], &new.held_out[0], &new.sequences[9]),
            (&vec![9, 0, 1, 2, 3], &vec![9, 28, 29, 30, 31], &vec![9, 1, 2])
        );
        assert_eq!(new.tokens(), 9 * 5 + 3);
        assert!(Calibration::cut(vec![vec![1; 100_000]], None, 512).tokens() < TOKENS + 512);
    }
}
