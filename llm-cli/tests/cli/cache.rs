//! The packed cache, and `llm models cache`.

use std::path::PathBuf;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Copy, Outcome, outcome, plain};

/// A cache of its own.
struct Cache {
    folder: TempDir,
}

impl Cache {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("packed")
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = plain(arguments);
        command.env("LLM_CACHE", self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(&mut assert_cmd::Command::from_std(self.command(arguments)))
    }

    fn generate(&self, model: &str, more: &[&str]) -> Outcome {
        let base = ["generate", model, "--prompt", "The cat", "--max-tokens", "8", "--device", "cpu", "--temperature", "0", "--json", "-v"];
        self.run(&[&base, more].concat())
    }

    /// What `models cache` prints, with the name of the folder left out, and minutes for which the machine was busy.
    fn shown(&self, more: &[&str]) -> String {
        let done = self.run(&[&["models", "cache"], more].concat());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        done.stdout.replace(&self.path().to_string_lossy().into_owned(), "CACHE").replace("1 minute ago", "just now")
    }
}

/// The fixture `llama` as a model that is called `little`.
fn little() -> (TempDir, String) {
    let (copy, folder) = (Copy::of("llama"), TempDir::new().expect("a temporary folder"));
    let path = folder.path().join("little");
    std::fs::create_dir(&path).expect("made");
    for entry in std::fs::read_dir(copy.path()).expect("a copy") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), path.join(entry.file_name())).expect("copied");
    }
    (folder, path.to_string_lossy().into_owned())
}

#[test]
fn the_second_start_maps_what_the_first_wrote() {
    let (cache, (_folder, model)) = (Cache::new(), little());
    let first = cache.generate(&model, &["--quantize", "int4"]);
    let second = cache.generate(&model, &["--quantize", "int4"]);
    let without = cache.generate(&model, &["--quantize", "int4", "--no-cache"]);
    assert!(first.stderr.contains("packed weights written to cache "), "{}", first.stderr);
    assert!(second.stderr.contains("packed weights mapped from cache "), "{}", second.stderr);
    assert!(!without.stderr.contains(" cache "), "{}", without.stderr);
    let tokens = without.json()["tokens"].clone();
    assert!(tokens.as_array().is_some_and(|tokens| !tokens.is_empty()));
    assert_eq!((&first.json()["tokens"], &second.json()["tokens"]), (&tokens, &tokens));
    assert_eq!(first.json()["memory"]["weights_bytes"], second.json()["memory"]["weights_bytes"]);
}

#[test]
fn models_cache_lists_and_clears() {
    let (cache, (_folder, model)) = (Cache::new(), little());
    assert_snapshot!(cache.shown(&[]), @"CACHE: 0 files, 0 B of at most 64.0 GiB");
    assert_eq!(cache.generate(&model, &["--quantize", "int4"]).code, 0);
    assert_snapshot!(cache.shown(&[]), @r"
    model   format                size  last used
    little  int4              31.1 KiB  just now

    CACHE: 1 file, 31.1 KiB of at most 64.0 GiB
    ");
    let found: Value = serde_json::from_str(&cache.shown(&["--json"])).expect("JSON");
    let keys: Vec<_> = found.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["folder", "limit_bytes", "cleared", "bytes", "entries"]);
    let entry = found["entries"][0].as_object().expect("an entry");
    assert_eq!(entry.keys().cloned().collect::<Vec<_>>(), ["file", "model", "format", "bytes", "last_used"]);
    assert_eq!((&entry["model"], &entry["format"], &entry["bytes"]), (&"little".into(), &"int4".into(), &found["bytes"]));
    assert_snapshot!(cache.shown(&["--clear"]), @r"
    model   format                size  last used
    little  int4              31.1 KiB  just now

    CACHE: 1 file, 31.1 KiB removed
    ");
    assert_snapshot!(cache.shown(&["--clear"]), @"CACHE: 0 files, 0 B removed");
    assert_eq!(std::fs::read_dir(cache.path()).expect("the folder stays").count(), 0);
}

#[test]
fn a_file_that_is_none_of_ours_is_listed_and_not_believed() {
    let cache = Cache::new();
    std::fs::create_dir(cache.path()).expect("made");
    std::fs::write(cache.path().join(format!("{:032x}.packed", 7)), "damaged").expect("written");
    assert_snapshot!(cache.shown(&[]), @r"
    model  format                size  last used
    -      -                      7 B  just now

    CACHE: 1 file, 7 B of at most 64.0 GiB
    ");
}

#[test]
fn f60_a_cache_folder_that_is_a_file_costs_a_warning() {
    let (cache, (_folder, model)) = (Cache::new(), little());
    std::fs::write(cache.path(), "a file").expect("written");
    let done = cache.generate(&model, &["--quantize", "int8"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("warning: packed weights are not cached: "), "{}", done.stderr);
    assert!(done.stderr.contains("(`--no-cache` does without)"), "{}", done.stderr);
    assert!(!cache.generate(&model, &["--quantize", "int8", "--no-cache"]).stderr.contains("warning"));
    let listed = cache.run(&["models", "cache"]);
    assert_eq!(listed.code, 4);
    assert_snapshot!(listed.stderr.replace(&cache.path().to_string_lossy().into_owned(), "CACHE"), @"error: CACHE: Not a directory (os error 20)");
}

#[test]
fn f52_a_size_that_is_none_is_refused() {
    let cache = Cache::new();
    let done = outcome(assert_cmd::Command::from_std(cache.command(&["models", "cache"])).env("LLM_CACHE_SIZE", "much"));
    assert_eq!(done.code, 2);
    assert_snapshot!(done.stderr, @"error: LLM_CACHE_SIZE: got `much`, expected a number of bytes, as 5000000, 5M or 4.8MiB");
    let done = outcome(assert_cmd::Command::from_std(cache.command(&["models", "cache"])).env("LLM_CACHE_SIZE", "2GiB"));
    assert!(done.stdout.ends_with("of at most 2.0 GiB\n"), "{}", done.stdout);
    let nowhere = crate::support::run(&["models", "cache"]);
    assert_eq!(nowhere.code, 4);
    assert_snapshot!(nowhere.stderr, @r"
    error: cache: there is no folder for it

    hint: name one in `LLM_CACHE`
    ");
}

/// A model of some 34 million weights.
#[cfg(target_os = "linux")]
fn larger() -> Copy {
    let (hidden, inner, layers) = (512, 2048, 8);
    let copy = Copy::endless();
    let sizes = [("hidden_size", hidden), ("intermediate_size", inner), ("num_hidden_layers", layers), ("num_key_value_heads", 4)];
    for (key, size) in sizes {
        copy.edit_config(key, size.into());
    }
    let mut shapes = vec![("model.embed_tokens.weight".to_owned(), [320, hidden]), ("lm_head.weight".to_owned(), [320, hidden])];
    let parts = [("self_attn.q_proj", [hidden; 2]), ("self_attn.k_proj", [hidden; 2]), ("self_attn.v_proj", [hidden; 2])];
    let more = [("self_attn.o_proj", [hidden; 2]), ("mlp.gate_proj", [inner, hidden]), ("mlp.up_proj", [inner, hidden])];
    for layer in 0..layers {
        for (part, shape) in parts.into_iter().chain(more).chain([("mlp.down_proj", [hidden, inner])]) {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    let norms =
        (0..layers).flat_map(|layer| ["input", "post_attention"].map(|name| format!("model.layers.{layer}.{name}_layernorm.weight")));
    let norms = norms.chain(["model.norm.weight".to_owned()]).map(|name| (name, vec![hidden]));
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes.into_iter().map(|(name, shape)| (name, shape.to_vec())).chain(norms) {
        let begin = end;
        end += 2 * shape.iter().product::<usize>();
        header.insert(name, serde_json::json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    // Numbers of both signs around 0.01.
    bytes.extend((0..end / 2).flat_map(|i| (0x3c00 | ((i * 40_503) >> 3 & 0x807f) as u16).to_le_bytes()));
    std::fs::write(copy.file("model.safetensors"), bytes).expect("written");
    copy
}

#[test]
#[cfg(target_os = "linux")]
fn mapped_weights_are_no_anonymous_memory() {
    use std::io::Read;
    let (cache, model) = (Cache::new(), larger());
    // What the process holds of its own while it generates, in KiB.
    let anonymous = |more: &[&str]| {
        let path = model.path();
        let base =
            ["generate", &path, "--prompt", "The cat", "--ignore-eos", "--max-tokens", "5000", "--device", "cpu", "--quantize", "int8"];
        let mut command = cache.command(&[&base, more].concat());
        let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().expect("runs");
        let read = child.stdout.as_mut().expect("piped").read(&mut [0]).expect("text");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("a status");
        child.kill().expect("killed");
        child.wait().expect("ended");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a count");
        assert_eq!(read, 1);
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    let packed = cache.generate(&model.path(), &["--quantize", "int8"]).json()["memory"]["weights_bytes"].as_u64().expect("bytes") / 1024;
    let (held, mapped) = (anonymous(&["--no-cache"]), anonymous(&[]));
    assert!(held > packed && mapped + packed * 3 / 4 < held, "packed {packed}, held {held}, mapped {mapped} KiB");
}
