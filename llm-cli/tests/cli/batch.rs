//! `llm generate --input-jsonl`: batches, and how they are resumed.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Copy, Outcome, fixture, run};

const INPUT: &str = r#"{"id": "a", "prompt": "The cat"}
{"prompt": "A dog", "max_tokens": 3}
{"id": 7, "messages": [{"role": "user", "content": "hello"}], "temperature": 0.5, "seed": 1}
"#;

fn batch(folder: &TempDir, more: &[&str]) -> Outcome {
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let model = fixture("llama-tied-llama3");
    let (input, output) = (path("in.jsonl"), path("out.jsonl"));
    let base = ["generate", &model, "--input-jsonl", &input, "--output-jsonl", &output, "--temperature", "0", "--max-tokens", "6"];
    run(&[&base, more].concat())
}

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    std::fs::write(folder.path().join("in.jsonl"), INPUT).expect("written");
    folder
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("output");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What of the lines does not depend on the clock.
fn stable(lines: &[Value]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::json!([line["id"], line["index"], line["input_hash"], line["tokens"], line["text"]])).collect()
}

#[test]
fn each_line_is_answered_with_its_own_settings() {
    let folder = folder();
    let outcome = batch(&folder, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let lines = lines(&folder.path().join("out.jsonl"));
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["id"], &lines[1]["id"], &lines[2]["id"]), (&"a".into(), &Value::Null, &7.into()));
    assert!(lines.iter().enumerate().all(|(index, line)| line["index"] == index));
    assert!(lines[1]["tokens"].as_array().expect("tokens").len() <= 3);
    let alone =
        run(&["generate", &fixture("llama-tied-llama3"), "--prompt", "The cat", "--temperature", "0", "--max-tokens", "6", "--json"]);
    assert_eq!(alone.json()["tokens"], lines[0]["tokens"]);
}

#[test]
fn a_torn_batch_is_completed() {
    let folder = folder();
    assert_eq!(batch(&folder, &[]).code, 0);
    let path = folder.path().join("out.jsonl");
    let whole = lines(&path);
    let text = std::fs::read_to_string(&path).expect("output");
    for length in [0, 10, text.find('\n').expect("a line"), text.find('\n').expect("a line") + 1, text.len() - 1, text.len()] {
        std::fs::write(&path, &text[..length]).expect("torn");
        let outcome = batch(&folder, &["--quiet"]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(stable(&lines(&path)), stable(&whole), "torn at {length}");
    }
}

#[test]
fn f62_a_changed_source_is_refused() {
    let folder = folder();
    assert_eq!(batch(&folder, &[]).code, 0);
    let path = folder.path().join("out.jsonl");
    let before = std::fs::read(&path).expect("output");
    let changed_flags = batch(&folder, &["--seed", "5"]);
    assert_eq!(changed_flags.code, 2);
    assert!(changed_flags.stderr.contains("hint: the input, the model or the flags changed since"), "{}", changed_flags.stderr);
    std::fs::write(folder.path().join("in.jsonl"), INPUT.replace("cat", "hat")).expect("written");
    assert_eq!(batch(&folder, &[]).code, 2);
    assert_eq!(std::fs::read(&path).expect("output"), before);
}

#[test]
fn senseless_lines_are_refused_before_any_is_answered() {
    let folder = folder();
    for line in [
        "{",
        "{}",
        r#"{"prompt": 5}"#,
        r#"{"prompt": "a", "temperatur": 1}"#,
        r#"{"prompt": "a", "top_p": 2}"#,
        r#"{"prompt": "a", "max_tokens": 0}"#,
        r#"{"prompt": "a", "stop": [""]}"#,
    ] {
        std::fs::write(folder.path().join("in.jsonl"), format!("{{\"prompt\": \"a\"}}\n{line}\n")).expect("written");
        let outcome = batch(&folder, &[]);
        assert_eq!(outcome.code, 2, "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("in.jsonl: line 2: ") && !outcome.stderr.contains("--"), "{}", outcome.stderr);
        assert!(!folder.path().join("out.jsonl").exists());
    }
}

#[test]
fn one_request_that_fails_does_not_stop_the_others() {
    let folder = folder();
    let long = "cat ".repeat(600);
    std::fs::write(folder.path().join("in.jsonl"), format!("{{\"prompt\": \"{long}\"}}\n{{\"prompt\": \"a\"}}\n")).expect("written");
    let outcome = batch(&folder, &[]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("1 of 2 requests failed"), "{}", outcome.stderr);
    let lines = lines(&folder.path().join("out.jsonl"));
    assert!(lines[0]["error"]["message"].as_str().is_some_and(|message| message.contains("fewer than the context")));
    assert!(lines[1]["error"].is_null() && lines[1]["text"].is_string());
    let again = batch(&folder, &["--quiet"]);
    assert_eq!(again.code, 2, "what failed has still failed");
    assert!(again.stderr.contains("1 of 2 requests failed"), "{}", again.stderr);
}

#[test]
fn a_file_of_others_is_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("out.jsonl");
    for text in ["no newline at all", "some\nlines\nof others", r#"{"id":5,"name":"x"}"#, "{\"id\":\"a\",\"index\":0}\n"] {
        std::fs::write(&path, text).expect("written");
        let outcome = batch(&folder, &[]);
        assert_eq!(outcome.code, 2, "{text}");
        assert!(outcome.stderr.contains("out.jsonl: line 1: got something else"), "{}", outcome.stderr);
        assert_eq!(std::fs::read_to_string(&path).expect("output"), text);
    }
    assert_eq!(std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).ok(), Some(()));
    assert!(batch(&folder, &[]).stderr.contains("a directory, expected a regular file"));
}

#[test]
#[cfg(unix)]
fn the_input_and_devices_are_no_output() {
    let folder = folder();
    let path = folder.path().join("out.jsonl");
    std::fs::hard_link(folder.path().join("in.jsonl"), &path).expect("linked");
    let same = batch(&folder, &[]);
    assert_eq!(same.code, 2);
    assert!(same.stderr.contains("expected another file than the input"), "{}", same.stderr);
    assert_eq!(std::fs::read_to_string(folder.path().join("in.jsonl")).expect("input"), INPUT);
    std::fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &path).expect("linked");
    let device = batch(&folder, &[]);
    assert_eq!(device.code, 2);
    assert!(device.stderr.contains("a pipe or device, expected a regular file"), "{}", device.stderr);
}

#[test]
fn answers_of_different_work_are_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("in.jsonl"), "{\"prompt\": \"a\"}\n").expect("written");
    assert_eq!(batch(&folder, &[]).code, 0);
    for flags in [&["--chat"][..], &["--ctx", "100"], &["--kv", "f32"], &["--dtype", "f32"]] {
        assert_eq!(batch(&folder, flags).code, 2, "{flags:?}");
    }
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let copy = Copy::of("llama-tied-llama3");
    let model = path("llama-tied-llama3");
    std::fs::rename(copy.path(), &model).expect("moved");
    let with_copy = || {
        let (input, output) = (path("in.jsonl"), path("out.jsonl"));
        let files = ["generate", &model, "--input-jsonl", &input, "--output-jsonl", &output];
        run(&[&files[..], &["--temperature", "0", "--max-tokens", "6", "--quiet"]].concat()).code
    };
    assert_eq!(with_copy(), 0, "the same model elsewhere");
    let weights = std::path::Path::new(&model).join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("weights");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).expect("written");
    assert_eq!(with_copy(), 2, "another model of the same name");
}

#[test]
fn blank_lines_are_no_requests_and_bad_bytes_are_named() {
    let folder = folder();
    let input = folder.path().join("in.jsonl");
    std::fs::write(&input, "\n{\"prompt\": \"a\"}\r\n \n").expect("written");
    let outcome = batch(&folder, &[]);
    assert_eq!((outcome.code, lines(&folder.path().join("out.jsonl")).len()), (0, 1), "{}", outcome.stderr);
    std::fs::write(&input, b"\n{\"prompt\": \"\xe9\"}\n").expect("written");
    let outcome = batch(&folder, &[]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("in.jsonl: line 2: byte 13: got `0xe9`, expected UTF-8"), "{}", outcome.stderr);
}
