use burn::tensor::{DType, Tensor, TensorData};
use llm_model::LogitsAt;

use super::*;
use crate::builtin;
use crate::checkpoint::WeightDtype;
use crate::device::{self, DeviceChoice};
use crate::model::ModelOptions;

const STORY: &str = "Once upon a time there was a little hedgehog named Max. One day he went to the lake and saw a blue kite in a tree. \
    \"Whose kite is this?\" asked Max. A rabbit came by and said, \"It is mine! I cannot reach it.\" Max climbed up and brought it down. \
    \"Thank you so much!\" said the rabbit. They played with the kite until it was dark. The end.\n";

fn load(dtype: WeightDtype) -> Model {
    let device = device::open(DeviceChoice::Flex).expect("cpu");
    Model::load(builtin::NAME, &ModelOptions { dtype, ..ModelOptions::new(device) }).expect("the embedded model")
}

fn options(context: usize, stride: usize) -> EvalOptions<'static> {
    EvalOptions { stride, kv_dtype: Some(DType::F32), ..EvalOptions::new(context) }
}

fn tokens(model: &Model) -> Vec<u32> {
    Outline::of(model).encode(STORY).expect("tokens")
}

/// Every window through the network at once and without a cache, then `ln softmax` as it stands in books.
fn naive(model: &Model, tokens: &[u32], context: usize, stride: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for window in windows(tokens.len(), context, stride) {
        let read = &tokens[window.begin..window.end];
        let ids = TensorData::new(read.iter().map(|id| *id as i32).collect(), [1, read.len()]);
        let ids = Tensor::from_data(ids, &model.device().device);
        let logits = model.lm().forward_step(ids, &[read.len()], &LogitsAt::All, None).into_data();
        let logits: Vec<f64> = logits.try_into_vec::<f32>().expect("floats").into_iter().map(f64::from).collect();
        let rows: Vec<&[f64]> = logits.chunks(model.config().vocab_size).collect();
        for target in window.scored..window.end {
            let row = rows[target - 1 - window.begin];
            sum -= row[tokens[target] as usize] - row.iter().map(|logit| logit.exp()).sum::<f64>().ln();
            count += 1;
        }
    }
    assert_eq!(count, tokens.len() - 1);
    (sum / f64::from(count as u32)).exp()
}

fn assert_close(found: f64, expected: f64, bound: f64) {
    assert!((found / expected - 1.0).abs() < bound, "got {found}, expected {expected}");
}

#[test]
fn perplexity_is_the_naive_one() {
    let model = load(WeightDtype::F32);
    let tokens = tokens(&model);
    for (context, stride) in [(2, 1), (2, 2), (7, 3), (64, 1), (64, 32), (64, 64), (512, 256)] {
        let found = evaluate(&model, None, &tokens, &options(context, stride)).expect("evaluation");
        assert_eq!((found.tokens, found.context, found.stride), (tokens.len() - 1, context, stride));
        assert_close(found.perplexity, naive(&model, &tokens, context, stride), 1e-5);
        assert!(found.compare.is_none() && found.bits_per_weight == 32.0);
    }
}

#[test]
fn what_is_computed_at_once_changes_nothing() {
    let model = load(WeightDtype::F32);
    let tokens = tokens(&model);
    let whole = evaluate(&model, Some(&model), &tokens, &options(50, 20)).expect("evaluation");
    for (part, rows) in [(1, 1), (7, 3), (20, 512)] {
        let found = evaluate_in(Pass { tokens: part, rows }, &model, Some(&model), &tokens, &options(50, 20)).expect("evaluation");
        assert_close(found.perplexity, whole.perplexity, 1e-5);
        assert_eq!(found.tokens, whole.tokens);
    }
}

#[test]
fn a_text_within_the_context_knows_no_stride() {
    let model = load(WeightDtype::Auto);
    let tokens = tokens(&model);
    let found = |context, stride| evaluate(&model, None, &tokens, &options(context, stride)).expect("evaluation").perplexity;
    let whole = found(tokens.len(), 1);
    for (context, stride) in [(tokens.len(), tokens.len()), (512, 3), (512, 512), (5_000_000, 7)] {
        assert_eq!(found(context, stride), whole);
    }
    // Far from the 1,536 of a guess, and better with more before it.
    assert!(whole < 100.0 && found(8, 1) > whole, "{whole}");
}

#[test]
fn a_model_is_no_distance_from_itself() {
    let model = load(WeightDtype::Auto);
    let found = evaluate(&model, Some(&model), &tokens(&model), &EvalOptions::new(64)).expect("evaluation");
    let compare = found.compare.expect("a comparison");
    assert!(compare.kl_mean < 1e-9 && compare.kl_p99 < 1e-9, "{compare:?}");
    assert_eq!((compare.top1_agreement, compare.perplexity_ratio, compare.perplexity), (1.0, 1.0, found.perplexity));
}

#[test]
fn coarser_weights_are_further_away() {
    let reference = load(WeightDtype::Auto);
    let tokens = tokens(&reference);
    let found = evaluate(&load(WeightDtype::Bf16), Some(&reference), &tokens, &EvalOptions::new(512)).expect("evaluation");
    let compare = found.compare.expect("a comparison");
    assert!(compare.kl_mean > 1e-7 && compare.kl_mean < 1e-2 && compare.kl_p99 > compare.kl_mean, "{compare:?}");
    assert!(compare.top1_agreement > 0.9);
    assert_close(compare.perplexity_ratio, found.perplexity / compare.perplexity, 1e-9);
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let model = load(WeightDtype::Auto);
    let tokens = tokens(&model);
    let refusal = |tokens: &[u32], options: &EvalOptions| evaluate(&model, None, tokens, options).expect_err("refused").to_string();
    assert_eq!(refusal(&tokens, &options(1, 1)), "--context: got 1, expected at least 2 tokens");
    assert_eq!(refusal(&tokens, &options(64, 0)), "--stride: got 0, expected 1 to the context of 64");
    assert_eq!(refusal(&tokens, &options(64, 65)), "--stride: got 65, expected 1 to the context of 64");
    assert_eq!(refusal(&[], &options(64, 32)), "text: got no tokens, expected at least 2");
    assert_eq!(refusal(&tokens[..1], &options(64, 32)), "text: got 1 token, expected at least 2");
    assert_eq!(refusal(&[0, 1536], &options(64, 32)), "text: got token 1536, expected ids below the vocabulary of 1536");
    let cancelled = EvalOptions { cancel: Some(&AtomicBool::new(true)), ..options(64, 32) };
    assert!(matches!(evaluate(&model, None, &tokens, &cancelled), Err(Error::Cancelled)));
}

#[test]
fn progress_ends_at_the_number_of_scored_tokens() {
    let model = load(WeightDtype::Auto);
    let tokens = tokens(&model);
    let seen = std::cell::RefCell::new(Vec::new());
    let show = |done: usize, total: usize| seen.borrow_mut().push((done, total));
    evaluate(&model, None, &tokens, &EvalOptions { progress: Some(&show), ..options(32, 16) }).expect("evaluation");
    let seen = seen.into_inner();
    assert!(seen.len() > 3 && seen.is_sorted());
    assert_eq!(seen.last(), Some(&(tokens.len() - 1, tokens.len() - 1)));
}

/// `Σ ln p` of the tokens behind `prompt` is what transformers computed for them, one by one.
#[test]
fn log_probabilities_are_those_of_transformers() {
    for name in ["llama", "llama-tied-llama3", "llama-yarn", "mistral-window", "qwen2-window", "qwen3"] {
        let folder = format!("{}/../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let device = device::open(DeviceChoice::Flex).expect("cpu");
        let model = Model::load(&folder, &ModelOptions { dtype: WeightDtype::F32, ..ModelOptions::new(device) }).expect(name);
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(format!("{folder}/expected.json")).expect("a file")).expect("JSON");
        let case = &expected["prompts"][3];
        let ids = |key: &str| -> Vec<u32> { serde_json::from_value(case[key].clone()).expect("ids") };
        let (prompt, answer) = (ids("prompt_tokens"), ids("tokens"));
        let sum = |tokens: &[u32]| {
            let found = evaluate(&model, None, tokens, &options(256, 128)).expect("evaluation");
            -found.perplexity.ln() * found.tokens as f64
        };
        let found = sum(&[prompt.as_slice(), &answer].concat()) - sum(&prompt);
        // Greedy: the token that came is the first of the likeliest.
        let expected: f64 = case["top"].as_array().expect("steps").iter().filter_map(|step| step[0][1].as_f64()).sum();
        assert!((found - expected).abs() < 2e-3, "{name}: got {found}, expected {expected}");
    }
}
