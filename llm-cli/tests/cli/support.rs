//! Commands and models for the tests.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The program, with no colours, no files of the user's, and one thread so that tests can run beside each other.
pub fn llm(arguments: &[&str]) -> Command {
    let mut command = Command::from_std(plain(arguments));
    command.write_stdin("");
    command
}

/// The same for tests that talk with the process while it runs.
pub fn plain(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("llm"));
    command.args(arguments).env("NO_COLOR", "1").env_remove("LLM_MODELS").env("XDG_DATA_HOME", "/nonexistent").env("COLUMNS", "100");
    // Without these there is no cache, so that no test sees what another left.
    for variable in ["HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "LLM_CACHE", "LLM_CACHE_SIZE"] {
        command.env_remove(variable);
    }
    command
}

/// A committed checkpoint.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    path.canonicalize().expect("a fixture").to_string_lossy().into_owned()
}

/// A copy of a fixture that a test may damage.
pub struct Copy {
    folder: TempDir,
}

impl Copy {
    pub fn of(name: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        for entry in std::fs::read_dir(fixture(name)).expect("a fixture") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
        }
        Self { folder }
    }

    /// A model that speaks for a long time.
    pub fn endless() -> Self {
        let copy = Self::of("llama");
        copy.edit_config("max_position_embeddings", 100_000.into());
        copy
    }

    pub fn path(&self) -> String {
        self.folder.path().to_string_lossy().into_owned()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a NaN of the last weight.
    pub fn spoil_last_weight(&self) {
        let path = self.file("model.safetensors");
        let mut bytes = std::fs::read(&path).expect("weights");
        let last = bytes.len() - 4;
        bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&path, bytes).expect("written");
    }

    pub fn edit_config(&self, key: &str, value: Value) {
        let path = self.file("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).expect("config")).expect("json");
        config[key] = value;
        std::fs::write(path, config.to_string()).expect("written");
    }
}

/// What a command printed and how it ended.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Outcome {
    outcome(&mut llm(arguments))
}

/// Runs the program with `stdin`.
pub fn run_with(arguments: &[&str], stdin: &[u8]) -> Outcome {
    outcome(llm(arguments).write_stdin(stdin))
}

/// What `command` does.
pub fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Outcome { code: output.status.code().expect("no signal"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Outcome {
    /// The only line of JSON on stdout.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).expect("JSON")
    }
}
