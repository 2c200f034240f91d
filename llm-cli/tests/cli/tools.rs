//! `llm inspect`, `devices`, `tokenize` and `train`.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{fixture, run, run_with};

#[test]
fn inspect_shows_what_is_there() {
    let path = fixture("llama-tied-llama3");
    let found = run(&["inspect", &path, "--json", "--check"]).json();
    assert_eq!((&found["architecture"], &found["chat_template"]), (&"llama".into(), &true.into()));
    assert_eq!(found["config"]["num_hidden_layers"], 2);
    assert_eq!(found["check"]["finite"], true);
    let tensors = found["tensors"].as_array().expect("tensors");
    let total: u64 = tensors.iter().map(|tensor| tensor["bytes"].as_u64().expect("bytes")).sum();
    assert_eq!(found["bytes"], total);
    let embedding = tensors.iter().find(|tensor| tensor["name"] == "model.embed_tokens.weight").expect("an embedding");
    assert_eq!((&embedding["dtype"], &embedding["shape"]), (&"bf16".into(), &json!([320, 48])));
    let shown = run(&["inspect", &path]);
    assert_eq!(shown.code, 0);
    for part in ["model.embed_tokens.weight", "num_key_value_heads      1", "bf16", "chat_template            yes"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

#[test]
fn inspect_says_what_runs_on_a_slower_path_and_why() {
    assert_eq!(run(&["inspect", &fixture("llama"), "--json"]).json()["slow_paths"], json!([]));
    for (name, stored, held, why) in [
        ("gptq-act-order", "gptq-act-order", "f32", "act-order"),
        ("awq", "awq of 4 bits", "int5", "zero points differ"),
        ("gptq-small-groups", "gptq-odd-groups", "f32", "32 inputs of a block"),
    ] {
        let path = fixture(&format!("grouped/{name}"));
        let found = run(&["inspect", &path, "--json"]).json();
        let slow = &found["slow_paths"][0];
        assert_eq!((&slow["stored"], &slow["held"], &slow["tensors"]), (&stored.into(), &held.into(), &14.into()), "{found}");
        let shown = run(&["inspect", &path]);
        let line = shown.stdout.lines().find(|line| line.starts_with("slower path")).expect("a line");
        assert!(line.contains(why) && line.contains(&format!("14 tensors of {stored} are held as {held}")), "{line}");
    }
    assert_eq!(run(&["inspect", &fixture("grouped/gptq"), "--json"]).json()["slow_paths"], json!([]));
}

#[test]
fn devices_lists_the_cpu() {
    let found = run(&["devices", "--json"]).json();
    let names: Vec<&Value> = found["devices"].as_array().expect("devices").iter().map(|device| &device["name"]).collect();
    assert!(names.contains(&&"cpu".into()), "{names:?}");
    assert!(found["not_built_in"].is_array());
    let shown = run(&["devices"]);
    assert!(shown.stdout.lines().any(|line| line.starts_with("cpu") && line.contains("f32")), "{}", shown.stdout);
}

#[test]
fn tokenize_goes_both_ways() {
    let path = fixture("llama");
    let found = run(&["tokenize", &path, "--prompt", "The cat", "--json"]).json();
    assert_eq!(found["tokens"], json!([1, 298, 274, 270]));
    assert_eq!(found["pieces"].as_array().expect("pieces").len(), 4);
    assert_eq!(run_with(&["tokenize", &path, "--json"], b"The cat\n").json(), found);
    assert_eq!(run(&["tokenize", &path, "--prompt", "The cat", "--no-special", "--json"]).json()["tokens"], json!([298, 274, 270]));
    let text = run_with(&["tokenize", &path, "--decode"], b"298 274,270\n");
    assert_eq!((text.code, text.stdout.as_str()), (0, "The cat\n"), "{}", text.stderr);
    assert_eq!(run(&["tokenize", &path, "--decode", "--prompt", "4000000"]).code, 2);
    assert_eq!(run(&["tokenize", &path]).code, 2);
    let device = run(&["tokenize", &path, "--prompt", "a", "--device", "cuda"]);
    assert_eq!(device.code, 0);
    assert!(device.stderr.contains("note: `--device cuda` changes nothing"), "{}", device.stderr);
}

#[test]
fn train_makes_a_model_that_generates() {
    let folder = TempDir::new().expect("a temporary folder");
    let out = folder.path().join("model").to_string_lossy().into_owned();
    let data = folder.path().join("data.jsonl").to_string_lossy().into_owned();
    let line =
        |n: usize| json!({"messages": [{"role": "user", "content": format!("say {n}")}, {"role": "assistant", "content": format!("{n}")}]});
    std::fs::write(&data, (0..40).map(|n| format!("{}\n", line(n))).collect::<String>()).expect("written");
    let small = ["--hidden-size", "16", "--intermediate-size", "32", "--layers", "1", "--heads", "2", "--kv-heads", "1", "--ctx", "64"];
    let base =
        ["train", &out, "--data", &data, "--batch-tokens", "128", "--checkpoint-every", "2", "--device", "cpu", "--vocab-size", "300"];
    let outcome = run(&[&base[..], &small, &["--steps", "2", "--json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[0]["step"], &lines[2]["report"]["finished"]), (3, &1.into(), &true.into()));
    assert_eq!(run(&[&base[..], &small].concat()).code, 2);
    std::fs::remove_dir_all(folder.path().join("model/checkpoints")).expect("checkpoints");
    assert_eq!(run(&[&base[..], &small, &["--resume"]].concat()).code, 2, "a model without a checkpoint is not trained over");
    let lost = run(&[&base[..], &small, &["--steps", "20", "--learning-rate", "1e30", "--force"]].concat());
    assert_eq!(lost.code, 2);
    assert!(lost.stderr.contains("expected a finite number"), "{}", lost.stderr);
    let answer = run_with(&["chat", &out, "--max-tokens", "3"], b"say 5");
    assert_eq!(answer.code, 0, "{}", answer.stderr);
}

#[test]
fn train_refuses_a_shape_before_it_writes() {
    let folder = TempDir::new().expect("a temporary folder");
    let out = folder.path().join("model");
    let base = ["train", &out.to_string_lossy(), "--device", "cpu"];
    for (flags, part) in [
        (&["--kv-heads", "3"][..], "error: --kv-heads: got 3, expected a divisor of --heads = 8"),
        (&["--hidden-size", "24"], "error: --hidden-size / --heads: got 3"),
    ] {
        let outcome = run(&[&base[..], flags].concat());
        assert_eq!(outcome.code, 2);
        assert!(outcome.stderr.contains(part) && !out.exists(), "{}", outcome.stderr);
    }
}
