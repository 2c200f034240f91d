//! What a quantization did to a model.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use llm_model::quant::{QuantMatrix, QuantShape};
use serde::Serialize;

use super::moments::{Moments, weight_error};
use crate::device::DeviceInfo;
use crate::eval::{EvalOptions, Evaluation, evaluate};
use crate::{Model, ModelOptions, Result};

/// What became of one matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatrixReport {
    /// Its name in the files.
    pub name: String,
    /// Outputs and inputs.
    pub shape: [usize; 2],
    /// Its format.
    pub format: &'static str,
    /// Bits that a weight takes in the file, its share of the scales counted in.
    pub bits_per_weight: f64,
    /// √(Σ(w − ŵ)² / Σw²).
    pub weight_error: f64,
    /// √(E‖(w − ŵ) x‖² / E‖w x‖²) over the inputs of the calibration, where there was one.
    pub output_error: Option<f64>,
}

impl MatrixReport {
    /// Compares `matrix` with the `weights` that it was made of.
    pub(super) fn new(name: &str, weights: &[f32], matrix: &QuantMatrix, moments: Option<&Moments>) -> Self {
        let shape = QuantShape { format: matrix.format, rows: matrix.rows, width: matrix.width };
        Self {
            name: name.to_owned(),
            shape: [matrix.rows, matrix.width],
            format: matrix.format.name(),
            bits_per_weight: bits(shape.stored_bytes() as u64, weights.len()),
            weight_error: weight_error(weights, matrix),
            output_error: moments.map(|moments| moments.output_error(weights, matrix)),
        }
    }
}

/// What became of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantizeReport {
    /// The folder that was written.
    pub out: PathBuf,
    /// How the weights were rounded.
    pub method: &'static str,
    /// All quantized matrices, in the order of the model.
    pub matrices: Vec<MatrixReport>,
    /// Weights of the model, quantized or not.
    pub parameters: usize,
    /// Bytes of the weights before.
    pub bytes_before: u64,
    /// Bytes of the weight file that was written.
    pub bytes_after: u64,
    /// Bits of that file for each weight of the model.
    pub bits_per_weight: f64,
    /// Tokens that calibrated.
    pub calibration_tokens: usize,
    /// What was held out of the calibration text, joined, to measure with: see [`quality`].
    #[serde(skip)]
    pub held_out: Vec<u32>,
    /// Perplexity of that, and how far the model is from the original, once it was measured.
    pub quality: Option<Evaluation>,
    /// What killed processes had left beside the target, and is gone now.
    pub removed: Vec<PathBuf>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The longest window of [`quality`].
const WINDOW: usize = 512;

/// Compares the model that `report` is about with `input`, which it was made from, on what was held out of the calibration text;
/// `None` where nothing was. Both are loaded whole.
///
/// # Errors
/// See [`evaluate`] and [`Model::load`].
pub fn quality(
    report: &QuantizeReport,
    input: &str,
    device: &DeviceInfo,
    progress: Option<&dyn Fn(usize, usize)>,
    cancel: Option<&AtomicBool>,
) -> Result<Option<Evaluation>> {
    if report.held_out.len() < 2 {
        return Ok(None);
    }
    let load = |path: &str| Model::load(path, &ModelOptions { cancel, ..ModelOptions::new(device.clone()) });
    let (model, reference) = (load(&report.out.to_string_lossy())?, load(input)?);
    let context = model.config().context_length().min(WINDOW);
    let options = EvalOptions { progress, cancel, ..EvalOptions::new(context) };
    evaluate(&model, Some(&reference), &report.held_out, &options).map(Some)
}

/// `bytes` in bits for each of `weights`.
pub(super) fn bits(bytes: u64, weights: usize) -> f64 {
    8.0 * bytes as f64 / weights.max(1) as f64
}
