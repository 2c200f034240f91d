//! Training with Burn: the pipeline that made the embedded model, for others to copy.
//!
//! A corpus becomes [`dataset::Example`]s and [`dataset::Batches`]; [`train`] runs AdamW over them with a warm-up and cosine
//! schedule and clipped gradients, keeps checkpoints from which it resumes, plots the loss, and writes a Hugging Face folder.

pub mod corpus;
pub mod dataset;
mod evaluate;
pub mod plot;
mod schedule;
mod source;
mod state;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use llm_model::{ModelConfig, Transformer};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::checkpoint::{self, SaveOptions, WeightDtype};
use dataset::{Batch, Batches};
pub use evaluate::{KindScore, evaluate_builtin};
pub use plot::Point;
pub use schedule::learning_rate;
pub use source::Source;
use state::State;

/// The shortest context in which dialogues of the built-in corpus fit, also where every byte is a token.
const BUILTIN_CONTEXT: usize = 32;

/// What is trained, on what, and for how long.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// The folder that checkpoints, the loss plot and at the end the model are written to.
    pub out: PathBuf,
    /// What is learned from.
    pub source: Source,
    /// The shape; its vocabulary size is that of the tokenizer, which is trained first.
    pub shape: Shape,
    /// Where it runs.
    pub device: Device,
    /// Steps in all.
    pub steps: usize,
    /// Tokens of one batch, padding counted.
    pub batch_tokens: usize,
    /// Highest learning rate of the schedule.
    pub learning_rate: f64,
    /// Steps of the linear warm-up.
    pub warmup_steps: usize,
    /// Weight decay of AdamW.
    pub weight_decay: f32,
    /// Largest norm of the gradient of one parameter.
    pub max_gradient_norm: f32,
    /// Seed of weights and order.
    pub seed: u64,
    /// Steps between checkpoints, held-out losses and plots.
    pub checkpoint_every: usize,
    /// Go on from the newest checkpoint in `out`, if there is one.
    pub resume: bool,
}

impl TrainOptions {
    /// The settings that made the embedded model, written to `out`.
    pub fn new(out: impl Into<PathBuf>, device: Device) -> Self {
        Self {
            out: out.into(),
            source: Source::Builtin { stories: None },
            shape: Shape::BUILTIN,
            device,
            steps: 4000,
            batch_tokens: 4096,
            learning_rate: 3e-3,
            warmup_steps: 100,
            weight_decay: 0.05,
            max_gradient_norm: 1.0,
            seed: 1,
            checkpoint_every: 250,
            resume: false,
        }
    }
}

/// The sizes of a llama-type model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Entries of the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Longest sequence.
    pub context: usize,
}

impl Shape {
    /// The embedded model: 3.3 M parameters.
    pub const BUILTIN: Self = Self {
        vocab_size: 1536,
        hidden_size: 256,
        intermediate_size: 512,
        num_hidden_layers: 5,
        num_attention_heads: 8,
        num_key_value_heads: 4,
        context: 512,
    };

    /// The `config.json` of this shape.
    pub fn config_json(&self) -> serde_json::Value {
        serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.hidden_size / self.num_attention_heads.max(1),
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "max_position_embeddings": self.context,
            "tie_word_embeddings": true,
            "attention_bias": false,
            "mlp_bias": false,
            "bos_token_id": 0,
            "eos_token_id": 4,
            "torch_dtype": "float16",
        })
    }

    /// The network of this shape.
    ///
    /// # Errors
    /// [`crate::Error::Request`] for sizes that do not go together, and for a context in which nothing can be learned.
    pub fn config(&self) -> Result<ModelConfig> {
        if self.context < 2 {
            return Err(crate::Error::request("max_position_embeddings", self.context, "at least 2: a token and the next one"));
        }
        ModelConfig::from_json(&self.config_json()).map_err(|error| crate::Error::request(error.field, error.got, error.expected))
    }
}

/// How a training run stands after a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps done, of [`Progress::steps`].
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Loss of this step's batch, in nats per learned token.
    pub loss: f64,
    /// Newest loss on held-out batches.
    pub held_out: Option<f64>,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Tokens per second of this step.
    pub tokens_per_second: f64,
}

/// What a training run gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainReport {
    /// Parameters of the model.
    pub parameters: usize,
    /// Tokens seen by this run, padding left out.
    pub tokens: usize,
    /// Seconds of this run.
    pub seconds: f64,
    /// Last loss on held-out batches, in nats per learned token.
    pub held_out: Option<f64>,
    /// Whether all steps were done; a run that was stopped can be resumed.
    pub finished: bool,
}

/// Trains a model and writes it to `options.out` as a Hugging Face folder; `watch` sees every step and may stop the run.
///
/// # Errors
/// Unreadable data, a folder that cannot be written, a checkpoint of other settings, or a loss that is no number.
pub fn train(options: &TrainOptions, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<TrainReport> {
    // First of all, so that a shape that is refused leaves nothing behind.
    options.shape.config()?;
    require_fitting(options)?;
    std::fs::create_dir_all(&options.out).map_err(|error| crate::Error::io(&options.out, error))?;
    let device = options.device.clone().autodiff();
    device.seed(options.seed);
    let tokenizer = options.source.tokenizer(&options.out, &options.shape)?;
    let shape = Shape { vocab_size: tokenizer.vocab_size(), ..options.shape };
    let config = shape.config()?;
    let examples = options.source.examples(&tokenizer, options.shape.context, options.seed)?;
    let mut batches = Batches::new(examples, options.batch_tokens, options.seed);
    let held_out = options.source.held_out(&tokenizer, options.shape.context, options.batch_tokens)?;

    let mut state = State::new(config.init(&device), optimizer(options), options);
    if options.resume {
        state = state.resume(options)?;
        (0..state.step).try_for_each(|_| batches.next().transpose().map(|_| ()))?;
    }
    let start = Instant::now();
    let mut tokens = 0;
    while state.step < options.steps {
        let Some(batch) = batches.next().transpose()? else { break };
        tokens += batch.tokens;
        let progress;
        (state, progress) = step(state, &batch, options, &device)?;
        if state.step.is_multiple_of(options.checkpoint_every) || state.step == options.steps {
            let loss = mean_loss(&state.model, &held_out, &options.device);
            state.held_out.push((state.step, finite("held-out loss", loss, state.step)?));
            state.save(options)?;
        }
        if watch(Progress { held_out: state.last_held_out(), ..progress }).is_break() {
            state.save(options)?;
            break;
        }
    }
    let save = SaveOptions { dtype: WeightDtype::F16, overwrite: true, ..SaveOptions::default() };
    checkpoint::save(&state.model.valid(), &shape.config_json(), &options.out, &save)?;
    Ok(TrainReport {
        parameters: state.model.num_params(),
        tokens,
        seconds: start.elapsed().as_secs_f64(),
        held_out: state.last_held_out(),
        finished: state.step >= options.steps,
    })
}

/// Refuses a context that no dialogue of the generators may fit: these would be searched for one for ever.
fn require_fitting(options: &TrainOptions) -> Result<()> {
    match (&options.source, options.shape.context) {
        (Source::Builtin { .. }, context) if context < BUILTIN_CONTEXT => {
            let expected = format!("at least {BUILTIN_CONTEXT} for the built-in corpus");
            Err(crate::Error::request("max_position_embeddings", context, expected))
        }
        _ => Ok(()),
    }
}

fn optimizer(options: &TrainOptions) -> ModuleOptimizer {
    AdamWConfig::new()
        .with_beta_2(0.98)
        .with_epsilon(1e-8)
        .with_weight_decay(options.weight_decay)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(options.max_gradient_norm)))
        .init()
}

/// `loss`, where training can go on with it.
fn finite(name: &str, loss: f64, step: usize) -> Result<f64> {
    if loss.is_finite() {
        return Ok(loss);
    }
    let error = crate::Error::request(name, format!("{loss} at step {step}"), "a finite number");
    Err(error.with_hint("lower the learning rate; the last checkpoint is as it was"))
}

/// One step: forward, backward, update.
fn step(state: State, batch: &Batch, options: &TrainOptions, device: &Device) -> Result<(State, Progress)> {
    let start = Instant::now();
    let rate = learning_rate(options.learning_rate, options.warmup_steps, options.steps, state.step);
    let loss = loss(&state.model, batch, device);
    let value = finite("loss", f64::from(loss.clone().into_scalar::<f32>()), state.step)?;
    let gradients = GradientsParams::from_grads(loss.backward(), &state.model);
    let mut state = state.update(rate, gradients);
    state.training.push((state.step, value));
    let tokens_per_second = batch.tokens as f64 / start.elapsed().as_secs_f64();
    let progress = Progress { step: state.step, steps: options.steps, loss: value, held_out: None, learning_rate: rate, tokens_per_second };
    Ok((state, progress))
}

/// Mean cross-entropy of the learned tokens; the head is computed for no others.
fn loss(model: &Transformer, batch: &Batch, device: &Device) -> Tensor<1> {
    let (ids, positions, targets) = batch.to_device(device);
    let hidden = model.hidden(ids); // [rows, length, hidden]
    let [rows, length, width] = hidden.dims();
    let learned = hidden.reshape([rows * length, width]).select(0, positions); // [learned, hidden]
    let logits = model.head(learned.unsqueeze()); // [1, learned, vocab]
    let [_, count, vocab] = logits.dims();
    CrossEntropyLossConfig::new().init(device).forward(logits.reshape([count, vocab]), targets)
}

/// Loss over all of `batches`, weighted by their learned tokens.
fn mean_loss(model: &Transformer, batches: &[Batch], device: &Device) -> f64 {
    let model = model.valid();
    let (mut sum, mut count) = (0.0, 0);
    for batch in batches {
        sum += f64::from(loss(&model, batch, device).into_scalar::<f32>()) * batch.targets.len() as f64;
        count += batch.targets.len();
    }
    sum / count.max(1) as f64
}
