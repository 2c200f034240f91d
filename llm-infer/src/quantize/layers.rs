//! Quantization layer by layer: each sees the inputs that the quantized layers before it yield.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use llm_model::quant::{QuantFormat, QuantMatrix};
use llm_model::{DecoderLayer, Embedding, Folding, ModelConfig, Norm, QuantWeight, Weight, arch};

use super::calibration::{Stream, moments_of};
use super::job::Job;
use super::moments::Moments;
use super::{Method, awq, gptq, rtn};
use crate::Result;
use crate::checkpoint::{Checkpoint, TensorInfo, WeightSource};

/// The path of the embedding.
pub(super) const EMBEDDING: &str = "embed_tokens.weight";
/// The path of the head.
pub(super) const HEAD: &str = "lm_head.weight";

/// Quantizes all matrices of `job` with the inputs that `sequences` give them.
pub(super) fn quantize<L: DecoderLayer>(job: &mut Job, sequences: &[Vec<u32>], config: &ModelConfig, device: &Device) -> Result<()> {
    let weights = job.weights(job.checkpoint.source(), EMBEDDING)?;
    let matrix = rtn::matrix(job.format(EMBEDDING), &weights, config.hidden_size, None);
    job.put(EMBEDDING, &weights, &matrix, None)?;
    let mut embedding = Embedding::new(config, device);
    if embedding.positions.is_some() {
        embedding = job.checkpoint.load_part(embedding, "embed_tokens.", job.checkpoint.source(), device)?;
    }
    embedding.weight = Weight::Quantized(QuantWeight::new(&matrix, device));
    let mut stream = Stream::new(sequences, &embedding, config, device);
    drop((weights, matrix, embedding));
    for index in 0..config.num_hidden_layers {
        layer::<L>(job, &mut stream, index, config, device)?;
    }
    if job.has(HEAD) {
        let moments = last_moments(job.checkpoint, &stream, config, device)?;
        let weights = job.weights(job.checkpoint.source(), HEAD)?;
        let matrix = rounded(job.options.method, job.format(HEAD), &weights, &moments);
        job.put(HEAD, &weights, &matrix, Some(&moments))?;
    }
    Ok(())
}

/// The inputs of the head.
pub(super) fn last_moments(checkpoint: &Checkpoint, stream: &Stream, config: &ModelConfig, device: &Device) -> Result<Moments> {
    let norm = checkpoint.load_part(Norm::new(config, device), "norm.", checkpoint.source(), device)?;
    let rows = |x: &Tensor<3>| {
        let [_, length, hidden] = x.dims();
        norm.forward(x.clone().reshape([length, hidden]))
    };
    moments_of(stream.inputs().iter().map(rows), HEAD)
}

fn rounded(method: Method, format: QuantFormat, weights: &[f32], moments: &Moments) -> QuantMatrix {
    match method {
        Method::Gptq => gptq::quantize(format, weights, moments),
        Method::Rtn | Method::Awq => rtn::matrix(format, weights, moments.width, Some(&moments.squares())),
    }
}

/// One layer: watch it, quantize it, go through it.
fn layer<L: DecoderLayer>(job: &mut Job, stream: &mut Stream, index: usize, config: &ModelConfig, device: &Device) -> Result<()> {
    let prefix = format!("layers.{index}.");
    let build =
        |job: &Job, source: &dyn WeightSource| job.checkpoint.load_part(L::init(&config.layer(index), device), &prefix, source, device);
    let mut layer = build(job, job.checkpoint.source())?;
    let mut moments = stream.observe(&mut layer)?;
    let checkpoint = job.checkpoint;
    let mut source = Changed { base: checkpoint.source(), tensors: HashMap::new() };
    if job.options.method == Method::Awq {
        for folding in L::foldings() {
            fold(job, &prefix, folding, &mut moments, &mut source)?;
        }
        layer = build(job, &source)?;
    }
    for (path, weight) in layer.weights_mut() {
        let (full, moments) = (format!("{prefix}{path}"), moments.get(&path));
        let weights = job.weights(&source, &full)?;
        let matrix = match moments {
            Some(moments) => rounded(job.options.method, job.format(&full), &weights, moments),
            // An expert that the text does not reach.
            None => rtn::matrix(job.format(&full), &weights, weight.shape()[1], None),
        };
        job.put(&full, &weights, &matrix, moments)?;
        *weight = Weight::Quantized(QuantWeight::new(&matrix, device));
        source.tensors.remove(&arch::tensor_name(&full));
    }
    // What is left are norms and biases.
    for (name, data) in source.tensors {
        job.put_plain(&name, &data)?;
    }
    stream.advance(&layer);
    Ok(())
}

/// Moves factors from the producer of `folding` into its consumers, where AWQ finds some that help.
fn fold(job: &Job, prefix: &str, folding: &Folding, moments: &mut HashMap<String, Moments>, source: &mut Changed) -> Result<()> {
    let path = |within: &str| format!("{prefix}{within}");
    let Some(of_first) = folding.consumers.first().and_then(|consumer| moments.get(*consumer)) else { return Ok(()) };
    let producer = arch::tensor_name(&path(folding.producer));
    let dims = source.tensors().iter().find(|info| info.name == producer).map(|info| info.shape.clone());
    if dims.is_none_or(|dims| dims[0] != of_first.width) || !folding.consumers.iter().all(|consumer| job.has(&path(consumer))) {
        return Ok(());
    }
    let matrices = folding.consumers.iter().map(|consumer| job.weights(source, &path(consumer))).collect::<Result<Vec<_>>>()?;
    let formats = folding.consumers.iter().map(|consumer| job.format(&path(consumer)));
    let consumers: Vec<_> = matrices.iter().zip(formats).map(|(weights, format)| awq::Consumer { weights, format }).collect();
    let Some(factors) = awq::factors(&consumers, of_first) else { return Ok(()) };
    let inverse: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
    for (consumer, weights) in folding.consumers.iter().zip(&matrices) {
        source.change(&path(consumer), awq::scaled(weights, &factors));
        if let Some(moments) = moments.get_mut(*consumer) {
            *moments = moments.divided(&factors);
        }
    }
    let bias = folding.producer.strip_suffix("weight").map(|stem| path(&format!("{stem}bias")));
    for part in [Some(path(folding.producer)), bias].into_iter().flatten() {
        if source.tensors().iter().any(|info| info.name == arch::tensor_name(&part)) {
            let weights = job.weights(source, &part)?;
            // Rows of a matrix, or single numbers.
            let width = weights.len() / inverse.len();
            source.change(&part, weights.chunks_exact(width).zip(&inverse).flat_map(|(row, x)| row.iter().map(move |w| w * x)).collect());
        }
    }
    Ok(())
}

/// A source some of whose tensors were replaced by others in f32.
struct Changed<'a> {
    base: &'a dyn WeightSource,
    tensors: HashMap<String, TensorData>,
}

impl Changed<'_> {
    /// Replaces the tensor of the parameter at `path`.
    fn change(&mut self, path: &str, weights: Vec<f32>) {
        let name = arch::tensor_name(path);
        let shape = self.base.tensors().iter().find(|info| info.name == name).map(|info| info.shape.clone());
        let shape = shape.unwrap_or_else(|| vec![weights.len()]);
        self.tensors.insert(name, TensorData::new(weights, shape));
    }
}

impl WeightSource for Changed<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        self.base.tensors()
    }

    fn read(&self, name: &str) -> Result<TensorData> {
        self.tensors.get(name).map_or_else(|| self.base.read(name), |data| Ok(data.clone()))
    }
}
