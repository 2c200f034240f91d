//! Models that are wrong, as the user meets them; the library's tests know the finer cases.

use crate::support::{Copy, Outcome, run};

fn generate(path: &str, more: &[&str]) -> Outcome {
    let base = ["generate", path, "--prompt", "The cat", "--max-tokens", "2", "--device", "cpu"];
    run(&[&base, more].concat())
}

fn refused(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, code, "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty() && outcome.stderr.starts_with("error: "), "{}", outcome.stderr);
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
    }
}

#[test]
fn f30_an_unknown_architecture_lists_the_known() {
    let copy = Copy::of("llama");
    copy.edit_config("model_type", "martian".into());
    for command in ["generate", "inspect"] {
        let outcome = if command == "generate" { generate(&copy.path(), &[]) } else { run(&["inspect", &copy.path()]) };
        refused(&outcome, 3, &["config.json: model_type", "martian", "llama", "qwen3"]);
    }
}

#[test]
fn f31_missing_tensors_are_named_and_counted() {
    let copy = Copy::of("llama");
    copy.edit_config("num_hidden_layers", 4.into());
    refused(&generate(&copy.path(), &[]), 3, &["18 missing tensors: ", "model.layers.2.", "and 8 more"]);
}

#[test]
fn f32_extra_tensors_warn_or_refuse() {
    let copy = Copy::of("llama");
    copy.edit_config("num_hidden_layers", 1.into());
    let outcome = generate(&copy.path(), &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("warning: 9 tensors that the model has no place for"), "{}", outcome.stderr);
    refused(&generate(&copy.path(), &["--strict"]), 3, &["9 unexpected tensors: "]);
}

#[test]
fn names_in_files_do_not_command_the_terminal() {
    let copy = Copy::of("llama");
    copy.edit_config("model_type", "\x1b[2J\nerror: other".into());
    let outcome = generate(&copy.path(), &[]);
    refused(&outcome, 3, &[r"\u{1b}[2J\nerror: other"]);
    assert!(!outcome.stderr.contains('\x1b'));
    copy.edit_config("model_type", "x".repeat(100_000).into());
    assert!(generate(&copy.path(), &[]).stderr.len() < 3_000);
}

#[test]
fn f33_inspect_check_names_the_weight_that_is_no_number() {
    let copy = Copy::of("llama");
    copy.spoil_last_weight();
    assert_eq!(run(&["inspect", &copy.path()]).code, 0);
    refused(&run(&["inspect", &copy.path(), "--check"]), 3, &["NaN", "model.safetensors: "]);
}

#[test]
#[cfg(unix)]
fn f34_what_is_no_file_does_not_hang() {
    let copy = Copy::of("llama");
    let weights = copy.file("model.safetensors");
    std::fs::remove_file(&weights).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", &weights).expect("linked");
    refused(&generate(&copy.path(), &[]), 3, &["a pipe or device"]);
    std::fs::remove_file(&weights).expect("removed");
    std::fs::create_dir(&weights).expect("made");
    refused(&generate(&copy.path(), &[]), 3, &["a directory"]);
    refused(&generate("/dev/zero", &[]), 3, &["a pipe or device"]);
}

#[test]
fn f37_a_missing_tokenizer_is_named() {
    let copy = Copy::of("llama");
    std::fs::remove_file(copy.file("tokenizer.json")).expect("removed");
    refused(&generate(&copy.path(), &[]), 3, &["tokenizer.json"]);
    assert!(run(&["inspect", &copy.path()]).stdout.contains("unusable: "));
}

#[test]
fn a_name_in_the_models_folder_is_found() {
    let copy = Copy::of("llama");
    let folder = std::path::PathBuf::from(copy.path());
    let name = folder.file_name().expect("a name").to_str().expect("UTF-8");
    let output = crate::support::plain(&["inspect", name]).env("LLM_MODELS", folder.parent().expect("a parent")).output().expect("runs");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("llama, "));
}
