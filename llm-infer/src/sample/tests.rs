//! The whole chain: its order, its laws, its faults, its cost.

use std::{collections::BTreeMap, time::Instant};

use proptest::prelude::*;

use super::*;

const LOGITS: [f32; 6] = [2.0, -1.0, 0.5, 3.0, -0.25, -2.0];

fn plain() -> SamplingConfig {
    SamplingConfig { temperature: 1.0, top_k: 0, seed: Some(1), ..Default::default() }
}

fn sampler(config: SamplingConfig) -> Sampler {
    Sampler::new(&config, LOGITS.len()).expect("valid configuration")
}

fn processed(config: &SamplingConfig, history: &[u32], logits: &[f32]) -> Vec<f32> {
    let mut logits = logits.to_vec();
    chain(config).iter_mut().for_each(|stage| stage.processor.process(history, &mut logits));
    logits
}

#[test]
fn chain_equals_transformers() {
    let config = SamplingConfig {
        logit_bias: BTreeMap::from([(1, 2.5), (3, -1.0)]),
        repetition_penalty: 1.3,
        temperature: 0.7,
        top_k: 4,
        top_p: 0.9,
        min_p: 0.1,
        ..plain()
    };
    let logits = processed(&config, &[0, 2, 2, 5, 9], &LOGITS);
    let probabilities = [0.257_728_4f64, 0.243_949_4, 0.0, 0.498_322_2, 0.0, 0.0];
    let total: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    for (logit, expected) in logits.iter().zip(probabilities) {
        assert!((f64::from(*logit).exp() / total - expected).abs() < 1e-6);
    }
}

#[test]
fn frequency_counts_only_what_was_generated() {
    let mut sampler = sampler(SamplingConfig { temperature: 0.0, frequency_penalty: 2.0, ..plain() });
    assert_eq!(sampler.sample(&[3, 3, 3], 3, &mut LOGITS.clone()).expect("token"), 3);
    assert_eq!(sampler.sample(&[3, 3, 3, 3], 3, &mut LOGITS.clone()).expect("token"), 0);
    assert_eq!(sampler.sample(&[3], 9, &mut LOGITS.clone()).expect("token"), 3);
}

#[test]
fn greedy_takes_the_lowest_of_equals() {
    let mut logits = [1.0, 4.0, 4.0, 0.0, 4.0, 0.0];
    assert_eq!(sampler(SamplingConfig { temperature: 0.0, ..plain() }).sample(&[], 0, &mut logits).expect("token"), 1);
}

#[test]
fn f72_a_tiny_temperature_is_greedy() {
    for temperature in [0.0, 1e-45, 1e-12, 1e-6, 2e-5] {
        let mut sampler = sampler(SamplingConfig { temperature, ..plain() });
        for _ in 0..50 {
            assert_eq!(sampler.sample(&[], 0, &mut LOGITS.clone()).expect("token"), 3);
        }
    }
}

#[test]
fn f75_all_tokens_biased_by_minus_100() {
    let bias: BTreeMap<u32, f32> = (0..6).map(|id| (id, -100.0)).collect();
    let biased = sampler(SamplingConfig { logit_bias: bias, ..plain() });
    assert_eq!(tokens(biased), tokens(sampler(plain())));
}

#[test]
fn f74_unknown_id_is_refused() {
    let config = SamplingConfig { logit_bias: BTreeMap::from([(6, 1.0)]), ..plain() };
    let error = Sampler::new(&config, 6).err().expect("unknown id");
    assert_eq!(error.to_string(), "--logit-bias: got 6=1, expected ids below the vocabulary's size of 6");
}

#[test]
fn f81_nan_logits_are_an_error_with_their_index() {
    let mut logits = LOGITS;
    logits[4] = f32::NAN;
    let error = sampler(plain()).sample(&[], 0, &mut logits).expect_err("NaN");
    assert_eq!(error.to_string(), "logits: got NaN at index 4 of 6, expected finite numbers");
    for mut none in [vec![], vec![f32::NEG_INFINITY; 6]] {
        assert!(matches!(sampler(plain()).sample(&[], 0, &mut none), Err(Error::Logits { .. })));
    }
}

fn tokens(mut sampler: Sampler) -> Vec<u32> {
    let mut history = Vec::new();
    for _ in 0..64 {
        let id = sampler.sample(&history, 0, &mut LOGITS.clone()).expect("token");
        history.push(id);
    }
    history
}

#[test]
fn a_seed_repeats_and_sequences_are_independent() {
    assert_eq!(tokens(sampler(plain())), tokens(sampler(plain())));
    assert_ne!(tokens(sampler(plain())), tokens(sampler(SamplingConfig { seed: Some(2), ..plain() })));
    let second = Sampler::for_sequence(&plain(), 6, 1).expect("sampler");
    assert_ne!(tokens(sampler(plain())), tokens(second));
    let unseeded = SamplingConfig { seed: None, ..plain() };
    let made_up = sampler(unseeded.clone());
    let again = sampler(SamplingConfig { seed: Some(made_up.seed()), ..unseeded });
    assert_eq!(tokens(made_up), tokens(again));
}

fn configurations() -> impl Strategy<Value = SamplingConfig> {
    let filters = (0.0f32..3.0, 0i64..20, 0.01f32..=1.0, 0.0f32..=1.0);
    let penalties = (0.1f32..3.0, -2.0f32..2.0, -2.0f32..2.0, prop::collection::btree_map(0u32..50, -100.0f32..100.0, 0..5));
    (filters, penalties, any::<u64>()).prop_map(|((temperature, top_k, top_p, min_p), (repetition, presence, frequency, bias), seed)| {
        SamplingConfig {
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty: repetition,
            presence_penalty: presence,
            frequency_penalty: frequency,
            logit_bias: bias,
            seed: Some(seed),
        }
    })
}

proptest! {
    #[test]
    fn some_token_is_always_left_and_one_of_them_is_drawn(
        config in configurations(),
        logits in prop::collection::vec(-30.0f32..30.0, 50..300),
        history in prop::collection::vec(0u32..60, 0..40),
    ) {
        let left = processed(&config, &history, &logits);
        prop_assert!(left.iter().all(|logit| *logit < f32::INFINITY));
        let max = lanes::max(&left);
        prop_assert!(max.is_finite());
        let total: f64 = lanes::block_sums(&left, max).sum();
        let sum: f64 = left.iter().map(|logit| f64::from(logit - max).exp() / total).sum();
        prop_assert!((sum - 1.0).abs() < 1e-6, "probabilities sum to {}", sum);

        let mut first = Sampler::new(&config, logits.len()).expect("sampler");
        let mut second = Sampler::new(&config, logits.len()).expect("sampler");
        let id = first.sample(&history, 0, &mut logits.clone()).expect("token");
        prop_assert_eq!(id, second.sample(&history, 0, &mut logits.clone()).expect("token"));
        prop_assert!(left[id as usize].is_finite());
    }

    #[test]
    fn penalties_step_by_step_equal_penalties_at_once(history in prop::collection::vec(0u32..6, 1..30)) {
        let config = SamplingConfig { repetition_penalty: 1.2, presence_penalty: 0.3, frequency_penalty: 0.1, ..plain() };
        let mut stages = chain(&config);
        for end in 0..=history.len() {
            let mut logits = LOGITS;
            stages.iter_mut().for_each(|stage| stage.processor.process(&history[..end], &mut logits));
            prop_assert_eq!(logits.to_vec(), processed(&config, &history[..end], &LOGITS));
        }
    }
}

/// `cargo test --release -p llm-infer sampling_cost -- --ignored --nocapture`
#[test]
#[ignore = "a measurement: it prints microseconds and asserts nothing"]
fn sampling_cost() {
    use rand::Rng;
    let mut rng = stream(3, 0);
    let history: Vec<u32> = (0..4096).map(|_| rng.random_range(0..100_000)).collect();
    let cases = [
        ("greedy", SamplingConfig { temperature: 0.0, ..plain() }),
        ("temperature", SamplingConfig { temperature: 0.7, ..plain() }),
        ("top-k 50", SamplingConfig { temperature: 0.7, top_k: 50, ..plain() }),
        ("top-p 0.9", SamplingConfig { temperature: 0.7, top_p: 0.9, ..plain() }),
        ("top-p 0.9, flat", SamplingConfig { temperature: 30.0, top_p: 0.9, ..plain() }),
        (
            "all",
            SamplingConfig {
                temperature: 0.7,
                top_k: 50,
                top_p: 0.9,
                min_p: 0.05,
                repetition_penalty: 1.1,
                presence_penalty: 0.1,
                ..plain()
            },
        ),
    ];
    for vocab_size in [128_256, 262_144] {
        // A bell of standard deviation 2 and a few tokens above it, as a trained model gives.
        let mut logits: Vec<f32> = (0..vocab_size).map(|_| 2.0 * (0..12).map(|_| rng.random::<f32>() - 0.5).sum::<f32>()).collect();
        (0..20).for_each(|step| logits[step * 997] = 18.0 - 0.4 * step as f32);
        for (name, config) in &cases {
            let mut sampler = Sampler::new(config, vocab_size).expect("sampler");
            let mut times: Vec<f64> = (0..51)
                .map(|_| {
                    let mut logits = logits.clone();
                    let start = Instant::now();
                    sampler.sample(&history, 4000, &mut logits).expect("token");
                    start.elapsed().as_secs_f64() * 1e6
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("{vocab_size:>7} {name:<16} {:>6.0} us (median), {:>6.0} us (fastest)", times[25], times[0]);
        }
        let start = Instant::now();
        logprobs(&logits, 5, 0);
        println!("{vocab_size:>7} {:<16} {:>6.0} us", "logprobs 5", start.elapsed().as_secs_f64() * 1e6);
    }
}
