//! The order of the house, read from manifests and `use` lines; ARCHITECTURE.md says why.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("workspace")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust sources below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()) {
        if entry.is_dir() {
            found.extend(sources(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    ["llm-model", "llm-infer", "llm-cli", "examples", "tests"].iter().flat_map(|krate| sources(&root().join(krate))).collect()
}

/// The names under `[dependencies]`.
fn dependencies(krate: &str) -> Vec<String> {
    let manifest = read(&root().join(krate).join("Cargo.toml"));
    let section = manifest.split("[dependencies]").nth(1).expect("dependencies");
    let section = section.split("\n[").next().expect("section");
    section.lines().filter_map(|line| line.split(['.', '=', ' ']).next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn nothing_points_upward() {
    assert!(!dependencies("llm-model").iter().any(|name| name.starts_with("llm-")));
    assert!(!dependencies("llm-infer").iter().any(|name| name == "llm-cli"));
    let cli = dependencies("llm-cli");
    assert!(!cli.iter().any(|name| name == "llm-model" || name == "burn"), "the command line does no tensor arithmetic");
    for name in ["clap", "indicatif", "axum", "anyhow", "rustyline"] {
        assert!(!dependencies("llm-infer").iter().any(|found| found == name), "{name} belongs into llm-cli");
    }
    for name in ["tokenizers", "safetensors", "minijinja", "tokio"] {
        assert!(!dependencies("llm-model").iter().any(|found| found == name), "{name} belongs into llm-infer");
    }
}

#[test]
fn operations_and_families_know_no_module_above_them() {
    let above = ["transformer", "block", "attention", "feed_forward", "embedding", "norm", "linear", "cache"];
    for folder in ["ops", "arch"] {
        for path in sources(&root().join("llm-model/src").join(folder)) {
            for line in read(&path).lines().filter(|line| line.trim_start().starts_with("use crate::")) {
                for module in above {
                    assert!(!line.contains(&format!("use crate::{module}")), "{}: {line}", path.display());
                }
                for name in ["Transformer", "TransformerBlock", "KvCache", "LayerCache"] {
                    assert!(!line.contains(name), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn backends_appear_only_in_the_operations() {
    for path in sources(&root().join("llm-model/src")) {
        if !path.starts_with(root().join("llm-model/src/ops")) {
            let text = read(&path);
            assert!(!text.contains("burn_flex") && !text.contains("burn_cubecl") && !text.contains("burn::backend"), "{}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_only_in_kernels_the_pool_and_the_mapping() {
    let ops = root().join("llm-model/src/ops");
    for path in all_sources() {
        let kernel = path.starts_with(ops.join("simd"))
            || path.starts_with(&ops) && path.ends_with("cpu.rs")
            || path == ops.join("threads.rs")
            || path == ops.join("memory.rs");
        let test = path.components().any(|part| part.as_os_str() == "tests");
        // A model is mapped from the packed cache, which is files and so no matter of the operations.
        let mapping = path == root().join("llm-infer/src/checkpoint/packed/map.rs");
        assert!(kernel || mapping || test || !read(&path).contains("(unsafe_code)"), "{}", path.display());
    }
}

#[test]
fn files_stay_short() {
    for path in all_sources() {
        let lines = read(&path).lines().count();
        assert!(lines <= 500, "{}: {lines} lines, split it", path.display());
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        assert!(!["utils.rs", "common.rs", "helpers.rs"].contains(&name.as_str()), "{}", path.display());
    }
}

#[test]
fn examples_stay_short() {
    for path in sources(&root().join("examples")) {
        assert!(read(&path).lines().count() <= 100, "{}", path.display());
    }
}
