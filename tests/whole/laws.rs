//! What must hold for any prompt, cut and history. Tolerances: 1e-4 on f32 logits of a magnitude of about 10.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use burn::tensor::{DType, Int, Tensor, TensorData};
use llm_infer::Model;
use llm_infer::llm_model::{KvCache, LogitsAt};
use llm_infer::session::Session;
use proptest::prelude::*;

use crate::support::{cpu, fixture, greedy, load, run};

const TOLERANCE: f32 = 1e-4;

/// One model with grouped heads, one with a window, one with head norms.
fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| ["llama", "mistral-window", "qwen3"].map(|name| load(&fixture(name), &cpu())).into())
}

fn tensor(model: &Model, rows: &[Vec<u32>]) -> Tensor<2, Int> {
    let ids: Vec<i32> = rows.iter().flatten().map(|id| *id as i32).collect();
    Tensor::from_data(TensorData::new(ids, [rows.len(), rows[0].len()]), &model.device().device)
}

fn cache(model: &Model, batch: usize) -> KvCache {
    KvCache::new(model.config(), batch, 8, DType::F32, &model.device().device)
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
    fn decoding_with_a_cache_equals_the_full_forward(ids in prompt(2..40), which in 0usize..3) {
        let model = &models()[which];
        let want = full(model, &ids);
        let mut cache = cache(model, 1);
        for (id, want) in ids.iter().zip(&want) {
            prop_assert!(close(&last(model, &[vec![*id]], &mut cache)[0], want));
        }
        prop_assert_eq!(cache.lengths(), &[ids.len()]);
    }

    #[test]
    fn a_prompt_in_any_chunks_equals_the_prompt_at_once(ids in prompt(2..90), cuts in proptest::collection::vec(1usize..20, 1..9), which in 0usize..3) {
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
    fn a_batch_equals_its_sequences_alone(rows in proptest::collection::vec(prompt(12..13), 1..5), which in 0usize..3) {
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
    fn a_truncated_or_forked_cache_goes_on_as_if_nothing_else_had_been(ids in prompt(3..30), other in prompt(1..9), which in 0usize..3) {
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
    fn a_session_saved_and_loaded_goes_on_as_if_uninterrupted(ids in prompt(2..60), more in prompt(1..20), which in 0usize..3) {
        let model = &models()[which];
        let file = tempfile::NamedTempFile::new().expect("file");
        let mut session = Session::new(model);
        session.generate(&ids, &greedy(3), &mut |_| ControlFlow::Continue(())).expect("first");
        session.save(file.path(), &HashMap::from([("note".into(), "kept".into())])).expect("saved");
        let mut loaded = Session::new(model);
        let notes = loaded.load(file.path()).expect("loaded");
        prop_assert_eq!(notes.get("note").map(String::as_str), Some("kept"));
        prop_assert_eq!(loaded.tokens(), session.tokens());
        let whole: Vec<u32> = session.tokens().iter().chain(&more).copied().collect();
        let uninterrupted = session.generate(&whole, &greedy(6), &mut |_| ControlFlow::Continue(())).expect("second");
        let resumed = loaded.generate(&whole, &greedy(6), &mut |_| ControlFlow::Continue(())).expect("second");
        prop_assert_eq!(&resumed.tokens, &uninterrupted.tokens);
        prop_assert_eq!(resumed.reused_tokens, uninterrupted.reused_tokens);
        prop_assert!(resumed.reused_tokens >= ids.len());
        prop_assert_eq!(&resumed.tokens, &run(model, &whole, &greedy(6)).tokens);
    }
}

#[test]
fn the_cache_is_written_in_place() {
    // The keys of a unique cache stay where they are: no step moves more than it adds.
    let model = &models()[0];
    let mut cache = KvCache::new(model.config(), 1, 512, DType::F32, &model.device().device);
    let bytes = cache.bytes();
    for step in 0..300u32 {
        last(model, &[vec![step % 200]], &mut cache);
    }
    assert_eq!((cache.bytes(), cache.capacity(), cache.lengths()), (bytes, 512, &[300][..]));
}
