//! `llm quantize`: the folder, its report, and what is refused.

use std::path::PathBuf;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Copy, fixture, run};

/// A folder, and a name in it for the output.
fn place() -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let out = folder.path().join("out").to_string_lossy().into_owned();
    (folder, out)
}

fn left(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_model_is_quantized_inspected_and_run() {
    let (folder, out) = place();
    let done = run(&["quantize", &fixture("llama"), &out, "--scheme", "int8", "--device", "cpu"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_snapshot!(done.stdout.replace(&out, "OUT"), @r"
    matrix                                  format           bits  weight error  output error
    model.embed_tokens.weight               int8             8.50       0.487 %             -
    model.layers.0.self_attn.q_proj.weight  int8             8.50       0.510 %             -
    model.layers.0.self_attn.k_proj.weight  int8             8.50       0.475 %             -
    model.layers.0.self_attn.v_proj.weight  int8             8.50       0.497 %             -
    model.layers.0.self_attn.o_proj.weight  int8             8.50       0.499 %             -
    model.layers.0.mlp.gate_proj.weight     int8             8.50       0.499 %             -
    model.layers.0.mlp.up_proj.weight       int8             8.50       0.506 %             -
    model.layers.0.mlp.down_proj.weight     int8             8.50       0.497 %             -
    model.layers.1.self_attn.q_proj.weight  int8             8.50       0.488 %             -
    model.layers.1.self_attn.k_proj.weight  int8             8.50       0.490 %             -
    model.layers.1.self_attn.v_proj.weight  int8             8.50       0.500 %             -
    model.layers.1.self_attn.o_proj.weight  int8             8.50       0.465 %             -
    model.layers.1.mlp.gate_proj.weight     int8             8.50       0.507 %             -
    model.layers.1.mlp.up_proj.weight       int8             8.50       0.493 %             -
    model.layers.1.mlp.down_proj.weight     int8             8.50       0.485 %             -
    lm_head.weight                          int8             8.50       0.484 %             -

    OUT: 152.6 KiB -> 46.6 KiB, 9.78 bits a weight, by rtn
    ");
    assert_eq!(left(&folder), ["out"]);
    for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        let read = |folder: &str| std::fs::read(PathBuf::from(folder).join(name)).expect("a file");
        assert!(read(&out) == read(&fixture("llama")), "{name}");
    }
    let found = run(&["inspect", &out, "--check", "--json"]).json();
    assert_eq!((&found["check"]["finite"], &found["dtypes"]["int8"]["tensors"]), (&true.into(), &16.into()));
    let tensors = found["tensors"].as_array().expect("tensors");
    assert!(tensors.iter().all(|tensor| tensor["dtype"] == "int8" || tensor["shape"].as_array().map(Vec::len) == Some(1)));
    let shown = run(&["inspect", &out]);
    assert!(shown.stdout.contains("quantization             rtn: int8"), "{}", shown.stdout);
    let answer =
        run(&["generate", &out, "--prompt", "The cat", "--max-tokens", "4", "--device", "cpu", "--json", "--temperature", "0"]).json();
    let exact = run(&[
        "generate",
        &fixture("llama"),
        "--prompt",
        "The cat",
        "--max-tokens",
        "4",
        "--device",
        "cpu",
        "--json",
        "--temperature",
        "0",
    ]);
    assert_eq!(answer["tokens"], exact.json()["tokens"]);
}

#[test]
fn a_type_that_is_asked_for_widens_packed_weights_and_says_so() {
    let (_folder, out) = place();
    assert_eq!(run(&["quantize", &fixture("llama"), &out, "--scheme", "int8", "--device", "cpu"]).code, 0);
    let base = ["generate", &out, "--prompt", "The cat", "--max-tokens", "1", "--device", "cpu", "--json"];
    let (packed, wide) = (run(&base), run(&[&base[..], &["--dtype", "f32"]].concat()));
    assert_eq!(packed.stderr, "");
    assert_snapshot!(wide.stderr, @"note: 16 tensors of int8 widened to f32, 152.0 KiB instead of 40.4 KiB");
    let bytes = |outcome: &crate::support::Outcome| outcome.json()["memory"]["weights_bytes"].as_u64().expect("bytes");
    assert!(bytes(&wide) > 3 * bytes(&packed));
    let refused = run(&[&base[..], &["--dtype", "f32", "--quantize", "int4"]].concat());
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--quantize: got `int4` for a model that is quantized already"), "{}", refused.stderr);
}

#[test]
fn the_report_is_json_where_asked() {
    let (folder, out) = place();
    let text = folder.path().join("text.txt");
    std::fs::write(&text, "The cat sat on the mat, and the dog ran. ".repeat(40)).expect("written");
    let text = text.to_string_lossy().into_owned();
    for method in ["gptq", "awq"] {
        let arguments = ["quantize", &fixture("llama"), &out, "--method", method, "--calibration", &text, "--json", "--force"];
        let report = run(&[&arguments[..], &["--device", "cpu"]].concat()).json();
        let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
        assert_eq!(
            keys,
            [
                "out",
                "method",
                "matrices",
                "parameters",
                "bytes_before",
                "bytes_after",
                "bits_per_weight",
                "calibration_tokens",
                "quality",
                "removed",
                "seconds"
            ]
        );
        let matrix = &report["matrices"][1];
        assert_eq!((&matrix["format"], &matrix["bits_per_weight"]), (&"int4".into(), &4.5.into()));
        assert!(matrix["output_error"].as_f64().is_some_and(|error| error > 0.0 && error < 0.2), "{matrix}");
        assert!(report["quality"]["compare"]["top1_agreement"].as_f64().is_some_and(|share| share > 0.5), "{}", report["quality"]);
        let size = std::fs::metadata(PathBuf::from(&out).join("model.safetensors")).expect("weights").len();
        assert_eq!(report["bytes_after"], Value::from(size));
    }
}

#[test]
fn f58_existing_folders_and_missing_texts_are_refused() {
    let (folder, out) = place();
    assert_eq!(run(&["quantize", &fixture("llama"), &out]).code, 0);
    let again = run(&["quantize", &fixture("llama"), &out]);
    assert_eq!(again.code, 2);
    assert_snapshot!(again.stderr.replace(&out, "OUT"), @r"
    error: OUT: got `OUT`, which is there already, expected the name of a new folder

    hint: `--force` replaces it once the new one is complete
    ");
    assert_eq!(run(&["quantize", &fixture("llama"), &out, "--force"]).code, 0);
    let twice = run(&["quantize", &out, &format!("{out}2")]);
    assert_eq!(twice.code, 2);
    assert_snapshot!(twice.stderr.replace(&out, "OUT"), @r"
    error: IN: got `OUT`, which is quantized already, expected a model in floats

    hint: quantize the model that it was made from
    ");
    let in_place = run(&["quantize", &fixture("llama"), &fixture("llama"), "--force"]);
    assert_eq!(in_place.code, 2);
    assert!(in_place.stderr.contains("hint: a model is never quantized in place"), "{}", in_place.stderr);
    let without = run(&["quantize", &fixture("llama"), &format!("{out}2"), "--method", "gptq"]);
    assert_eq!(without.code, 2);
    assert_snapshot!(without.stderr, @r"
    error: --calibration: got none for `--method gptq`, expected a file of text

    hint: give a few pages of what the model will read, or use `--method rtn`, which needs none
    ");
    let small = run(&["quantize", &fixture("llama"), &format!("{out}2"), "--budget", "1K"]);
    assert_eq!(small.code, 2);
    assert_snapshot!(small.stderr, @"error: --budget: got 1000 bytes, expected at least 28288, which 4 bits for every matrix take");
    let on_load = run(&["generate", &out, "--prompt", "a", "--quantize", "int8"]);
    assert_eq!(on_load.code, 2);
    assert_snapshot!(on_load.stderr, @r"
    error: --quantize: got `int8` for a model that is quantized already, expected a model in floats

    hint: leave `--quantize` out: the model runs as it was quantized
    ");
    assert_eq!(left(&folder), ["out"]);
}

#[test]
fn f33_weights_that_are_no_numbers_are_named() {
    let (folder, out) = place();
    let copy = Copy::of("llama");
    copy.spoil_last_weight();
    let outcome = run(&["quantize", &copy.path(), &out]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("tensor `") && outcome.stderr.contains("got `NaN`"), "{}", outcome.stderr);
    assert!(left(&folder).is_empty());
}

#[test]
fn f22_a_file_whose_notes_are_gone_is_refused() {
    let (_folder, out) = place();
    assert_eq!(run(&["quantize", &fixture("llama"), &out]).code, 0);
    let config = PathBuf::from(&out).join("config.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&config).expect("config")).expect("JSON");
    value.as_object_mut().expect("an object").remove("quantization_config");
    std::fs::write(&config, value.to_string()).expect("written");
    let outcome = run(&["generate", &out, "--prompt", "a"]);
    assert_eq!(outcome.code, 3);
    assert!(outcome.stderr.contains("config.json: quantization_config: got nothing"), "{}", outcome.stderr);
}
