//! Rows of the fault list that need a whole model; `fNN` is the row.

use std::path::Path;

use crate::support::{cpu, fixture, greedy, load, run, shared};

/// Loads the file or folder at `model`, cuts `weights` short, and generates as before.
fn generates_after_a_cut(model: &Path, weights: &Path) {
    let loaded = load(model, &cpu());
    let before = run(&loaded, &[1, 5, 9], &greedy(16));
    std::fs::File::options().write(true).open(weights).expect("weights").set_len(64).expect("cut");
    let after = run(&loaded, &[1, 5, 9], &greedy(16));
    assert_eq!((before.tokens, before.logprobs), (after.tokens, after.logprobs), "{}", model.display());
    assert!(llm_infer::checkpoint::Checkpoint::open(model).is_err(), "{}: the cut is noticed by the next load", model.display());
}

#[test]
fn f36_a_file_that_is_cut_after_the_load_changes_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    for entry in std::fs::read_dir(fixture("llama")).expect("fixture") {
        let path = entry.expect("entry").path();
        std::fs::copy(&path, folder.path().join(path.file_name().expect("name"))).expect("copy");
    }
    generates_after_a_cut(folder.path(), &folder.path().join("model.safetensors"));
    for name in ["stories260K-f32.gguf", "stories260K.bin"] {
        let Some(path) = shared(&format!("models/stories260K/{name}")) else { return };
        let copy = folder.path().join(name);
        std::fs::write(&copy, std::fs::read(&path).expect("model")).expect("copy");
        std::fs::write(folder.path().join("tok512.bin"), std::fs::read(path.with_file_name("tok512.bin")).expect("tokens"))
            .expect("tokens");
        generates_after_a_cut(&copy, &copy);
    }
}
