//! Help and version: the commands that there are.

use insta::assert_snapshot;

use crate::support::run;

#[test]
fn help_lists_the_commands() {
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    assert_snapshot!(help.stdout, @r"
    Run large language models on this machine

    Usage: llm [OPTIONS] <COMMAND>

    Commands:
      chat      Talk with a model; with stdin not a terminal, answer what it says and exit
      generate  Continue one prompt, or a file of them
      inspect   Show what a model is made of
      devices   Show the devices of this machine
      tokenize  Turn text into tokens, or tokens into text
      bench     Measure prefill and decode speed
      eval      Measure perplexity, and how far a model is from another
      quantize  Write a model with weights of 8 or 4 bits
      convert   Write a model in another format
      models    Show what is kept of models
      train     Train a small model from nothing

    Options:
          --device <NAME>  auto, cpu, ndarray, wgpu, vulkan, metal or cuda; wgpu:1 is the second card
                           [default: auto]
          --threads <N>    CPU threads [default: one for each core]
          --json           Print JSON on stdout
      -v, --verbose        Show settings, and which kernels ran where
          --quiet          No notices and no progress
      -h, --help           Print help
      -V, --version        Print version

    Exit codes: 0 ok, 2 usage, 3 bad model, 4 I/O, 5 resources or device, 70 bug, 130 interrupted.
    ");
}

#[test]
fn without_a_command_help_goes_to_stderr() {
    let outcome = run(&[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("Usage: llm"), "{}", outcome.stderr);
}

#[test]
fn every_command_has_help_and_the_common_flags() {
    for command in ["chat", "run", "generate", "inspect", "devices", "tokenize", "bench", "eval", "quantize", "convert", "models", "train"]
    {
        let help = run(&[command, "--help"]);
        assert_eq!(help.code, 0, "{command}");
        for flag in ["--device", "--threads", "--json", "--verbose", "--quiet"] {
            assert!(help.stdout.contains(flag), "{command} {flag}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_workspace() {
    assert_eq!(run(&["--version"]).stdout, format!("llm {}\n", env!("CARGO_PKG_VERSION")));
}
