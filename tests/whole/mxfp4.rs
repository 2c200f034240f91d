//! Experts in MXFP4 stay at their bits and compute what transformers computes with the numbers that they mean.

use std::path::{Path, PathBuf};

use burn::tensor::DType;
use llm_infer::checkpoint::{Checkpoint, PackedCache, WeightDtype};
use llm_infer::convert::{ConvertOptions, Target, convert};
use llm_infer::llm_model::quant::QuantFormat;
use llm_infer::{Model, ModelOptions};
use serde_json::Value;

use crate::support::{PACKED, check_steps, cpu, devices, fixture, furthest_logprob, greedy, ids, load_as, run};

/// gpt_oss with 24 matrices of experts in MXFP4, as a folder and as a file of llama.cpp's converter (of other weights), and what
/// transformers says of each.
fn models() -> [(PathBuf, Value); 2] {
    let folder = fixture("gpt_oss-mxfp4");
    let file = folder.parent().expect("fixtures").join("gguf/gpt-oss-mxfp4.gguf");
    let expected = |path: &Path| serde_json::from_slice(&std::fs::read(path).expect("expectations")).expect("json");
    let all = [expected(&folder.join("expected.json")), expected(&file.with_extension("json"))];
    let [of_folder, of_file] = all;
    [(folder, of_folder), (file, of_file)]
}

/// The largest difference from a log-probability of transformers in all prompts.
fn furthest(model: &Model, expected: &Value) -> f64 {
    expected["prompts"].as_array().expect("prompts").iter().map(|prompt| furthest_logprob(model, prompt)).fold(0.0, f64::max)
}

#[test]
fn experts_in_mxfp4_compute_what_transformers_does() {
    for (path, expected) in models() {
        let packed = furthest(&load_as(&path, &cpu(), WeightDtype::Auto), &expected);
        assert!(packed < PACKED, "{}: {packed}", path.display());
        println!("{}: {packed:.4} on the CPU", path.display());
        // Graphics cards multiply the weights out, and compute in floats.
        for device in devices().into_iter().filter(|device| device.name.contains(':')) {
            let model = load_as(&path, &device, WeightDtype::Auto);
            let multiplied = furthest(&model, &expected);
            // Other weights that are halves are multiplied as halves.
            let bound = if model.report().dtype == DType::F32 { 1e-3 } else { PACKED };
            assert!(multiplied < bound, "{} on {}: {multiplied}", path.display(), device.name);
            println!("{}: {multiplied:.6} on {}", path.display(), device.name);
        }
    }
}

/// 24 greedy tokens behind each prompt, and the five best of each step within 1e-3.
#[test]
fn experts_in_mxfp4_are_widened_where_a_type_is_asked_for() {
    for (path, expected) in models() {
        let cache = tempfile::tempdir().expect("folder");
        let options = |dtype| ModelOptions { dtype, cache: Some(PackedCache::new(cache.path())), ..ModelOptions::new(cpu()) };
        let load = |dtype| Model::load(&path.to_string_lossy(), &options(dtype)).expect("model");
        // A cache that has the packed form is no matter of the others.
        let packed = load(WeightDtype::Auto);
        assert!(packed.report().cache.written.is_some());
        let model = load(WeightDtype::F32);
        for prompt in expected["prompts"].as_array().expect("prompts") {
            let what = format!("{} {}", path.display(), prompt["name"]);
            let done = run(&model, &ids(&prompt["prompt_tokens"]), &greedy(24));
            assert_eq!(done.tokens, ids(&prompt["tokens"]), "{what}");
            check_steps(&what, &prompt["top"], &done);
        }
        for (dtype, size) in [(WeightDtype::F32, 4), (WeightDtype::F16, 2), (WeightDtype::Bf16, 2)] {
            let model = load(dtype);
            let report = model.report();
            let [unpacked] = &report.unpacked[..] else { panic!("{}: {report:?}", path.display()) };
            assert_eq!((unpacked.format, unpacked.tensors, report.quantized.len()), (QuantFormat::Mxfp4, 24, 0));
            // In memory a scale has 16 bits.
            assert_eq!(unpacked.packed_bytes * 32 / 18 * size, unpacked.bytes, "{}: {unpacked:?}", path.display());
            assert_eq!((model.scheme(), &report.cache.mapped, &report.cache.written), (None, &None, &None));
        }
        let again = load(WeightDtype::Auto);
        assert_eq!((again.report().bytes_read, &again.report().unpacked[..]), (0, &[][..]), "{}: it is mapped", path.display());
    }
}

#[test]
fn experts_in_mxfp4_stay_at_their_bits() {
    for (path, _) in models() {
        let checkpoint = Checkpoint::open(&path).expect("model");
        let experts: Vec<_> = checkpoint.tensors().iter().filter(|info| info.format == Some(QuantFormat::Mxfp4)).collect();
        assert_eq!((experts.len(), checkpoint.slow_paths()), (24, vec![]), "{}", path.display());
        assert!(experts.iter().all(|info| info.bytes == info.elements() as u64 / 32 * 17), "{}", path.display());
        let cache = tempfile::tempdir().expect("folder");
        let options = || ModelOptions { cache: Some(PackedCache::new(cache.path())), ..ModelOptions::new(cpu()) };
        let [first, second] = [0, 1].map(|_| Model::load(&path.to_string_lossy(), &options()).expect("model"));
        let report = first.report();
        assert_eq!((&report.quantized[..], &report.widened[..], report.unexpected.len()), (&[(QuantFormat::Mxfp4, 24)][..], &[][..], 0));
        assert!(report.cache.written.is_some() && report.cache.notices.is_empty(), "{:?}", report.cache);
        assert_eq!(second.report().bytes_read, 0, "{}: it is mapped", path.display());
        let text = |model: &Model| run(model, &[5, 6, 7, 8], &greedy(16)).tokens;
        assert_eq!(text(&first), text(&second));
    }
}

#[test]
fn a_packed_folder_keeps_experts_in_mxfp4() {
    let folder = tempfile::tempdir().expect("folder");
    for (index, (path, _)) in models().into_iter().enumerate() {
        let packed = folder.path().join(index.to_string());
        let options = ConvertOptions { target: Some(Target::Packed), ..ConvertOptions::default() };
        convert(&path.to_string_lossy(), &packed, &options).expect("converted");
        let [from, to] = [&path, &packed].map(|path| Checkpoint::open(path).expect("model"));
        for info in from.tensors().iter().filter(|info| info.format.is_some()) {
            let [stored, kept] = [&from, &to].map(|checkpoint| checkpoint.source().read_quantized(&info.name).expect("a matrix"));
            assert!(stored == kept, "{}: {}", path.display(), info.name);
        }
        let [stored, kept] = [&path, &packed].map(|path| run(&load_as(path, &cpu(), WeightDtype::Auto), &[5, 6, 7, 8], &greedy(16)).tokens);
        assert_eq!(stored, kept);
    }
}
