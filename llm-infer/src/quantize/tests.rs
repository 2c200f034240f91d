//! Whole models through every format and method, and the refusals; `fNN` are the rows of the fault list.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Int, Tensor, TensorData};
use llm_model::LogitsAt;
use llm_model::quant::{BLOCK, QuantFormat, QuantMatrix, StoredMatrix, tiles};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::checkpoint::{Checkpoint, LoadOptions, SaveOptions, save};
use crate::device;
use crate::{Model, ModelOptions};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name).to_string_lossy().into_owned()
}

pub(super) fn options<'a>(scheme: Scheme, method: Method) -> QuantizeOptions<'a> {
    let device = Device::flex();
    QuantizeOptions { scheme, method, calibration: None, budget: None, force: false, device, progress: None, cancel: None }
}

/// A folder to write to, with a text to calibrate on.
fn place() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "The cat sat on the mat, and the dog ran to the park with a red ball. One day it was big. ".repeat(40)).unwrap();
    let out = folder.path().join("out");
    (folder, text, out)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn cpu() -> device::DeviceInfo {
    device::open("cpu".parse().unwrap()).unwrap()
}

fn load(path: &str) -> Model {
    Model::load(path, &ModelOptions::new(cpu())).unwrap()
}

fn logits(model: &Model) -> Vec<f32> {
    let ids = Tensor::<2, Int>::from_data(TensorData::new((3..23).collect::<Vec<i32>>(), [1, 20]), &model.device().device);
    model.lm().forward_step(ids, &[20], &LogitsAt::All, None).into_data().try_into_vec().unwrap()
}

/// √(Σ(a − b)² / Σa²).
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x).powi(2);
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    (error / a.iter().map(|a| square(*a)).sum::<f64>()).sqrt()
}

#[test]
fn every_format_and_method_gives_a_model_like_the_original() {
    // Heads that share values, biases, norms of heads, and a tied embedding.
    for name in ["llama", "llama-biases", "qwen3", "llama-tied-llama3"] {
        let original = logits(&load(&fixture(name)));
        for (layers, bound) in
            [(QuantFormat::Int8, 0.1), (QuantFormat::Int8Asymmetric, 0.1), (QuantFormat::Int4, 0.5), (QuantFormat::Int4Asymmetric, 0.5)]
        {
            for method in [Method::Rtn, Method::Gptq, Method::Awq] {
                let (_folder, text, out) = place();
                let calibration = (method != Method::Rtn).then_some(text);
                let scheme = Scheme::new(layers);
                let report = quantize(&fixture(name), &out, &QuantizeOptions { calibration, ..options(scheme, method) }).unwrap();
                let model = load(&out.to_string_lossy());
                assert_eq!(
                    (model.scheme(), model.report().quantized.iter().map(|(_, count)| count).sum()),
                    (Some(scheme), report.matrices.len())
                );
                let distance = distance(&original, &logits(&model));
                assert!(distance < bound, "{name} {layers} {method}: {distance}");
                assert_eq!(report.matrices[1].output_error.is_some(), method != Method::Rtn);
            }
        }
    }
}

#[test]
fn a_quantized_folder_loads_as_the_same_weights_packed_on_load() {
    let (_folder, _, out) = place();
    quantize(&fixture("llama"), &out, &options(Scheme::INT4, Method::Rtn)).unwrap();
    let on_load = Model::load(&fixture("llama"), &ModelOptions { quantize: Some(Scheme::INT4), ..ModelOptions::new(cpu()) }).unwrap();
    assert_eq!(logits(&load(&out.to_string_lossy())), logits(&on_load));
}

#[cfg(feature = "ndarray")]
#[test]
fn a_device_without_halves_runs_quantized_weights() {
    let (_folder, _, out) = place();
    quantize(&fixture("llama"), &out, &options(Scheme::INT8, Method::Rtn)).unwrap();
    let ndarray = Model::load(&out.to_string_lossy(), &ModelOptions::new(device::open("ndarray".parse().unwrap()).unwrap())).unwrap();
    assert!(distance(&logits(&load(&out.to_string_lossy())), &logits(&ndarray)) < 0.01);
}

#[test]
fn a_budget_is_kept_and_used() {
    let (folder, text, out) = place();
    let budgeted = |budget: u64, calibration: Option<PathBuf>, force: bool| {
        quantize(
            &fixture("llama"),
            &out,
            &QuantizeOptions { budget: Some(budget), calibration, force, ..options(Scheme::INT4, Method::Rtn) },
        )
    };
    let message = budgeted(1000, None, false).unwrap_err().to_string();
    let least: u64 = message.split("at least ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert_eq!(names(folder.path()), ["text.txt"]);
    assert!(budgeted(least - 1, None, false).is_err());
    assert_eq!(budgeted(least, None, false).unwrap().bytes_after, least);
    for calibration in [None, Some(text)] {
        let report = budgeted(least + 4000, calibration, true).unwrap();
        let many = report.matrices.iter().filter(|matrix| matrix.format == "int8").count();
        assert!((least + 3000..=least + 4000).contains(&report.bytes_after) && many > 0, "{} {many}", report.bytes_after);
    }
    let report = budgeted(1 << 30, None, true).unwrap();
    assert!(report.matrices.iter().all(|matrix| matrix.format == "int8"));
}

#[test]
fn f20_f33_a_damaged_model_leaves_no_output() {
    let copy = tempfile::tempdir().unwrap();
    for name in names(Path::new(&fixture("llama"))) {
        std::fs::copy(Path::new(&fixture("llama")).join(&name), copy.path().join(&name)).unwrap();
    }
    let (folder, text, out) = place();
    let weights = copy.path().join("model.safetensors");
    let good = std::fs::read(&weights).unwrap();
    let with = |calibration| {
        let options = QuantizeOptions { calibration, ..options(Scheme::INT4, Method::Rtn) };
        quantize(&copy.path().to_string_lossy(), &out, &options).unwrap_err().to_string()
    };
    let run = || with(None);

    std::fs::write(&weights, [&good[..], &[0]].concat()).unwrap();
    assert!(run().contains("the end of the last tensor"));
    // The first tensor of the file, and the last.
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for at in [8 + header, good.len() - 4] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&weights, bad).unwrap();
        let message = run();
        assert!(message.contains("tensor `") && message.contains("got `NaN`, expected a finite number"), "{message}");
        assert_eq!(with(Some(text.clone())), message, "the tensor itself, not the inputs that it spoils");
    }
    assert_eq!(names(folder.path()), ["text.txt"]);
}

#[test]
fn f58_a_model_is_never_quantized_in_place() {
    let copy = tempfile::tempdir().unwrap();
    let model = copy.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for name in names(Path::new(&fixture("llama"))) {
        std::fs::copy(Path::new(&fixture("llama")).join(&name), model.join(&name)).unwrap();
    }
    std::fs::write(copy.path().join("config.json"), "{}").unwrap();
    let before = std::fs::read(model.join("model.safetensors")).unwrap();
    let inputs = [model.clone(), model.join("model.safetensors")];
    for input in inputs {
        for out in [model.clone(), model.join("deep/inside"), model.join("../model"), copy.path().to_owned()] {
            let refused = quantize(&input.to_string_lossy(), &out, &QuantizeOptions { force: true, ..options(Scheme::INT8, Method::Rtn) });
            let message = refused.unwrap_err().to_string();
            assert!(message.starts_with("OUT: got `"), "{message}");
        }
    }
    assert_eq!(std::fs::read(model.join("model.safetensors")).unwrap(), before);
    assert_eq!(names(copy.path()), ["config.json", "model"]);
}

#[test]
fn f58_what_is_quantized_is_not_quantized_again_or_saved() {
    let (_folder, _, out) = place();
    quantize(&fixture("llama"), &out, &options(Scheme::INT4, Method::Rtn)).unwrap();
    let path = out.to_string_lossy().into_owned();
    let message = quantize(&path, &out.join("../again"), &options(Scheme::INT4, Method::Rtn)).unwrap_err().to_string();
    assert!(message.contains("which is quantized already"), "{message}");
    let checkpoint = Checkpoint::open(&out).unwrap();
    let load = LoadOptions { quantize: Some(Scheme::INT8), ..LoadOptions::new(&Device::flex()) };
    let error = checkpoint.load::<llm_model::TransformerBlock>(&load).err().unwrap();
    assert!(error.to_string().starts_with("--quantize: got `int8` for a model that is quantized already") && error.hint().is_some());
    let (transformer, _) = checkpoint.load::<llm_model::TransformerBlock>(&LoadOptions::new(&Device::flex())).unwrap();
    let config = Checkpoint::open(fixture("llama")).unwrap().config().clone();
    let error = save(&transformer, &config, out.join("../saved"), &SaveOptions::default()).unwrap_err();
    assert!(error.to_string().contains("got quantized weights, expected floats"), "{error}");
}

#[test]
fn f57_what_is_cancelled_leaves_nothing() {
    for method in [Method::Rtn, Method::Gptq] {
        let (folder, text, out) = place();
        let cancel = AtomicBool::new(false);
        let progress = |done: &crate::checkpoint::Progress| {
            if done.tensors == 3 {
                cancel.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        };
        let options =
            QuantizeOptions { calibration: Some(text), progress: Some(&progress), cancel: Some(&cancel), ..options(Scheme::INT4, method) };
        assert!(matches!(quantize(&fixture("llama"), &out, &options), Err(Error::Cancelled)));
        assert_eq!(names(folder.path()), ["text.txt"]);
    }
}

#[test]
fn a_calibration_is_needed_and_checked() {
    let (folder, text, out) = place();
    for method in [Method::Gptq, Method::Awq] {
        let error = quantize(&fixture("llama"), &out, &options(Scheme::INT4, method)).unwrap_err();
        assert!(error.to_string().starts_with("--calibration: got none") && error.hint().is_some(), "{error}");
    }
    let run = |calibration: &Path| {
        let options = QuantizeOptions { calibration: Some(calibration.to_owned()), ..options(Scheme::INT4, Method::Gptq) };
        quantize(&fixture("llama"), &out, &options).map(|report| report.calibration_tokens).map_err(|error| error.to_string())
    };
    std::fs::write(&text, "too short").unwrap();
    assert!(run(&text).unwrap_err().contains("tokens, expected at least 64"));
    std::fs::write(&text, b"caf\xe9").unwrap();
    assert!(run(&text).unwrap_err().contains("byte 3: got `0xe9`, expected UTF-8"));
    let lines = folder.path().join("lines.jsonl");
    std::fs::write(&lines, "{\"text\": \"a\"}\n{\"txt\": 1}\n").unwrap();
    assert!(run(&lines).unwrap_err().contains("lines.jsonl: line 2: got neither or both"));
    let line = r#"{"messages": [{"role": "user", "content": "the cat sat"}, {"role": "assistant", "content": "on the mat"}]}"#;
    std::fs::write(&lines, format!("{line}\n").repeat(20)).unwrap();
    assert!(run(&lines).unwrap() > 64);
}

proptest! {
    #[test]
    fn rounding_stays_within_half_a_step(
        weights in proptest::collection::vec(-1000.0f32..1000.0, 1..200),
        width in 1usize..70,
        format in proptest::sample::select(QuantFormat::ROUNDED.to_vec()),
        searched in any::<bool>(),
    ) {
        let width = width.min(weights.len());
        let weights = &weights[..weights.len() / width * width];
        let matrix = if searched { rtn::matrix(format, weights, width, None) } else { QuantMatrix::nearest(format, weights, width) };
        let stored = StoredMatrix::from(&matrix);
        prop_assert_eq!(stored.check(), Ok(()));
        prop_assert_eq!(&stored.matrix(), &matrix);
        prop_assert_eq!(&tiles::unpack(&tiles::pack(&matrix), matrix.shape()), &matrix);
        let (low, high) = format.range();
        for (at, (w, back)) in weights.iter().zip(matrix.dequantize()).enumerate() {
            let place = at / width * matrix.blocks() + at % width / BLOCK;
            let scale = matrix.scales[place].to_f32();
            let clipped = matrix.values[at] == low || matrix.values[at] == high;
            // Beyond the range the distance is what the search gave up for finer steps.
            let bound = if clipped { 3.0 * scale.abs() } else { 0.5 * scale.abs() };
            prop_assert!((w - back).abs() <= bound + 1e-3 * w.abs() + 1e-6, "{} {} by {}", w, back, scale);
        }
    }
}

#[test]
fn schemes_have_names() {
    for scheme in [Scheme::INT8, Scheme::INT4, Scheme::INT4_PURE] {
        assert_eq!(scheme.to_string().parse::<Scheme>().unwrap(), scheme);
    }
    assert!("int3".parse::<Scheme>().is_err());
}
