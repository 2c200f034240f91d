//! What must hold for any prompt, cut and history. Tolerances: 1e-4 on f32 logits of a magnitude of about 10.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use burn::tensor::{DType, Int, Tensor, TensorData};
use llm_infer::Model;
use llm_infer::llm_model::ops::{self, Kv};
use llm_infer::llm_model::{KvCache, LogitsAt};
use llm_infer::session::{Session, kv_name};
use proptest::prelude::*;

use crate::support::{cpu, fixture, greedy, load};

const TOLERANCE: f32 = 1e-4;

/// One model with grouped heads, one with a window, one with head norms; then one of each other kind of layer.
fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| ["llama", "mistral-window", "qwen3", "gemma3", "gpt2", "cohere"].map(|name| load(&fixture(name), &cpu())).into())
}

fn tensor(model: &Model, rows: &[Vec<u32>]) -> Tensor<2, Int> {
    let ids: Vec<i32> = rows.iter().flatten().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), rows[0].len()]), &model.device().device)
}

fn cache(model: &Model, batch: usize) -> KvCache {
    cache_of(model, batch, DType::F32)
}

fn cache_of(model: &Model, batch: usize, kv: DType) -> KvCache {
    KvCache::new(model.config(), batch, 8, kv, &model.device().device)
}

/// Logits of every position, without a cache; `[position][vocab]`.
fn full(model: &Model, ids: &[u32]) -> Vec<Vec<f32>> {
    let logits = model.lm().forward_step(tensor(model, &[ids.to_vec()]), &[ids.len()], &LogitsAt::All, None);
    let vocab = logits.dims()[2];
    logits.into_data().try_into_vec::<f32>().expect("f32").chunks(vocab).map(<[f32]>::to_vec).collect()
}

fn last(model: &Model, ids: &[Vec<u32>], cache: &mut KvCache) -> Vec<Vec<f32>> {
    let lengths: Vec<usize> = cache.lengths().iter().map(|length| length + ids[0].len()).collect();
    let logits = model.lm().forward_step(tensor(model, ids), &lengths, &LogitsAt::Last, Some(cache));
    let vocab = logits.dims()[2];
    logits.into_data().try_into_vec::<f32>().expect("f32").chunks(vocab).map(<[f32]>::to_vec).collect()
}

fn close(got: &[f32], want: &[f32]) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(got, want)| (got - want).abs() < TOLERANCE)
}

fn prompt(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0u32..250, length)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn decoding_with_a_cache_equals_the_full_forward(ids in prompt(2..40), which in 0usize..6) {
        let model = &models()[which];
        let want = full(model, &ids);
        let mut cache = cache(model, 1);
        for (id, want) in ids.iter().zip(&want) {
            prop_assert!(close(&last(model, &[vec![*id]], &mut cache)[0], want));
        }
        prop_assert_eq!(cache.lengths(), &[ids.len()]);
    }

    #[test]
    fn a_prompt_in_any_chunks_equals_the_prompt_at_once(ids in prompt(2..90), cuts in proptest::collection::vec(1usize..20, 1..9), which in 0usize..6) {
        let model = &models()[which];
        let want = full(model, &ids).pop().expect("last");
        let (mut cache, mut rest, mut cuts, mut got) = (cache(model, 1), &ids[..], cuts.iter().cycle(), Vec::new());
        while !rest.is_empty() {
            let (part, after) = rest.split_at((*cuts.next().expect("endless")).min(rest.len()));
            got = last(model, &[part.to_vec()], &mut cache).remove(0);
            rest = after;
        }
        prop_assert!(close(&got, &want));
    }

    #[test]
    fn a_batch_equals_its_sequences_alone(rows in proptest::collection::vec(prompt(12..13), 1..5), which in 0usize..6) {
        let model = &models()[which];
        // Rows of different lengths: row i has seen i positions before.
        let mut together = cache(model, rows.len());
        let first: Vec<Vec<u32>> = rows.iter().map(|row| row[..4].to_vec()).collect();
        last(model, &first, &mut together);
        (0..rows.len()).for_each(|row| together.truncate(row, 1 + row % 4));
        let next: Vec<Vec<u32>> = rows.iter().map(|row| row[4..].to_vec()).collect();
        let batch = last(model, &next, &mut together);
        for (index, row) in rows.iter().enumerate() {
            let alone: Vec<u32> = row[..1 + index % 4].iter().chain(&row[4..]).copied().collect();
            prop_assert!(close(&batch[index], &full(model, &alone).pop().expect("last")));
        }
    }

    #[test]
    fn a_truncated_or_forked_cache_goes_on_as_if_nothing_else_had_been(ids in prompt(3..30), other in prompt(1..9), which in 0usize..6) {
        let model = &models()[which];
        let want = full(model, &ids).pop().expect("last");
        let mut cache = cache(model, 1);
        let kept = ids.len() / 2;
        last(model, &[ids[..kept].to_vec()], &mut cache);
        let mut fork = cache.fork();
        last(model, &[other], &mut cache);
        cache.truncate(0, kept);
        prop_assert!(close(&last(model, &[ids[kept..].to_vec()], &mut cache)[0], &want));
        prop_assert!(close(&last(model, &[ids[kept..].to_vec()], &mut fork)[0], &want));
    }

    #[test]
    fn a_session_saved_and_loaded_goes_on_as_if_uninterrupted(
        ids in prompt(2..60),
        more in prompt(1..20),
        which in 0usize..6,
        kv in proptest::sample::select(vec![DType::F32, DType::F16, DType::I8]),
    ) {
        let model = &models()[which];
        let empty = || Session::with(model, model.config().context_length(), kv);
        let file = tempfile::NamedTempFile::new().expect("file");
        let mut session = empty();
        session.generate(&ids, &greedy(3), &mut |_| ControlFlow::Continue(())).expect("first");
        session.save(file.path(), &HashMap::from([("note".into(), "kept".into())])).expect("saved");
        let mut loaded = empty();
        let notes = loaded.load(file.path()).expect("loaded");
        prop_assert_eq!(notes.get("note").map(String::as_str), Some("kept"));
        prop_assert_eq!(loaded.tokens(), session.tokens());
        let whole: Vec<u32> = session.tokens().iter().chain(&more).copied().collect();
        let uninterrupted = session.generate(&whole, &greedy(6), &mut |_| ControlFlow::Continue(())).expect("second");
        let resumed = loaded.generate(&whole, &greedy(6), &mut |_| ControlFlow::Continue(())).expect("second");
        prop_assert_eq!(&resumed.tokens, &uninterrupted.tokens);
        prop_assert_eq!(resumed.reused_tokens, uninterrupted.reused_tokens);
        prop_assert!(resumed.reused_tokens >= ids.len());
        let fresh = empty().generate(&whole, &greedy(6), &mut |_| ControlFlow::Continue(())).expect("at once");
        prop_assert_eq!(&resumed.tokens, &fresh.tokens);
    }

    #[test]
    fn keys_and_values_of_8_bits_are_close_to_exact_ones_and_go_on_from_any_cut(ids in prompt(3..60), other in prompt(1..9), which in 0usize..6) {
        let model = &models()[which];
        let want = full(model, &ids).pop().expect("last");
        let mut cache = cache_of(model, 1, DType::I8);
        let at_once = last(model, std::slice::from_ref(&ids), &mut cache_of(model, 1, DType::I8)).remove(0);
        let furthest = at_once.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        // A twentieth of the logits' magnitude: the weights are random, and little dampens what rounding adds.
        prop_assert!(furthest < 0.5, "{furthest}");
        let kept = ids.len() / 2;
        last(model, &[ids[..kept].to_vec()], &mut cache);
        let mut fork = cache.fork();
        last(model, &[other], &mut cache);
        cache.truncate(0, kept);
        prop_assert_eq!(&last(model, &[ids[kept..].to_vec()], &mut cache)[0], &at_once);
        prop_assert_eq!(&last(model, &[ids[kept..].to_vec()], &mut fork)[0], &at_once);
    }

    #[test]
    fn a_number_kept_in_8_bits_is_off_by_at_most_half_a_step(
        x in proptest::collection::vec(-100.0f32..100.0, 2 * 3 * 5),
        factor in -20i32..20,
    ) {
        let x: Vec<f32> = x.iter().map(|x| x * 2.0f32.powi(factor)).collect();
        let device = cpu().device;
        let tensor = Tensor::<4>::from_data(TensorData::new(x.clone(), [1, 2, 3, 5]), &device);
        let Kv::Int8 { values, scales } = ops::append(tensor, Kv::zeros([1, 3, 2, 5], DType::I8, &device), &[0]) else {
            panic!("the type stays");
        };
        let values = values.into_data().try_into_vec::<i8>().expect("i8");
        let scales = scales.into_data().try_into_vec::<f32>().expect("f32");
        for (index, vector) in x.chunks(5).enumerate() {
            let place = index % 3 * 2 + index / 3;
            let step = vector.iter().fold(0.0f32, |max, x| max.max(x.abs())) / 127.0;
            prop_assert!((scales[place] - step).abs() <= 1e-6 * step);
            for (x, value) in vector.iter().zip(&values[place * 5..]) {
                prop_assert!((x - f32::from(*value) * scales[place]).abs() <= 0.5001 * step, "{x} {value} {step}");
            }
        }
    }
}

#[test]
fn a_session_with_keys_and_values_of_another_type_is_refused() {
    let model = &models()[0];
    let file = tempfile::NamedTempFile::new().expect("file");
    let kinds = [DType::F16, DType::I8, DType::F32];
    for (saved, loaded) in [(0, 1), (1, 2), (2, 0)] {
        let [mut first, mut second] = [saved, loaded].map(|kind| Session::with(model, 64, kinds[kind]));
        first.generate(&[5, 6, 7], &greedy(2), &mut |_| ControlFlow::Continue(())).expect("generated");
        first.save(file.path(), &HashMap::new()).expect("saved");
        let error = second.load(file.path()).expect_err("another type");
        let names = [saved, loaded].map(|kind| kv_name(kinds[kind]));
        let said = format!("got {}, expected keys and values in {}", names[0], names[1]);
        assert!(error.to_string().contains(&said), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(&format!("--kv {}", names[0]))), "{error}");
        assert!(second.tokens().is_empty() && first.tokens().len() > 2);
    }
}

#[test]
fn the_cache_is_written_in_place() {
    // The keys of a unique cache stay where they are: no step moves more than it adds.
    let model = &models()[0];
    let config = model.config();
    let vectors = 2 * config.num_hidden_layers * config.num_key_value_heads * 512;
    for (kv, bytes) in [(DType::F32, 4 * config.head_dim), (DType::F16, 2 * config.head_dim), (DType::I8, config.head_dim + 4)] {
        let mut cache = KvCache::new(config, 1, 512, kv, &model.device().device);
        assert_eq!((cache.bytes(), config.kv_bytes_per_token(kv) * 512), (vectors * bytes, vectors * bytes));
        for step in 0..300u32 {
            last(model, &[vec![step % 200]], &mut cache);
        }
        assert_eq!((cache.bytes(), cache.capacity(), cache.lengths()), (vectors * bytes, 512, &[300][..]));
    }
}
