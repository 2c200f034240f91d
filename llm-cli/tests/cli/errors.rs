//! Wrong flags and wrong text: exit code 2, the reason, and what helps.

use insta::assert_snapshot;

use crate::support::{fixture, run, run_with};

#[test]
fn f52_unknown_flags_and_commands_name_the_nearest() {
    let misspelt = run(&["generate", "--temprature", "1"]);
    assert_eq!(misspelt.code, 2);
    assert!(misspelt.stderr.contains("'--temperature'") && misspelt.stdout.is_empty(), "{}", misspelt.stderr);
    let misspelt = run(&["generat"]);
    assert_eq!(misspelt.code, 2);
    assert!(misspelt.stderr.contains("'generate'"), "{}", misspelt.stderr);
}

#[test]
fn f52_bad_numbers_are_refused() {
    let refused: [&[&str]; 9] = [
        &["generate", "--max-tokens", "many"],
        &["generate", "--max-tokens", "0"],
        &["generate", "--max-tokens", "-1"],
        &["generate", "--seed", "-1"],
        &["generate", "--logit-bias", "5"],
        &["generate", "--threads", "0"],
        &["bench", "--prefill", "1,x"],
        &["generate", "--kv", "f8"],
        &["devices", "--device", "toaster"],
    ];
    for arguments in refused {
        let outcome = run(arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stderr.starts_with("error: ") && outcome.stderr.contains(arguments[1]), "{}", outcome.stderr);
    }
}

#[test]
fn f52_a_missing_model_names_the_nearest() {
    let misspelt = fixture("llama").replace("fixtures/llama", "fixtures/lama");
    let outcome = run(&["inspect", &misspelt]);
    assert_eq!(outcome.code, 4);
    assert!(outcome.stderr.starts_with(&format!("error: {misspelt}: no such file, folder or model\n\nhint: did you mean `")));
    assert!(outcome.stderr.contains("fixtures/llama`"), "{}", outcome.stderr);
    let unknown = run(&["inspect", "nothing-like-it"]);
    assert_eq!(unknown.code, 4);
    assert!(unknown.stderr.contains("hint: give a folder as Hugging Face lays it out"), "{}", unknown.stderr);
}

#[test]
fn f53_values_out_of_range_are_refused() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--temperature", "nan"]);
    assert_eq!(outcome.code, 2);
    assert_snapshot!(outcome.stderr, @"error: --temperature: got NaN, expected a finite number, at least 0");
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--top-k", "-1"]);
    assert_eq!(outcome.code, 2);
    assert_snapshot!(outcome.stderr, @r"
    error: --top-k: got -1, expected a whole number, at least 0

    hint: 0 keeps all tokens
    ");
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--ctx", "0"]);
    assert_eq!(outcome.code, 2);
    assert_snapshot!(outcome.stderr, @r"
    error: invalid value '0' for '--ctx <N>': expected a whole number, at least 1

    For more information, try '--help'.
    ");
}

#[test]
fn f56_text_that_is_none_is_refused() {
    for command in ["generate", "chat", "tokenize"] {
        let outcome = run_with(&[command, &fixture("llama")], b"caf\xe9 au lait");
        assert_eq!(outcome.code, 2, "{command}");
        assert_eq!(
            outcome.stderr,
            "error: stdin: byte 3: got `0xe9`, expected UTF-8\n\nhint: convert the text first, as with `iconv -f latin1 -t utf-8`\n"
        );
        let outcome = run_with(&[command, &fixture("llama")], b"");
        assert_eq!(outcome.code, 2, "{command}");
        assert!(outcome.stderr.starts_with("error: stdin: got no text, expected "), "{}", outcome.stderr);
    }
}

#[test]
fn flags_that_need_each_other_say_so() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--logprobs", "3"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("--json"), "{}", outcome.stderr);
    assert_eq!(run(&["generate", "--system", "x", "--prompt", "a"]).code, 2);
    assert_eq!(run(&["generate", "--input-jsonl", "x"]).code, 2);
    assert_eq!(run(&["generate", "a", "--model", "b", "--prompt", "a"]).code, 2);
    assert_eq!(run(&["devices", "--quiet", "-v"]).code, 2);
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_is_not_built_in_names_the_command() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--device", "cuda"]);
    assert_eq!(outcome.code, 5);
    assert_snapshot!(outcome.stderr, @r"
    error: device cuda: this program was built without cuda

    hint: build it with `cargo run --release --features cuda -- <command> --device cuda`
    ");
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_both_counts() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "The cat sat on the mat", "--ctx", "3"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("fewer than the context of 3 tokens"), "{}", outcome.stderr);
}

#[test]
fn chat_without_a_template_points_to_generate() {
    let outcome = run_with(&["chat", &fixture("mistral-window")], b"hello\n");
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("chat template") && outcome.stderr.contains("llm generate"), "{}", outcome.stderr);
}
