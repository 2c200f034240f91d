//! Families whose layers or stored tensors are not Llama's: quantized, packed, benched, and refused where they cannot be written.

use std::path::Path;

use burn::tensor::{DType, Int, Tensor, TensorData};
use llm_infer::bench::Subject;
use llm_infer::checkpoint::{Checkpoint, LoadOptions, PackedCache, SaveOptions, WeightDtype, save};
use llm_infer::llm_model::{KvCache, LayerType, LogitsAt, TransformerBlock};
use llm_infer::quantize::{Method, QuantizeOptions, Scheme, quantize};
use llm_infer::{Model, ModelOptions};

use crate::support::{cpu, fixture, fixtures, greedy, load, run};

/// Each type of layer, and each way of storing tensors.
const MODELS: [&str; 13] = [
    "gemma",
    "gemma2",
    "gemma3",
    "olmo2",
    "cohere",
    "stablelm-parallel",
    "gpt_neox",
    "gpt2",
    "phi3",
    "mixtral",
    "qwen2_moe",
    "gpt_oss",
    "gemma3-images",
];

/// Logits of every position.
fn logits(model: &Model) -> Vec<f32> {
    let ids = Tensor::<2, Int>::from_data(TensorData::new((3..43).collect::<Vec<i32>>(), [1, 40]), &model.device().device);
    model.lm().forward_step(ids, &[40], &LogitsAt::All, None).into_data().try_into_vec().expect("f32")
}

/// √(Σ(a − b)² / Σa²).
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x).powi(2);
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    (error / a.iter().map(|a| square(*a)).sum::<f64>()).sqrt()
}

/// Every family, whose rows stand at different positions.
#[test]
fn a_batch_of_every_family_equals_its_rows_alone() {
    for folder in fixtures() {
        let model = load(&folder, &cpu());
        let row = |index: usize| (0..30).map(|at| ((7 + index * 31 + at * 17) % 300) as i32).collect::<Vec<i32>>();
        let step = |rows: &[&[i32]], cache: &mut KvCache| {
            let ids = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
            let ids = Tensor::<2, Int>::from_data(ids, &model.device().device);
            let lengths: Vec<usize> = cache.lengths().iter().map(|length| length + rows[0].len()).collect();
            let logits = model.lm().forward_step(ids, &lengths, &LogitsAt::Last, Some(cache));
            let vocab = logits.dims()[2];
            let logits = logits.into_data().try_into_vec::<f32>().expect("f32");
            logits.chunks(vocab).map(<[f32]>::to_vec).collect::<Vec<_>>()
        };
        let cache = |batch: usize| KvCache::new(model.config(), batch, 40, DType::F32, &model.device().device);
        let rows = [row(0), row(1), row(2)];
        let mut together = cache(3);
        step(&rows.each_ref().map(|row| &row[..20]), &mut together);
        (0..3).for_each(|index| together.truncate(index, 5 + 7 * index));
        let batch = step(&rows.each_ref().map(|row| &row[20..]), &mut together);
        for (index, (row, got)) in rows.iter().zip(&batch).enumerate() {
            let alone: Vec<i32> = row[..5 + 7 * index].iter().chain(&row[20..]).copied().collect();
            let want = step(&[&alone], &mut cache(1)).remove(0);
            let far = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // Dynamic rotations depend on the length at which a key was computed.
            assert!(far < 1e-3 || folder.ends_with("llama-dynamic"), "{}: row {index}: {far}", folder.display());
        }
    }
}

#[test]
fn every_type_of_layer_is_quantized_by_every_method_and_loads_again() {
    let folder = tempfile::tempdir().expect("folder");
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "The cat sat on the mat, and the dog ran to the harbour with 7 red balls. ".repeat(30)).expect("text");
    for name in MODELS {
        let input = fixture(name);
        let exact = logits(&load(&input, &cpu()));
        for method in [Method::Rtn, Method::Gptq, Method::Awq] {
            let out = folder.path().join(format!("{name}-{method}"));
            let options = QuantizeOptions {
                scheme: Scheme::INT8,
                method,
                calibration: (method != Method::Rtn).then(|| text.clone()),
                budget: None,
                force: false,
                device: cpu().device,
                progress: None,
                cancel: None,
            };
            quantize(&input.to_string_lossy(), &out, &options).unwrap_or_else(|error| panic!("{name} by {method}: {error}"));
            let model = Model::load(&out.to_string_lossy(), &ModelOptions::new(cpu())).expect("what was written");
            let far = distance(&exact, &logits(&model));
            // Rounding sends a token that two experts suit alike to the other one.
            let bound = if model.config().experts.is_some() { 0.2 } else { 0.06 };
            assert!(far < bound, "{name} by {method}: {far}");
        }
    }
}

#[test]
fn a_packed_cache_gives_the_same_bits() {
    for name in MODELS {
        let cache = tempfile::tempdir().expect("folder");
        let options =
            || ModelOptions { quantize: Some(Scheme::INT8), cache: Some(PackedCache::new(cache.path())), ..ModelOptions::new(cpu()) };
        let path = fixture(name).to_string_lossy().into_owned();
        let [first, second] = [0, 1].map(|_| Model::load(&path, &options()).expect("model"));
        assert_eq!(logits(&first), logits(&second), "{name}");
        assert_eq!(second.report().bytes_read, 0, "{name}: nothing was read the second time");
    }
}

#[test]
fn shapes_are_benched_and_models_run_whatever_their_layers() {
    for name in MODELS {
        let model = load(&fixture(name), &cpu());
        let subject = Subject::random(name, model.config(), cpu(), WeightDtype::F32, Some(Scheme::INT4)).expect("a subject");
        assert_eq!(subject.config().model_type, model.config().model_type);
        assert_eq!(run(&model, &[5, 6, 7], &greedy(3)).tokens.len(), 3);
    }
}

#[test]
fn what_reads_images_is_left_out_and_said() {
    for name in ["gemma3-images", "mistral3"] {
        let model = load(&fixture(name), &cpu());
        let report = model.report();
        let mut parts: Vec<_> = report.other_parts.iter().map(|(part, _)| *part).collect();
        parts.sort_unstable();
        assert_eq!(parts, ["multi_modal_projector", "vision_tower"], "{name}");
        assert!(report.unexpected.is_empty() && report.ignored.is_empty(), "{name}: {report:?}");
    }
}

#[test]
fn a_family_that_stores_other_tensors_is_not_saved() {
    let checkpoint = Checkpoint::open(fixture("phi3")).expect("phi3");
    let config = checkpoint.model_config().expect("config");
    assert_eq!(config.layer, LayerType::PreNorm);
    let (model, report) = checkpoint.load::<TransformerBlock>(&LoadOptions::new(&cpu().device)).expect("model");
    assert!(report.unexpected.is_empty(), "{:?}", report.unexpected);
    let error = save(&model, checkpoint.config(), Path::new("/nowhere"), &SaveOptions::default()).expect_err("refused");
    assert!(error.to_string().contains("model_type: got `phi3`"), "{error}");
}
