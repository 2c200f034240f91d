//! Speed of candle's quantized models on the CPU, as one JSON line per measurement.
//!
//!     candle-bench FILE.gguf PREFILL DECODE
//!
//! PREFILL and DECODE are token counts; 0 leaves a measurement out. Each is run twice, and the second run counts.

use std::fs::File;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};

enum Model {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
}

impl Model {
    fn load(path: &str) -> Result<Self> {
        let mut file = File::open(path).with_context(|| path.to_owned())?;
        let content = Content::read(&mut file)?;
        let architecture = content.metadata.get("general.architecture").context("general.architecture is missing")?.to_string()?.clone();
        Ok(match architecture.as_str() {
            "llama" => Self::Llama(quantized_llama::ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?),
            "qwen2" => Self::Qwen2(quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?),
            other => bail!("{path}: general.architecture: got `{other}`, expected llama or qwen2"),
        })
    }

    /// Runs `ids` behind `position` others and waits for the last logits; position 0 begins a new cache.
    fn forward(&mut self, ids: &[u32], position: usize) -> Result<Vec<f32>> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let logits = match self {
            Self::Llama(model) => model.forward(&ids, position)?,
            Self::Qwen2(model) => model.forward(&ids, position)?,
        };
        Ok(logits.flatten_all()?.to_vec1()?)
    }
}

fn prefill(model: &mut Model, count: usize) -> Result<()> {
    // Below every vocabulary of the shapes that are compared.
    let ids: Vec<u32> = (0..count as u32).map(|index| index.wrapping_mul(7919) % 32000).collect();
    model.forward(&ids, 0).map(drop)
}

fn decode(model: &mut Model, count: usize) -> Result<()> {
    let mut token = 0;
    for position in 0..count {
        let logits = model.forward(&[token], position)?;
        token = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(id, _)| id as u32);
    }
    Ok(())
}

fn measure(model: &mut Model, test: &str, count: usize, run: fn(&mut Model, usize) -> Result<()>) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    run(model, count)?;
    let start = Instant::now();
    run(model, count)?;
    let speed = count as f64 / start.elapsed().as_secs_f64();
    println!("{{\"test\":\"{test}\",\"tokens\":{count},\"tokens_per_second\":{speed}}}");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, prefill_tokens, decode_tokens] = arguments.as_slice() else {
        bail!("usage: candle-bench FILE.gguf PREFILL DECODE");
    };
    let mut model = Model::load(path)?;
    measure(&mut model, "prefill", prefill_tokens.parse()?, prefill)?;
    measure(&mut model, "decode", decode_tokens.parse()?, decode)
}
