//! What formats and methods do to the embedded model on stories that it never saw.
//!
//! `cargo test --release --workspace --lib -- --ignored --nocapture measured_on_held_out_stories`

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use llm_model::quant::{QuantFormat, QuantMatrix};
use llm_model::{LogitsAt, QuantWeight, TransformerBlock, Weight};

use super::tests::{cpu, options};
use super::*;
use crate::chat::{Message, RenderOptions};
use crate::checkpoint::{LoadOptions, WeightDtype};
use crate::train::corpus::{self, Kind};
use crate::{Model, ModelOptions, builtin};

/// Dialogues of the generators that calibrate, one a line.
fn calibration() -> String {
    let turn = |(role, text): &(corpus::Role, String)| serde_json::json!({"role": role.name(), "content": text});
    let line =
        |dialogue: corpus::Dialogue| serde_json::json!({"messages": dialogue.turns.iter().map(turn).collect::<Vec<_>>()}).to_string();
    corpus::training(77).take(400).map(line).collect::<Vec<_>>().join("\n")
}

/// Stories with the questions that ask for them: of the wordings of training, and of others.
fn stories(model: &Model) -> [Vec<Vec<u32>>; 2] {
    let render = |turns: &[Message]| {
        let rendered = model.template().unwrap().render(turns, &RenderOptions::default()).unwrap();
        model.tokenizer().encode_rendered(&rendered).unwrap()
    };
    let is_story = |kind: Kind| kind == Kind::Story;
    let known = corpus::training(0x6865_6c64).filter(|dialogue| is_story(dialogue.kind)).take(60);
    let known =
        known.map(|dialogue| render(&dialogue.turns.iter().map(|(role, text)| Message::new(role.name(), text)).collect::<Vec<_>>()));
    let unseen = corpus::evaluation().into_iter().filter(|prompt| is_story(prompt.kind));
    let unseen = unseen.map(|prompt| render(&[Message::user(&prompt.prompt), Message::assistant(&prompt.reference)]));
    [known.collect(), unseen.collect()]
}

/// `[position][vocabulary]`.
type Logs = Vec<Vec<f32>>;

/// ln p of every token at every position but the last of each sequence.
fn distributions(sequences: &[Vec<u32>], logits_of: &dyn Fn(Tensor<2, Int>) -> Tensor<3>) -> Logs {
    let mut all = Vec::new();
    for ids in sequences {
        let row: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let logits = logits_of(Tensor::from_data(TensorData::new(row, [1, ids.len()]), &Device::flex()));
        let logits: Vec<f32> = logits.into_data().try_into_vec().unwrap();
        for logits in logits.chunks_exact(logits.len() / ids.len()).take(ids.len() - 1) {
            let most = logits.iter().copied().fold(f32::MIN, f32::max);
            let total = logits.iter().map(|x| f64::from(x - most).exp()).sum::<f64>().ln() as f32;
            all.push(logits.iter().map(|x| x - most - total).collect());
        }
    }
    all
}

fn of_model(sequences: &[Vec<u32>], model: &Model) -> Logs {
    distributions(sequences, &|ids| {
        let length = ids.dims()[1];
        model.lm().forward_step(ids, &[length], &LogitsAt::All, None)
    })
}

fn perplexity(sequences: &[Vec<u32>], distributions: &[Vec<f32>]) -> f64 {
    let next = sequences.iter().flat_map(|ids| &ids[1..]);
    let sum: f64 = next.zip(distributions).map(|(next, logs)| f64::from(logs[*next as usize])).sum();
    (-sum / distributions.len() as f64).exp()
}

/// Mean KL(reference ‖ model) and the share of positions with the same likeliest token.
fn divergence(reference: &[Vec<f32>], model: &[Vec<f32>]) -> (f64, f64) {
    let likeliest = |logs: &Vec<f32>| logs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(id, _)| id);
    let (mut kl, mut same) = (0.0, 0.0);
    for (p, q) in reference.iter().zip(model) {
        kl += p.iter().zip(q).map(|(p, q)| f64::from(p.exp()) * f64::from(p - q)).sum::<f64>();
        same += f64::from(likeliest(p) == likeliest(q));
    }
    (kl / reference.len() as f64, same / reference.len() as f64)
}

/// Q4_0's own rounding in the layers, 6 bits in the embedding: scales from the largest weight of each block.
fn nearest(sequences: &[Vec<u32>]) -> Logs {
    let load = LoadOptions { dtype: WeightDtype::F32, ..LoadOptions::new(&Device::flex()) };
    let (mut model, _) = builtin::open().unwrap().0.load::<TransformerBlock>(&load).unwrap();
    for (path, weight) in model.weights_mut() {
        let [_, width] = weight.shape();
        let Weight::Dense(dense) = &*weight else { continue };
        let data: Vec<f32> = dense.val().into_data().convert_dtype(DType::F32).try_into_vec().unwrap();
        let matrix = QuantMatrix::nearest(Scheme::INT4.format_of(&path), &data, width);
        *weight = Weight::Quantized(QuantWeight::new(&matrix, &Device::flex()));
    }
    distributions(sequences, &|ids| model.forward(ids))
}

#[test]
#[ignore = "measures for a minute"]
fn measured_on_held_out_stories() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("calibration.jsonl");
    std::fs::write(&text, calibration()).unwrap();
    let exact = Model::load("builtin", &ModelOptions { dtype: WeightDtype::F32, ..ModelOptions::new(cpu()) }).unwrap();
    let sets = stories(&exact);
    let bases = sets.each_ref().map(|set| of_model(set, &exact));
    for (set, base) in sets.iter().zip(&bases) {
        println!("f32: perplexity {:.4} over {} tokens of {} stories", perplexity(set, base), base.len(), set.len());
    }
    println!("{:<40} bits | perplexity by f32, KL, top-1: stories of known wordings | of others", "layers / embedding, method");
    let show = |name: String, bits: f64, distributions_of: &dyn Fn(&[Vec<u32>]) -> Logs| {
        print!("{name:<40} {bits:.2}");
        for (set, base) in sets.iter().zip(&bases) {
            let after = distributions_of(set);
            let (kl, same) = divergence(base, &after);
            print!(" | {:.4} {kl:.5} {:.2} %", perplexity(set, &after) / perplexity(set, base), 100.0 * same);
        }
        println!();
    };
    show("int4 / int6 nearest (Q4_0)".into(), 4.78, &nearest);
    use QuantFormat::{Int4, Int4Asymmetric, Int6, Int8};
    for (layers, embedding) in [(Int8, Int8), (Int4, Int8), (Int4, Int6), (Int4, Int4), (Int4Asymmetric, Int6)] {
        for (method, calibrated) in [(Method::Rtn, false), (Method::Rtn, true), (Method::Gptq, true), (Method::Awq, true)] {
            let out = folder.path().join("out");
            let calibration = calibrated.then(|| text.clone());
            let all = QuantizeOptions { calibration, force: true, ..options(Scheme { layers, embedding }, method) };
            let report = quantize("builtin", &out, &all).unwrap();
            let model = Model::load(&out.to_string_lossy(), &ModelOptions::new(cpu())).unwrap();
            let calibrated = if calibrated { ", calibrated" } else { "" };
            show(format!("{layers} / {embedding} {method}{calibrated}"), report.bits_per_weight, &|set| of_model(set, &model));
        }
    }
}
