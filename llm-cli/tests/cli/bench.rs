//! `llm bench`: its rows, its picture, and what it refuses before it measures.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{fixture, run};

#[test]
fn rows_are_those_of_the_contract() {
    let arguments = ["bench", &fixture("llama"), "--prefill", "8", "--decode", "4", "--depth", "0,16", "--runs", "1", "--device", "cpu"];
    let outcome = run(&[&arguments[..], &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let rows: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let tests: Vec<_> = rows.iter().map(|row| (row["test"].as_str().expect("test"), row["depth"].as_u64().expect("depth"))).collect();
    assert_eq!(tests, [("prefill", 0), ("prefill", 16), ("decode", 0), ("decode", 16)]);
    let keys: Vec<&String> = rows[0].as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "model",
            "format",
            "bits_per_weight",
            "device",
            "threads",
            "test",
            "tokens",
            "depth",
            "batch",
            "tokens_per_second",
            "runs",
            "bytes_per_token",
            "read_bytes_per_second",
            "limit_tokens_per_second",
            "share_of_limit"
        ]
    );
    assert!(rows[3]["tokens_per_second"]["median"].as_f64().is_some_and(|speed| speed > 0.0));
    let path = fixture("llama");
    let quiet = ["bench", &path, "--prefill", "8", "--decode", "4", "--runs", "1", "--device", "cpu", "--quiet", "--depth"];
    let some = run(&[&quiet[..], &["0,1000"]].concat());
    assert_eq!(some.code, 0, "{}", some.stderr);
    assert!(some.stderr.contains("warning: beyond the context of 256 tokens"), "{}", some.stderr);
    let none = run(&[&quiet[..], &["1000"]].concat());
    assert_eq!((none.code, none.stdout.as_str()), (2, ""));
    assert!(none.stderr.contains("expected at most the context of 256"), "{}", none.stderr);
}

/// A short measurement with more flags.
fn bench(more: &[&str]) -> crate::support::Outcome {
    let path = fixture("llama");
    run(&[&["bench", &path, "--prefill", "8", "--decode", "4", "--runs", "1", "--device", "cpu"], more].concat())
}

#[test]
fn the_picture_is_an_svg_or_a_png() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let outcome = bench(&["--plot", &path("speed.svg"), "--depth", "0,16", "--batch", "1,2", "--json"]);
    assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, 8), "{}", outcome.stderr);
    let text = std::fs::read_to_string(path("speed.svg")).expect("a picture");
    let row: Value = serde_json::from_str(outcome.stdout.lines().next().expect("a row")).expect("JSON");
    let title = format!(", f32 (32.0 bits per weight), on cpu with {} thread", row["threads"]);
    for part in ["<svg", "tokens/s", "tokens in the cache", "2 sequences", "limit: memory reads", &title] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let outcome = bench(&["--plot", &path("speed.png"), "--depth", "0"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(std::fs::read(path("speed.png")).expect("a picture").starts_with(b"\x89PNG\r\n\x1a\n"));
    let left = std::fs::read_dir(folder.path()).expect("folder").count();
    assert_eq!(left, 2, "nothing else is left behind");
}

#[test]
fn a_picture_without_a_place_is_refused_before_anything_is_measured() {
    let folder = TempDir::new().expect("a temporary folder");
    let outcome = bench(&["--plot", "speed.pdf"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert_eq!(outcome.stderr.lines().next(), Some("error: --plot: got `speed.pdf`, expected a name that ends in .svg or .png"));
    let nowhere = folder.path().join("nowhere").join("speed.svg");
    std::fs::create_dir(folder.path().join("folder.svg")).expect("made");
    for path in [nowhere, folder.path().join("folder.svg")] {
        let outcome = bench(&["--plot", &path.to_string_lossy()]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (4, ""), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("speed.svg") || outcome.stderr.contains("folder.svg"), "{}", outcome.stderr);
    }
}

#[test]
fn zero_tokens_are_not_measured() {
    let tests = |outcome: crate::support::Outcome| {
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let rows = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.map(|row| format!("{} {}", row["test"].as_str().expect("test"), row["tokens"])).collect::<Vec<_>>()
    };
    let path = fixture("llama");
    let base = ["bench", &path, "--depth", "0", "--runs", "1", "--device", "cpu", "--json"];
    assert_eq!(tests(run(&[&base[..], &["--prefill", "0", "--decode", "2"]].concat())), ["decode 2"]);
    assert_eq!(tests(run(&[&base[..], &["--prefill", "4,0", "--decode", "0"]].concat())), ["prefill 4"]);
    let nothing = run(&[&base[..], &["--prefill", "0", "--decode", "0"]].concat());
    assert_eq!((nothing.code, nothing.stdout.as_str()), (2, ""));
    assert_eq!(nothing.stderr.lines().next(), Some("error: --prefill, --decode: got 0 of both, expected something to measure"));
}
