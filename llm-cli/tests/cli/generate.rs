//! `llm generate` and `llm chat` through a pipe.

use std::process::Stdio;

use serde_json::Value;

use crate::support::{Copy, fixture, plain, run, run_with};

const GREEDY: [&str; 10] = ["--temperature", "0", "--ignore-eos", "--dtype", "f32", "--device", "cpu", "--max-tokens", "24", "--json"];

fn expected(name: &str) -> Value {
    let path = std::path::Path::new(&fixture(name)).join("expected.json");
    serde_json::from_slice(&std::fs::read(path).expect("expected.json")).expect("JSON")
}

#[test]
fn the_json_object_is_that_of_the_contract() {
    let expected = &expected("llama")["prompts"][0];
    let prompt = expected["prompt"].as_str().expect("a prompt");
    let path = fixture("llama");
    let arguments = [&["generate", &path, "--prompt", prompt, "--logprobs", "5"], &GREEDY[..]].concat();
    let answer = run(&arguments).json();
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["model", "device", "text", "prompt_tokens", "tokens", "finish_reason", "logprobs", "usage", "timings", "memory"]);
    assert_eq!(answer["prompt_tokens"], expected["prompt_tokens"]);
    assert_eq!(answer["tokens"], expected["tokens"]);
    assert_eq!((&answer["model"], &answer["device"]), (&"llama".into(), &"cpu".into()));
    assert_eq!(answer["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 24);
    let first = &answer["logprobs"][0];
    assert_eq!(first["id"], answer["tokens"][0]);
    for (found, reference) in first["top"].as_array().expect("top").iter().zip(expected["top"][0].as_array().expect("top")) {
        assert_eq!(found[0], reference[0]);
        assert!((found[1].as_f64().expect("a number") - reference[1].as_f64().expect("a number")).abs() < 1e-3);
    }
    for key in ["load_s", "prefill_s", "time_to_first_token_s", "decode_s", "prefill_tokens_per_second", "decode_tokens_per_second"] {
        assert!(answer["timings"][key].as_f64().is_some_and(|value| value >= 0.0), "{key}");
    }
    for key in ["weights_bytes", "kv_cache_bytes"] {
        assert!(answer["memory"][key].as_u64().is_some_and(|bytes| bytes > 0), "{key}");
    }
}

#[test]
fn text_streams_as_it_stands_in_the_object() {
    let path = fixture("llama");
    let flags = &GREEDY[..GREEDY.len() - 1];
    let streamed = run(&[&["generate", &path, "--prompt", "The cat"], flags].concat());
    assert_eq!(streamed.code, 0, "{}", streamed.stderr);
    let whole = run(&[&["generate", &path, "--prompt", "The cat"], &GREEDY[..]].concat()).json();
    assert_eq!(streamed.stdout, format!("{}\n", whole["text"].as_str().expect("text")));
    let piped = run_with(&[&["generate", &path], flags].concat(), b"The cat\n");
    assert_eq!(piped.stdout, streamed.stdout);
}

#[test]
fn a_seed_makes_draws_repeatable() {
    let path = fixture("llama");
    let with =
        |seed: &str| run(&["generate", &path, "--prompt", "a", "--seed", seed, "--temperature", "1", "--json"]).json()["tokens"].clone();
    assert_eq!(with("1"), with("1"));
    assert_ne!(with("1"), with("2"));
}

#[test]
fn chat_answers_a_pipe_and_ends() {
    let path = fixture("llama-tied-llama3");
    let arguments = ["chat", &path, "--temperature", "0", "--device", "cpu", "--max-tokens", "5", "--ignore-eos"];
    let answer = run_with(&arguments, b"hello\n");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    assert!(answer.stdout.ends_with('\n') && answer.stderr.is_empty(), "{}", answer.stderr);
    let alias = run_with(&["run", &path, "--temperature", "0", "--device", "cpu", "--max-tokens", "5", "--ignore-eos"], b"hello");
    assert_eq!(alias.stdout, answer.stdout);
    let template =
        ["generate", &path, "--chat", "--prompt", "hello", "--temperature", "0", "--device", "cpu", "--max-tokens", "5", "--ignore-eos"];
    assert_eq!(run(&template).stdout, answer.stdout);
    let json = run_with(&[&arguments[..], &["--json"]].concat(), b"hello\n").json();
    assert_eq!(format!("{}\n", json["text"].as_str().expect("text")), answer.stdout);
}

#[test]
fn an_answer_that_is_cut_without_being_asked_is_noticed() {
    let outcome =
        run(&["generate", &fixture("llama"), "--prompt", "a", "--ignore-eos", "--ctx", "16", "--temperature", "0", "--device", "cpu"]);
    assert!(outcome.stderr.starts_with("note: the answer was cut after"), "{}", outcome.stderr);
    let quiet = run(&[
        "generate",
        &fixture("llama"),
        "--prompt",
        "a",
        "--ignore-eos",
        "--ctx",
        "16",
        "--temperature",
        "0",
        "--device",
        "cpu",
        "--quiet",
    ]);
    assert_eq!((quiet.stderr, quiet.stdout), (String::new(), outcome.stdout));
    let cut = ["generate", &fixture("llama"), "--prompt", "a", "--ignore-eos", "--ctx", "16", "--device", "cpu", "--max-tokens"];
    assert!(run(&[&cut[..], &["100"]].concat()).stderr.contains("at the end of the context"));
    assert_eq!(run(&[&cut[..], &["3"]].concat()).stderr, "");
}

#[test]
fn verbose_tells_what_ran_where() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--max-tokens", "2", "--device", "cpu", "-v"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    for part in ["device cpu", "MB of weights in", " GB/s; the rest", "sampling {", "keys and values f16", "attention", "flex"] {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}

#[test]
fn a_packed_layer_runs_as_one_operation() {
    // Two tokens through two layers, with biases, head norms, or neither.
    for name in ["llama", "qwen2-sharded", "qwen3"] {
        let path = fixture(name);
        let count = |more: &[&str]| {
            let base = ["generate", &path, "--prompt", "a", "--max-tokens", "2", "--ignore-eos", "--device", "cpu", "--no-cache", "-v"];
            let outcome = run(&[&base, more].concat());
            assert_eq!(outcome.code, 0, "{}", outcome.stderr);
            let line = outcome.stderr.lines().find(|line| line.trim_start().starts_with("quant_layer"));
            line.and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or(0_u64)
        };
        assert_eq!((count(&["--quantize", "int4"]), count(&[])), (4, 0), "{name}");
    }
}

#[test]
fn keys_and_values_of_8_bits_take_half_the_memory() {
    let path = fixture("llama");
    let answer = |more: &[&str]| run(&[&["generate", &path, "--prompt", "The cat", "--max-tokens", "4", "--json", "-v"], more].concat());
    let bytes = |kv: &str, device: &str| {
        let outcome = answer(&["--kv", kv, "--device", device]);
        assert!(outcome.stderr.contains(&format!("keys and values {kv},")), "{}", outcome.stderr);
        outcome.json()["memory"]["kv_cache_bytes"].as_u64().expect("bytes")
    };
    let config: Value = serde_json::from_slice(&std::fs::read(format!("{path}/config.json")).expect("config")).expect("JSON");
    let [hidden, heads] = ["hidden_size", "num_attention_heads"].map(|key| config[key].as_u64().expect("a number"));
    let dim = config["head_dim"].as_u64().unwrap_or(hidden / heads);
    // Each vector has a factor of four bytes.
    assert_eq!(bytes("int8", "cpu") * 2 * dim, bytes("f16", "cpu") * (dim + 4));
    assert_eq!(bytes("int8", "ndarray") * 4 * dim, bytes("f32", "ndarray") * (dim + 4));
    let refused = answer(&["--kv", "f16", "--device", "ndarray"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("error: --kv: got f16, expected f32 or int8 on ndarray"), "{}", refused.stderr);
}

#[test]
fn f55_a_closed_pipe_ends_quietly() {
    let copy = Copy::endless();
    let arguments = ["generate", &copy.path(), "--prompt", "a", "--ignore-eos", "--max-tokens", "90000", "--device", "cpu"];
    let mut child = plain(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for (quantize, kv) in [(None, "f16"), (Some("int8"), "f32"), (Some("int4"), "f16"), (Some("int4"), "int8")] {
        let answer = |threads: &str| {
            let prompt = ["generate", "--chat", "--prompt", "Tell me a story about a crab.", "--logprobs", "3"];
            let mut arguments = [&prompt[..], &GREEDY[..], &["--threads", threads, "--kv", kv]].concat();
            arguments.extend(quantize.iter().flat_map(|scheme| ["--quantize", scheme]));
            let answer = run(&arguments).json();
            (answer["tokens"].clone(), answer["logprobs"].clone())
        };
        let one = answer("1");
        for threads in ["2", "3", "7"] {
            assert_eq!(answer(threads), one, "{quantize:?}, keys and values {kv}, with {threads} threads");
        }
    }
}
