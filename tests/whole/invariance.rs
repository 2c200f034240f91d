//! On the CPU a sequence's logits are the same bits alone, in a batch with any company, and in any cut of its prompt.
//!
//! That they do not depend on the number of threads either is tested with the command line, as a process has one compute pool.

use std::sync::OnceLock;

use burn::tensor::{DType, Int, Tensor, TensorData};
use llm_infer::checkpoint::WeightDtype;
use llm_infer::llm_model::{KvCache, LogitsAt};
use llm_infer::quantize::Scheme;
use llm_infer::{Model, ModelOptions};
use proptest::prelude::*;

use crate::support::{cpu, fixture, fixtures, variants};

/// Grouped heads, a window, head norms, caps, layer norms, heads side by side, experts and sinks, each in every kind of weight.
fn models() -> &'static [Model] {
    static MODELS: OnceLock<Vec<Model>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let kinds = [
            (WeightDtype::F32, None),
            (WeightDtype::F16, None),
            (WeightDtype::Bf16, None),
            (WeightDtype::Auto, Some(Scheme::INT8)),
            (WeightDtype::Auto, Some(Scheme::INT4)),
        ];
        let folders =
            ["mistral-window", "qwen3", "gemma2", "gpt2", "cohere", "gpt_oss"].map(|name| fixture(name).to_string_lossy().into_owned());
        let all = ["builtin".to_owned()].into_iter().chain(folders).flat_map(|path| kinds.map(|kind| (path.clone(), kind)));
        let load = |(path, (dtype, quantize)): (String, _)| {
            Model::load(&path, &ModelOptions { dtype, quantize, ..ModelOptions::new(cpu()) }).expect("model")
        };
        all.map(load).collect()
    })
}

/// The bits of the logits behind `rows`, which all have the same length, for each of them.
fn step(model: &Model, rows: &[&[u32]], cache: &mut KvCache) -> Vec<Vec<u32>> {
    let ids: Vec<i32> = rows.iter().flat_map(|row| row.iter().map(|id| *id as i32)).collect();
    let ids: Tensor<2, Int> = Tensor::from_data(TensorData::new(ids, [rows.len(), rows[0].len()]), &model.device().device);
    let lengths: Vec<usize> = cache.lengths().iter().map(|length| length + rows[0].len()).collect();
    let logits = model.lm().forward_step(ids, &lengths, &LogitsAt::Last, Some(cache));
    let vocab = logits.dims()[2];
    let logits = logits.into_data().try_into_vec::<f32>().expect("f32");
    logits.chunks(vocab).map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

fn cache(model: &Model, batch: usize, kv: DType) -> KvCache {
    KvCache::new(model.config(), batch, 8, kv, &model.device().device)
}

/// The bits of the logits behind `ids`, without a cache.
fn without_cache(model: &Model, ids: &[u32]) -> Vec<u32> {
    let tensor = TensorData::new(ids.iter().map(|id| *id as i32).collect(), [1, ids.len()]);
    let tensor = Tensor::from_data(tensor, &model.device().device);
    let logits = model.lm().forward_step(tensor, &[ids.len()], &LogitsAt::Last, None);
    logits.into_data().iter::<f32>().map(f32::to_bits).collect()
}

fn alone(model: &Model, ids: &[u32], kv: DType) -> Vec<u32> {
    step(model, &[ids], &mut cache(model, 1, kv)).remove(0)
}

/// With a cache a packed layer of the plain kind is one operation; without one its modules compute the same, as all others do.
#[test]
fn a_layer_in_one_operation_has_the_bits_of_its_modules() {
    let ids: Vec<u32> = (0..40).map(|i| 3 + i * 7 % 200).collect();
    for folder in fixtures().into_iter().chain(variants()) {
        for quantize in [Scheme::INT8, Scheme::INT4] {
            let packed_already = folder.ends_with("gpt_oss-mxfp4");
            let options = ModelOptions { quantize: (!packed_already).then_some(quantize), ..ModelOptions::new(cpu()) };
            let model = Model::load(&folder.to_string_lossy(), &options).expect("model");
            assert_eq!(alone(&model, &ids, DType::F32), without_cache(&model, &ids), "{}", folder.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_sequence_has_the_same_bits_in_any_company_and_cut(
        which in 0usize..35,
        kv in proptest::sample::select(vec![DType::F16, DType::I8, DType::I8, DType::F32]),
        rows in proptest::collection::vec(proptest::collection::vec(0u32..250, 70), 1..18),
        cuts in proptest::collection::vec(1usize..40, 1..6),
        kept in proptest::collection::vec(1usize..70, 18),
        next in 0u32..250,
    ) {
        let model = &models()[which];
        let mut together = cache(model, rows.len(), kv);
        let (mut from, mut cuts, mut got) = (0, cuts.iter().cycle(), Vec::new());
        while from < 70 {
            let to = (from + cuts.next().expect("endless")).min(70);
            let parts: Vec<&[u32]> = rows.iter().map(|row| &row[from..to]).collect();
            got = step(model, &parts, &mut together);
            from = to;
        }
        for (row, got) in rows.iter().zip(&got) {
            prop_assert!(*got == alone(model, row, kv), "{} in {} rows, {kv:?}", model.name(), rows.len());
        }
        // Each row goes on from another place.
        kept.iter().take(rows.len()).enumerate().for_each(|(row, kept)| together.truncate(row, *kept));
        let got = step(model, &vec![&[next][..]; rows.len()], &mut together);
        for ((row, kept), got) in rows.iter().zip(kept).zip(&got) {
            let history: Vec<u32> = row[..kept].iter().copied().chain([next]).collect();
            prop_assert!(*got == alone(model, &history, kv), "{} behind {kept} of {} rows, {kv:?}", model.name(), rows.len());
        }
    }
}
