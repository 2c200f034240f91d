//! `llm convert`: what it prints, writes, and refuses.

use insta::assert_snapshot;

use crate::support::{fixture, run};

#[test]
fn a_folder_becomes_a_file_and_a_folder_again() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (file, back, packed) = (place("model.gguf"), place("back"), place("packed"));
    let done = run(&["convert", &fixture("llama"), &file]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_snapshot!(done.stdout.replace(&file, "OUT"), @"OUT: gguf, 152.6 KiB -> 160.3 KiB, 33.62 bits a weight; tensors: 21 f32");
    let report = run(&["convert", &file, &back, "--json"]).json();
    assert_eq!((&report["format"], &report["tensors"]["f32"]), (&"hf".into(), &21.into()));
    let done = run(&["convert", &fixture("llama"), &file, "--dtype", "q4_0", "--force"]);
    assert_snapshot!(done.stdout.replace(&file, "OUT"), @"OUT: gguf, 152.6 KiB -> 39.8 KiB, 8.34 bits a weight; tensors: 5 f32, 14 q4_0, 2 q8_0");
    let done = run(&["convert", &file, &packed]);
    assert_snapshot!(done.stdout.replace(&packed, "OUT"), @"OUT: packed, 32.0 KiB -> 37.7 KiB, 7.90 bits a weight; tensors: 5 f32, 14 int4, 2 int8");
    let generate = |model: &str| {
        let arguments = ["--prompt", "The cat", "--max-tokens", "8", "--device", "cpu", "--json", "--temperature", "0"];
        run(&[&["generate", model][..], &arguments].concat()).json()["tokens"].clone()
    };
    assert_eq!(generate(&back), generate(&fixture("llama")));
    assert_eq!(generate(&packed), generate(&file));
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["back", "model.gguf", "packed"]);
}

#[test]
fn what_cannot_be_written_is_refused_with_a_way_out() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let refused = |arguments: &[&str], code: i32| {
        let outcome = run(&[&["convert"][..], arguments].concat());
        assert_eq!(outcome.code, code, "{arguments:?}: {}", outcome.stderr);
        outcome.stderr.replace(&place(""), "DIR/").replace(fixture("").trim_end_matches('/'), "FIXTURES")
    };
    let llama = fixture("llama");
    assert_snapshot!(refused(&[&llama, &place("x.onnx"), "--to", "onnx"], 2), @r"
    error: --to: got `onnx`, which Burn cannot write for such a model, expected hf, gguf or packed

    hint: the exporter of burn-onnx 0.22 lacks the transpositions, masks and rotations of attention; write a folder with `--to hf` and export that one with Hugging Face's optimum
    ");
    assert_snapshot!(refused(&[&llama, &place("x"), "--to", "packed"], 2), @r"
    error: --to: got `packed` for a model in floats, expected a model that is quantized, or `--to hf`

    hint: `llm quantize` rounds weights to few bits
    ");
    assert_snapshot!(refused(&[&llama, &place("x"), "--dtype", "q8_0"], 2), @r"
    error: --dtype: got blocks of ggml for a folder, expected f32, f16 or bf16

    hint: `--to gguf` writes q8_0 and q4_0; `llm quantize` makes a folder of packed weights
    ");
    assert_snapshot!(refused(&[&fixture("llama-dynamic"), &place("x.gguf")], 3), @r#"
    error: FIXTURES/llama-dynamic: rope: got {"theta":10000.0,"dim":8,"scaling":{"dynamic":{"factor":8.0,"original_max_position_embeddings":24}}}, expected {"theta":10000.0,"dim":8,"scaling":"default"}, which is all that a GGUF file of `llama` says

    hint: this model cannot be written as GGUF
    "#);
    let file = place("q8.gguf");
    assert_eq!(run(&["convert", &llama, &file, "--dtype", "q8_0"]).code, 0);
    assert_snapshot!(refused(&[&llama, &file], 2), @r"
    error: OUT: got `DIR/q8.gguf`, which is there already, expected the name of a new file

    hint: `--force` replaces it once the new one is complete
    ");
    assert_snapshot!(refused(&[&file, &file, "--force", "--dtype", "f16"], 2), @r"
    error: OUT: got `DIR/q8.gguf`, which is the model, expected the name of a new file

    hint: a model is never converted in place
    ");
    assert_snapshot!(refused(&[&file, &place("q4.gguf"), "--dtype", "q4_0"], 3), @r"
    error: DIR/q8.gguf: tensor `model.layers.0.mlp.down_proj.weight`: got int8, expected floats, as `q4_0` would round its numbers a second time

    hint: convert the model that it was made from, keep its bits with `--dtype auto`, or add `--allow-requantize`
    ");
    assert_snapshot!(refused(&[&file, &place("floats"), "--to", "hf"], 3), @r"
    error: DIR/q8.gguf: tensor `lm_head.weight`: got int8, expected floats, as a Hugging Face folder has them

    hint: `--to packed` keeps the bits; `--dtype f16` or `--dtype f32` writes the floats that it means
    ");
    assert_eq!(run(&["convert", &file, &place("q4.gguf"), "--dtype", "q4_0", "--allow-requantize"]).code, 0);
    assert_eq!(run(&["convert", &file, &place("floats"), "--to", "hf", "--dtype", "f32"]).code, 0);
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").map(|entry| entry.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["floats", "q4.gguf", "q8.gguf"]);
}
