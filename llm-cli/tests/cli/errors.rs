//! Wrong flags and wrong text: exit code 2, the reason, and what helps.

use insta::assert_snapshot;

#[cfg(target_os = "linux")]
use crate::support::plain;
use crate::support::{fixture, run, run_with};

#[test]
fn f52_unknown_flags_and_commands_name_the_nearest() {
    let misspelt = run(&["generate", "--temprature", "1"]);
    assert_eq!(misspelt.code, 2);
    assert_snapshot!(misspelt.stderr, @r"
    error: --temprature: got an unknown flag, expected a known one

    hint: did you mean `--temperature`?
    ");
    assert!(misspelt.stdout.is_empty());
    let misspelt = run(&["generat"]);
    assert_eq!(misspelt.code, 2);
    assert_snapshot!(misspelt.stderr, @r"
    error: command: got `generat`, expected chat, generate, inspect, devices, tokenize, bench, eval, quantize, convert, models, train

    hint: did you mean `generate`?
    ");
}

#[test]
fn f52_an_unknown_device_names_the_nearest() {
    let outcome = run(&["devices", "--device", "gpu"]);
    assert_eq!(outcome.code, 2);
    assert_snapshot!(outcome.stderr, @r"
    error: --device: got `gpu`, expected auto, cpu, flex, ndarray, wgpu[:N], vulkan[:N], metal[:N] or cuda[:N]

    hint: did you mean `cpu` or `wgpu`?
    ");
}

#[test]
fn f52_bad_numbers_are_refused() {
    let refused: [&[&str]; 12] = [
        &["generate", "--max-tokens", "many"],
        &["generate", "--max-tokens", "0"],
        &["generate", "--max-tokens", "-1"],
        &["generate", "--seed", "-1"],
        &["generate", "--logit-bias", "5"],
        &["generate", "--threads", "0"],
        &["generate", "--threads", "20000"],
        &["bench", "--depth", "18446744073709551615"],
        &["train", "--ctx", "1", "nowhere"],
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
    assert_snapshot!(outcome.stderr, @"error: --ctx: got `0`, expected a whole number from 1 to 16777216");
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
#[cfg(target_os = "linux")]
fn a_full_disk_under_a_stream_is_named() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a full disk");
    let outcome = plain(&["tokenize", "--prompt", "a"]).stdout(full()).output().expect("runs");
    assert_eq!(outcome.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&outcome.stderr), "error: stdout: No space left on device (os error 28)\n");
    for (arguments, code) in [(["inspect", "nowhere"], 4), (["generat", "x"], 2)] {
        let outcome = plain(&arguments).stderr(full()).output().expect("runs");
        assert_eq!(outcome.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn values_may_begin_with_a_hyphen() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "-5", "--stop", "-x", "--max-tokens", "1", "--device", "cpu"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
}

#[test]
fn a_bias_of_no_token_is_refused_before_an_answer() {
    let outcome = run(&["generate", &fixture("llama"), "--prompt", "a", "--logit-bias", "99999=1"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.starts_with("error: --logit-bias: got 99999=1, expected ids below"), "{}", outcome.stderr);
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
    let chat = run_with(&["chat", &fixture("llama"), "--ctx", "3"], b"hello\n");
    assert_eq!(chat.code, 2);
    assert!(chat.stderr.contains("hint: ") && !chat.stderr.contains("/reset"), "{}", chat.stderr);
}

#[test]
fn chat_without_a_template_points_to_generate() {
    let outcome = run_with(&["chat", &fixture("mistral-window")], b"hello\n");
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("chat template") && outcome.stderr.contains("llm generate"), "{}", outcome.stderr);
}
