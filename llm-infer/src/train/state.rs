//! What a training run is between two steps, and how it is kept on disk.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::store::RecordError;
use llm_model::Transformer;
use serde::{Deserialize, Serialize};

use super::{Point, Shape, TrainOptions, plot};
use crate::checkpoint::write_atomic;
use crate::{Error, Result};

/// Model, optimizer and the losses so far.
pub struct State {
    pub model: Transformer,
    optimizer: ModuleOptimizer,
    pub step: usize,
    pub training: Vec<Point>,
    pub held_out: Vec<Point>,
}

/// What stands in `state.json` beside the weights and the optimizer's moments.
#[derive(Serialize, Deserialize)]
struct Saved {
    step: usize,
    shape: Shape,
    seed: u64,
    batch_tokens: usize,
    training: Vec<Point>,
    held_out: Vec<Point>,
}

impl State {
    pub fn new(model: Transformer, optimizer: ModuleOptimizer, options: &TrainOptions) -> Self {
        Self { model, optimizer, step: 0, training: Vec::with_capacity(options.steps), held_out: Vec::new() }
    }

    pub fn last_held_out(&self) -> Option<f64> {
        self.held_out.last().map(|(_, loss)| *loss)
    }

    /// One update; the model is moved, so that its tensors are unique and change in place.
    pub fn update(mut self, rate: f64, gradients: GradientsParams) -> Self {
        self.model = self.optimizer.step(rate, self.model, gradients);
        self.step += 1;
        self
    }

    /// Writes the checkpoint: the new one is complete before `state.json` names it, so that a crash leaves the old one valid.
    pub fn save(&self, options: &TrainOptions) -> Result<()> {
        let folder = options.out.join("checkpoints");
        std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        let [model, optimizer] = files(&folder, self.step);
        let failed = |path: &Path, error| Error::invalid(path, "checkpoint", format!("{error:?}"), "a written file");
        self.model.clone().save_file(&model).map_err(|error: RecordError| failed(&model, error))?;
        self.optimizer.save(&optimizer).map_err(|error| failed(&optimizer, error))?;
        let saved = Saved {
            step: self.step,
            shape: options.shape,
            seed: options.seed,
            batch_tokens: options.batch_tokens,
            training: self.training.clone(),
            held_out: self.held_out.clone(),
        };
        let path = folder.join("state.json");
        let json = serde_json::to_vec(&saved).map_err(|error| Error::invalid(&path, "state", error, "numbers"))?;
        write_atomic(&path, &json)?;
        remove_others(&folder, self.step);
        plot::loss(&options.out.join("loss.svg"), &smooth(&self.training), &self.held_out)
    }

    /// The newest checkpoint of `options.out`, or this fresh state where there is none.
    pub fn resume(self, options: &TrainOptions) -> Result<Self> {
        let folder = options.out.join("checkpoints");
        let path = folder.join("state.json");
        if !path.exists() {
            return Ok(self);
        }
        let json = std::fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let saved: Saved = serde_json::from_slice(&json).map_err(|error| Error::invalid(&path, "state", error, "a training state"))?;
        if (saved.shape, saved.seed, saved.batch_tokens) != (options.shape, options.seed, options.batch_tokens) {
            let error = Error::invalid(&path, "settings", "another shape, seed or batch size", "those of this run");
            return Err(error.with_hint("resume with the settings it was started with, or train into another folder"));
        }
        let [model, optimizer] = files(&folder, saved.step);
        let damaged = |path: &Path, error: RecordError| Error::invalid(path, "checkpoint", format!("{error:?}"), "a whole checkpoint");
        Ok(Self {
            model: self.model.try_load_file(&model).map_err(|error| damaged(&model, error))?,
            optimizer: self.optimizer.load(&optimizer).map_err(|error| damaged(&optimizer, error))?,
            step: saved.step,
            training: saved.training,
            held_out: saved.held_out,
        })
    }
}

fn files(folder: &Path, step: usize) -> [PathBuf; 2] {
    ["model", "optimizer"].map(|kind| folder.join(format!("{kind}-{step}.bpk")))
}

/// Removes checkpoints that `state.json` no longer names; one that stays does no harm.
fn remove_others(folder: &Path, step: usize) {
    let keep = files(folder, step);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "bpk") && !keep.contains(&path) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Means of up to 200 stretches of the run, for the plot.
fn smooth(points: &[Point]) -> Vec<Point> {
    let stretch = points.len().div_ceil(200).max(1);
    points
        .chunks(stretch)
        .map(|part| (part[part.len() - 1].0, part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64))
        .collect()
}
