use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::*;
use crate::checkpoint::WeightDtype;
use crate::device::{self, DeviceChoice};

fn tiny() -> ModelConfig {
    let config = json!({
        "model_type": "mistral", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "sliding_window": 8, "hidden_act": "silu", "rope_theta": 10000.0,
    });
    ModelConfig::from_json(&config).expect("a tiny model")
}

fn options() -> BenchOptions {
    BenchOptions { prefill: vec![5], decode: vec![3], depth: vec![0, 20], batch: vec![1], runs: 2, kv_dtype: DType::F32 }
}

/// Of few bytes, for the sake of time.
fn bandwidth() -> Bandwidth {
    Bandwidth::of(&device::open(DeviceChoice::Flex).expect("cpu"), 1 << 20)
}

#[test]
fn the_median_is_in_the_middle() {
    assert_eq!(spread(&mut [3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
    assert_eq!(spread(&mut [4.0, 1.0, 2.0, 3.0]).median, 2.5);
    assert_eq!(spread(&mut []).median, 0.0);
}

#[test]
fn a_window_bounds_the_keys_that_are_read() {
    // Two layers, one key and one value head of 8 numbers, 4 bytes each.
    assert_eq!(kv_bytes(&tiny(), DType::F32, 4), 2 * 2 * 8 * 4 * 4);
    assert_eq!(kv_bytes(&tiny(), DType::F32, 100), 2 * 2 * 8 * 4 * 8);
}

#[test]
fn rows_are_complete() {
    let device = device::open(DeviceChoice::Flex).expect("cpu");
    let subject = Subject::random("tiny", &tiny(), device, WeightDtype::F32, None).expect("subject");
    let options = options();
    let cancel = AtomicBool::new(false);
    let rows: Vec<Row> =
        options.cases().into_iter().map(|case| measure(&subject, case, &options, &bandwidth(), &cancel).expect("row")).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.tokens_per_second.min > 0.0 && row.runs == 2 && row.bits_per_weight == 32.0));
    let decode = &rows[3];
    assert_eq!((decode.test, decode.tokens, decode.depth), (Test::Decode, 3, 20));
    // Embedding rows are looked up, all else is read: see `Subject::read_bytes`.
    assert_eq!(decode.bytes_per_token, (subject.read_bytes() + kv_bytes(&tiny(), DType::F32, 21)) as f64);
    assert!(rows.iter().all(|row| row.read_bytes_per_second > 0.0));
    assert!(decode.share_of_limit.is_some() && rows[0].limit_tokens_per_second.is_none());
}

#[test]
fn what_does_not_fit_and_what_is_cancelled_is_refused() {
    let device = device::open(DeviceChoice::Flex).expect("cpu");
    let subject = Subject::random("tiny", &tiny(), device, WeightDtype::F32, None).expect("subject");
    let case = Case { test: Test::Decode, tokens: 60, depth: 20, batch: 1 };
    assert!(measure(&subject, case, &options(), &bandwidth(), &AtomicBool::new(false)).is_err());
    let case = Case { test: Test::Decode, tokens: 3, depth: 0, batch: 1 };
    assert!(matches!(measure(&subject, case, &options(), &bandwidth(), &AtomicBool::new(true)), Err(Error::Cancelled)));
}
