//! What each matrix loses at 4 and at 8 bits, and the formats that a budget gets for it.

use std::collections::HashMap;

use llm_model::quant::{QuantFormat, QuantShape};
use llm_model::{DecoderLayer, Embedding, arch};

use super::budget::{Choice, choose};
use super::calibration::Stream;
use super::job::{Formats, QuantizeOptions};
use super::layers::{EMBEDDING, HEAD, last_moments};
use super::moments::{Moments, weight_error};
use super::pack::widened;
use super::{Scheme, rtn};
use crate::Result;
use crate::checkpoint::{Checkpoint, Planned, QuantizedFile, require_uncancelled};

/// How much more a loss in embedding or head counts than the same in a layer: it reaches the logits whole, where a layer adds a part
/// to a sum. On `builtin`, whose head is its embedding, 4 bits there lose 0.010 and cost a KL of 0.008, and in all layers together
/// lose 0.12 and cost 0.011.
const ENDS: f64 = 8.0;

/// The formats of the matrices at `paths` with which the file that `planned` plans has at most `budget` bytes.
///
/// With `sequences` a matrix counts by the share of its outputs' energy that is lost, else by that of its weights.
pub(super) fn formats<L: DecoderLayer>(
    checkpoint: &Checkpoint,
    paths: &[String],
    sequences: Option<&[Vec<u32>]>,
    budget: u64,
    options: &QuantizeOptions,
    planned: &dyn Fn(&Formats) -> Result<Vec<Planned>>,
) -> Result<Formats> {
    let [few, many] = pair(options.scheme);
    let all = |format: QuantFormat| paths.iter().map(|path| (path.clone(), format)).collect::<Formats>();
    let bytes = |path: &String, format: QuantFormat| {
        let shape = checkpoint.shape(&arch::tensor_name(path));
        QuantShape { format, rows: shape[0], width: shape[1] }.stored_bytes() as u64
    };
    let least = QuantizedFile::planned_bytes(&planned(&all(few))?)?;
    let mut fixed = least - paths.iter().map(|path| bytes(path, few)).sum::<u64>();
    let without_loss = |path: &String| Choice { bytes: [bytes(path, few), bytes(path, many)], loss: [0.0; 2] };
    let mut choices: Vec<Choice> = paths.iter().map(without_loss).collect();
    // Before anything is measured.
    choose(&choices, fixed, budget)?;
    let losses = match sequences {
        Some(sequences) => by_outputs::<L>(checkpoint, paths, sequences, options)?,
        None => paths.iter().map(|path| loss(checkpoint, path, None, options)).collect::<Result<_>>()?,
    };
    for ((choice, path), loss) in choices.iter_mut().zip(paths).zip(losses) {
        let weight = if [EMBEDDING, HEAD].contains(&path.as_str()) { ENDS } else { 1.0 };
        choice.loss = loss.map(|loss| weight * loss);
    }
    loop {
        let chosen = choose(&choices, fixed, budget)?;
        let formats = paths.iter().zip(chosen).map(|(path, is_many)| (path.clone(), if is_many { many } else { few })).collect();
        // The header has the sizes in digits, and so a few bytes more or less.
        match QuantizedFile::planned_bytes(&planned(&formats)?)?.checked_sub(budget) {
            None | Some(0) => return Ok(formats),
            Some(over) => fixed += over,
        }
    }
}

/// The formats of 4 and of 8 bits that go with `scheme`.
fn pair(scheme: Scheme) -> [QuantFormat; 2] {
    if scheme.layers.has_minima() {
        [QuantFormat::Int4Asymmetric, QuantFormat::Int8Asymmetric]
    } else {
        [QuantFormat::Int4, QuantFormat::Int8]
    }
}

/// What the matrix at `path` loses in both formats.
fn loss(checkpoint: &Checkpoint, path: &str, moments: Option<&Moments>, options: &QuantizeOptions) -> Result<[f64; 2]> {
    require_uncancelled(options.cancel)?;
    let name = arch::tensor_name(path);
    let data = checkpoint.source().read(&name)?;
    checkpoint.require_finite(&data, &name)?;
    let weights = widened(&data, 0, data.num_elements());
    let width = checkpoint.shape(&name).last().copied().unwrap_or(1);
    Ok(pair(options.scheme).map(|format| {
        let importance = moments.map(Moments::squares);
        let rounded = rtn::matrix(format, &weights, width, importance.as_deref());
        moments.map_or_else(|| weight_error(&weights, &rounded), |moments| moments.output_error(&weights, &rounded)).powi(2)
    }))
}

/// As the text runs through the model in floats.
fn by_outputs<L: DecoderLayer>(
    checkpoint: &Checkpoint,
    paths: &[String],
    sequences: &[Vec<u32>],
    options: &QuantizeOptions,
) -> Result<Vec<[f64; 2]>> {
    let (config, device, source) = (checkpoint.model_config()?, &options.device, checkpoint.source());
    let embedding = checkpoint.load_part(Embedding::new(&config, device), "embed_tokens.", source, device)?;
    let mut stream = Stream::new(sequences, &embedding, &config, device);
    drop(embedding);
    let mut found: HashMap<String, [f64; 2]> = HashMap::new();
    found.insert(EMBEDDING.to_owned(), loss(checkpoint, EMBEDDING, None, options)?);
    for index in 0..config.num_hidden_layers {
        let prefix = format!("layers.{index}.");
        let mut layer = checkpoint.load_part(L::init(&config.layer(index), device), &prefix, source, device)?;
        let moments = stream.observe(&mut layer)?;
        for (path, _) in layer.weights_mut() {
            let (full, moments) = (format!("{prefix}{path}"), moments.get(&path));
            let losses = loss(checkpoint, &full, moments, options)?;
            found.insert(full, losses);
        }
        stream.advance(&layer);
    }
    if paths.iter().any(|path| path == HEAD) {
        let moments = last_moments(checkpoint, &stream, &config, device)?;
        found.insert(HEAD.to_owned(), loss(checkpoint, HEAD, Some(&moments), options)?);
    }
    Ok(paths.iter().map(|path| found[path]).collect())
}
