//! `llm eval`: its figures, and what it refuses before it loads a model.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Outcome, fixture, plain, run, run_with};

const STORY: &str = "Once upon a time there was a little fox. She found a red ball and gave it to a frog. The end.\n";

/// A folder with the story in `story.txt` and other text that tests need.
struct Texts(TempDir);

impl Texts {
    fn new() -> Self {
        let texts = Self(TempDir::new().expect("a temporary folder"));
        texts.write("story.txt", STORY.as_bytes());
        texts
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("written");
        path.to_string_lossy().into_owned()
    }

    fn story(&self) -> String {
        self.path("story.txt")
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// Output without the name of the folder, every digit a `#`: figures differ in the last places between processors.
    fn shape(&self, text: &str) -> String {
        let text = text.replace(&*self.0.path().to_string_lossy(), "TEXTS");
        text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect()
    }

    fn in_folder(&self, outcome: &Outcome) -> String {
        outcome.stderr.replace(&*self.0.path().to_string_lossy(), "TEXTS")
    }
}

fn eval(model: &str, text: &str, more: &[&str]) -> Outcome {
    run(&[&["eval", model, "--text", text, "--device", "cpu"], more].concat())
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn the_json_object_is_that_of_the_contract() {
    let texts = Texts::new();
    let found = eval("builtin", &texts.story(), &["--json", "--context", "16"]).json();
    let keys: Vec<&String> = found.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["model", "device", "perplexity", "tokens", "context", "stride", "bits_per_weight", "seconds"]);
    let ids = run_with(&["tokenize", "--json", "--prompt", STORY], b"").json()["tokens"].as_array().expect("ids").len();
    // The begin token is read only.
    assert_eq!(found["tokens"], ids - 1);
    assert_eq!((&found["context"], &found["stride"]), (&16.into(), &8.into()));
    assert!((number(&found["bits_per_weight"]) - 16.0).abs() < 0.1);
    let perplexity = number(&found["perplexity"]);
    assert!(perplexity > 1.0 && perplexity < 100.0, "{perplexity}");
    let compared = eval("builtin", &texts.story(), &["--json", "--compare", "builtin", "--dtype", "f32"]).json();
    let keys: Vec<&String> = compared["compare"].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["model", "perplexity", "kl_mean", "kl_p99", "top1_agreement", "perplexity_ratio"]);
    assert_eq!((&compared["context"], &compared["stride"]), (&512.into(), &256.into()));
}

#[test]
fn keys_and_values_of_8_bits_cost_little() {
    let texts = Texts::new();
    let perplexity = |kv: &str| number(&eval("builtin", &texts.story(), &["--json", "--kv", kv]).json()["perplexity"]);
    let ratio = perplexity("int8") / perplexity("f16");
    assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
}

#[test]
fn people_read_the_same_figures() {
    let texts = Texts::new();
    let shown = eval("builtin", &texts.story(), &["--context", "16", "--stride", "16"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert_snapshot!(texts.shape(&shown.stdout), @r"
    builtin, ##.# bits per weight, on cpu
    TEXTS/story.txt, ## tokens scored in windows of ##, ## apart

    perplexity               ###.####
    ");
    let found = eval("builtin", &texts.story(), &["--context", "16", "--stride", "16", "--json"]).json();
    assert!(shown.stdout.contains(&format!("{:.4}", number(&found["perplexity"]))), "{}", shown.stdout);
    let shown = eval("builtin", &texts.story(), &["--compare", "builtin"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
    assert_snapshot!(texts.shape(&shown.stdout), @r"
    builtin, ##.# bits per weight, on cpu
    TEXTS/story.txt, ## tokens scored in windows of ###, ### apart

    perplexity                ##.####
    of the reference          ##.####  builtin
    ratio                    #.######
    KL, mean                 #.######  nats, reference || model
    KL, ##th percentile      #.######
    top-# agreement          ###.## %
    ");
}

#[test]
fn quantizing_concerns_the_model_and_not_its_reference() {
    let texts = Texts::new();
    let itself = eval("builtin", &texts.story(), &["--compare", "builtin", "--json"]).json();
    assert!(number(&itself["compare"]["kl_mean"]) < 1e-9 && itself["compare"]["top1_agreement"] == 1.0, "{itself}");
    let packed = eval("builtin", &texts.story(), &["--compare", "builtin", "--quantize", "int4", "--json"]).json();
    assert!(number(&packed["bits_per_weight"]) < 8.0, "{packed}");
    let compare = &packed["compare"];
    assert_eq!(compare["perplexity"], itself["perplexity"]);
    assert!(number(&compare["kl_mean"]) > 1e-4 && number(&compare["kl_p99"]) > number(&compare["kl_mean"]), "{packed}");
    let ratio = number(&packed["perplexity"]) / number(&itself["perplexity"]);
    assert!((number(&compare["perplexity_ratio"]) / ratio - 1.0).abs() < 1e-9, "{packed}");
}

#[test]
fn text_comes_from_stdin_as_it_is() {
    let texts = Texts::new();
    let figures = |found: Value| (found["perplexity"].clone(), found["tokens"].clone());
    let piped = run_with(&["eval", "--text", "-", "--device", "cpu", "--json"], STORY.as_bytes()).json();
    assert_eq!(figures(piped), figures(eval("builtin", &texts.story(), &["--json"]).json()));
    let shown = run_with(&["eval", "--text", "-", "--device", "cpu"], STORY.as_bytes());
    assert!(shown.stdout.contains("\nstdin, "), "{}", shown.stdout);
}

#[test]
fn a_text_that_cannot_be_read_is_named() {
    let texts = Texts::new();
    let missing = eval("builtin", &texts.path("nothing.txt"), &[]);
    assert_eq!((missing.code, missing.stdout.as_str()), (4, ""));
    assert_snapshot!(texts.in_folder(&missing), @"error: TEXTS/nothing.txt: No such file or directory (os error 2)");
    #[cfg(unix)]
    {
        let folder = eval("builtin", &texts.path(""), &[]);
        assert_eq!(folder.code, 4);
        assert_snapshot!(texts.in_folder(&folder), @"error: TEXTS/: Is a directory (os error 21)");
        let endless = eval("builtin", "/dev/zero", &[]);
        assert_eq!(endless.code, 2);
        assert_snapshot!(endless.stderr, @r"
        error: /dev/zero: size: got more than 16777216 bytes, expected at most that many

        hint: give a part of the text
        ");
    }
    let latin = eval("builtin", &texts.write("latin.txt", b"caf\xe9"), &[]);
    assert_eq!(latin.code, 2);
    assert_snapshot!(texts.in_folder(&latin), @r"
    error: TEXTS/latin.txt: byte 3: got `0xe9`, expected UTF-8

    hint: convert the text first, as with `iconv -f latin1 -t utf-8`
    ");
    let none = run(&["eval", "builtin"]);
    assert_eq!(none.code, 2);
    assert_snapshot!(none.stderr, @r"
    error: --text: got nothing, expected it here

    hint: `llm eval --help` lists them all
    ");
}

#[test]
fn a_text_without_a_token_to_score_is_refused() {
    let texts = Texts::new();
    let empty = eval("builtin", &texts.write("empty.txt", b""), &[]);
    assert_eq!(empty.code, 2);
    assert_snapshot!(texts.in_folder(&empty), @"error: TEXTS/empty.txt: text: got nothing, expected at least 2 tokens");
    // Without a begin token the first token of the text is read only.
    let letter = texts.write("letter.txt", b"a");
    let alone = eval(&fixture("qwen3"), &letter, &[]);
    assert_eq!(alone.code, 2);
    assert!(alone.stderr.contains("got 1 token, expected at least 2"), "{}", alone.stderr);
    assert_eq!(eval("builtin", &letter, &["--json"]).json()["tokens"], 1);
    let stdin = run_with(&["eval", "--text", "-"], b"");
    assert_eq!(stdin.code, 2);
    assert!(stdin.stderr.starts_with("error: stdin: text: got "), "{}", stdin.stderr);
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let texts = Texts::new();
    let refused = |more: &[&str]| {
        let outcome = eval("builtin", &texts.story(), more);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{more:?}");
        outcome.stderr
    };
    assert_snapshot!(refused(&["--stride", "0"]), @"error: --stride: got `0`, expected a whole number from 1 to 16777216");
    assert_snapshot!(refused(&["--context", "64", "--stride", "65"]), @r"
    error: --stride: got 65, expected 1 to the context of 64

    hint: a longer stride would leave tokens out
    ");
    assert_snapshot!(refused(&["--context", "1"]), @r"
    error: --context: got 1, expected at least 2 tokens

    hint: a token is predicted from another
    ");
    assert!(refused(&["--stride", "513"]).contains("expected 1 to the context of 512"));
    assert!(refused(&["--context", "64", "--ctx", "32"]).contains("twice"));
}

#[test]
fn a_context_beyond_the_model_warns() {
    let texts = Texts::new();
    let outcome = eval("builtin", &texts.story(), &["--context", "600", "--json"]);
    assert_snapshot!(outcome.stderr, @"warning: a context of 600 tokens is beyond the 512 that the model is made for");
    assert_eq!(outcome.json()["context"], 600);
}

#[test]
fn a_reference_of_another_vocabulary_is_refused() {
    let texts = Texts::new();
    let (builtin, llama) = ("builtin", fixture("llama"));
    let other = eval(builtin, &texts.story(), &["--compare", &llama]);
    assert_eq!((other.code, other.stdout.as_str()), (2, ""));
    assert_snapshot!(other.stderr, @r"
    error: --compare: got a vocabulary of 320, expected 1536 as in the model

    hint: distributions can be compared over one vocabulary only: give a variant of the same model
    ");
    let spelled = eval(&llama, &texts.story(), &["--compare", &fixture("qwen3")]);
    assert_eq!((spelled.code, spelled.stdout.as_str()), (2, ""));
    assert_snapshot!(spelled.stderr, @r"
    error: --compare: got another tokenization of the text from token 0 on, expected that of the model

    hint: distributions can be compared over one vocabulary only: give a variant of the same model
    ");
    let missing = eval(builtin, &texts.story(), &["--compare", "biultin"]);
    assert_eq!(missing.code, 4);
    assert!(missing.stderr.contains("did you mean `builtin`?"), "{}", missing.stderr);
}

#[test]
fn a_pipe_can_be_read_like_a_file() {
    if !Path::new("/dev/stdin").exists() {
        return;
    }
    let mut child = plain(&["eval", "--text", "/dev/stdin", "--device", "cpu", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("runs");
    child.stdin.take().expect("piped").write_all(STORY.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success() && !output.stdout.is_empty());
}
