//! Fixtures, devices and greedy runs.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::{Int, Tensor, TensorData};
use llm_infer::checkpoint::WeightDtype;
use llm_infer::device::{self, DeviceInfo};
use llm_infer::generate::{GenerateOptions, Generation};
use llm_infer::llm_model::LogitsAt;
use llm_infer::sample::SamplingConfig;
use llm_infer::session::Session;
use llm_infer::{Model, ModelOptions};

/// The folders of `tests/fixtures` that hold a model, in order of name.
pub fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let entries = std::fs::read_dir(root).expect("fixtures").map(|entry| entry.expect("entry").path());
    let mut folders: Vec<_> = entries.filter(|path| path.join("expected.json").exists()).collect();
    folders.sort();
    assert!(folders.len() >= 8, "the fixtures are there");
    folders
}

/// More checkpoints of the same kinds, made by `fixtures/make.py --variant`, in the folder that `LLM_VARIANTS` names.
pub fn variants() -> Vec<PathBuf> {
    let Ok(root) = std::env::var("LLM_VARIANTS") else {
        println!("skipped: LLM_VARIANTS names no folder of variants");
        return Vec::new();
    };
    let mut folders: Vec<_> = std::fs::read_dir(&root).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    folders.retain(|folder| folder.join("expected.json").exists());
    folders.sort();
    folders
}

/// The fixture called `name`.
pub fn fixture(name: &str) -> PathBuf {
    fixtures().into_iter().find(|path| path.ends_with(name)).expect(name)
}

/// The model in `folder` in f32, packed weights widened.
pub fn load(folder: &Path, device: &DeviceInfo) -> Model {
    load_as(folder, device, WeightDtype::F32)
}

/// The model in `folder` with weights of type `dtype`; `Auto` keeps packed ones.
pub fn load_as(folder: &Path, device: &DeviceInfo, dtype: WeightDtype) -> Model {
    let options = ModelOptions { dtype, ..ModelOptions::new(device.clone()) };
    Model::load(&folder.to_string_lossy(), &options).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

/// The CPU.
pub fn cpu() -> DeviceInfo {
    device::open(device::DeviceChoice::Flex).expect("cpu")
}

/// Every device; says so where no GPU, not even a software one, is there.
pub fn devices() -> Vec<DeviceInfo> {
    let all = device::list();
    if !all.iter().any(|device| device.name.contains(':')) {
        println!("skipped: no Vulkan, Metal or CUDA device on this machine");
    }
    all
}

/// Greedy generation of `count` tokens, end-of-sequence tokens ignored.
pub fn greedy(count: usize) -> GenerateOptions {
    let sampling = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    GenerateOptions { ignore_eos: true, logprobs: Some(5), ..GenerateOptions::new(sampling, count) }
}

/// Runs `prompt` in a fresh session.
pub fn run(model: &Model, prompt: &[u32], options: &GenerateOptions) -> Generation {
    Session::new(model).generate(prompt, options, &mut |_| ControlFlow::Continue(())).expect("generation")
}

/// The five best ids of each step of `done` are those of `top`, in order, and their log-probabilities within 1e-3.
pub fn check_steps(what: &str, top: &serde_json::Value, done: &Generation) {
    let steps = top.as_array().expect("top");
    for (step, (want, got)) in steps.iter().zip(done.logprobs.as_ref().expect("logprobs")).enumerate() {
        for (want, got) in want.as_array().expect("five").iter().zip(&got.top) {
            let (id, logprob) = (want[0].as_u64().expect("id") as u32, want[1].as_f64().expect("logprob"));
            assert_eq!(got.0, id, "{what}: step {step}");
            assert!((f64::from(got.1) - logprob).abs() < 1e-3, "{what}: step {step}: {got:?}, expected {want}");
        }
    }
}

/// The furthest that a log-probability may be off on the packed kernels of the CPU, which round activations to 8 bits; a matrix that is read
/// in another way is off by whole units.
pub const PACKED: f64 = 0.2;

/// The largest difference between log-probabilities of the five best of each step, as transformers has them in `expected`, and ours on its
/// path.
pub fn furthest_logprob(model: &Model, expected: &serde_json::Value) -> f64 {
    let (prompt, tokens) = (ids(&expected["prompt_tokens"]), ids(&expected["tokens"]));
    let all: Vec<i32> = prompt.iter().chain(&tokens[..tokens.len() - 1]).map(|id| *id as i32).collect();
    let length = all.len();
    let input = Tensor::<2, Int>::from_data(TensorData::new(all, [1, length]), &model.device().device);
    let logits: Vec<f32> = model.lm().forward_step(input, &[length], &LogitsAt::All, None).into_data().try_into_vec().expect("f32");
    let rows = logits.chunks(model.config().vocab_size).skip(prompt.len() - 1);
    let mut worst = 0.0_f64;
    for (row, want) in rows.zip(expected["top"].as_array().expect("steps")) {
        let sum = row.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
        for pair in want.as_array().expect("five") {
            let (id, logprob) = (pair[0].as_u64().expect("id") as usize, pair[1].as_f64().expect("logprob"));
            worst = worst.max((f64::from(row[id]) - sum - logprob).abs());
        }
    }
    worst
}

/// A list of ids from JSON.
pub fn ids(json: &serde_json::Value) -> Vec<u32> {
    json.as_array().expect("list").iter().map(|id| id.as_u64().expect("id") as u32).collect()
}

/// A file of the shared data, where it is there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("LLM_TEST_DATA");
    let root = data.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        println!("skipped: {name} is not there (set LLM_TEST_DATA)");
        return None;
    }
    Some(path)
}
