//! What we write of a file that llama.cpp's converter wrote is that file: names, dimensions, numbers, keys.

use std::collections::BTreeMap;

use super::super::metadata::Value;
use super::*;
use crate::convert::{ConvertOptions, convert};

/// Keys that tell about the file and not about the model, that the fixtures' generator makes up, or that say of a token there is not
/// whether it is added; and those of mistral3, whose language model is written as the llama that it is.
const OTHER: [&str; 5] = ["general.", "GGUF.", "tokenizer.ggml.pre", "tokenizer.ggml.add_sep_token", "mistral3."];

/// Tensors with their dimensions, types and bytes, and keys.
struct Content {
    tensors: BTreeMap<String, (Vec<usize>, GgmlType, Vec<u8>)>,
    keys: BTreeMap<String, Value>,
}

fn content(path: &Path) -> Content {
    let blob = Blob::open(path).unwrap();
    let Header { metadata, tensors } = header::read(&blob).unwrap();
    let tensor = |entry: &Entry| {
        let bytes = blob.read_bytes(entry.begin, entry.bytes as usize).unwrap();
        (entry.name.clone(), (entry.shape.clone(), entry.kind, bytes))
    };
    let kept = |key: &str| !OTHER.iter().any(|other| key.starts_with(other));
    let keys = metadata.iter().filter(|(key, _)| kept(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
    Content { tensors: tensors.iter().map(tensor).collect(), keys }
}

/// Whether numbers are the same in any of their types.
fn alike(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| matches!(value, Value::Unsigned(_) | Value::Signed(_) | Value::Float(_)).then(|| value.number() as f32);
    a == b || number(a).is_some_and(|a| number(b) == Some(a))
}

#[test]
fn every_architecture_is_written_as_llama_cpp_writes_it() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gguf");
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    paths.sort();
    for path in &paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Some files have fused what the converter does not by itself.
        if name.contains("fused") {
            continue;
        }
        let out = folder.path().join(&name);
        if let Err(error) = convert(&path.to_string_lossy(), &out, &ConvertOptions::default()) {
            wrong.push(format!("{name}: {error}"));
            continue;
        }
        let (theirs, ours) = (content(path), content(&out));
        let names = |content: &Content| content.tensors.keys().cloned().collect::<Vec<_>>();
        if names(&theirs) != names(&ours) {
            wrong.push(format!("{name}: tensors {:?}, expected {:?}", names(&ours), names(&theirs)));
        }
        for (tensor, (shape, kind, bytes)) in &theirs.tensors {
            let Some((our_shape, our_kind, our_bytes)) = ours.tensors.get(tensor) else { continue };
            if (our_shape, our_kind) != (shape, kind) {
                wrong.push(format!("{name}: {tensor}: {our_kind:?} {our_shape:?}, expected {kind:?} {shape:?}"));
            } else if our_bytes != bytes {
                wrong.push(format!("{name}: {tensor}: other numbers"));
            }
        }
        for (key, value) in &theirs.keys {
            match ours.keys.get(key) {
                Some(our) if alike(our, value) => {}
                our => wrong.push(format!("{name}: {key}: {our:?}, expected {value:?}")),
            }
        }
    }
    assert!(paths.len() >= 24, "{}", paths.len());
    let shown: Vec<String> = wrong.iter().map(|line| line.chars().take(400).collect()).collect();
    assert!(wrong.is_empty(), "{}", shown.join("\n"));
}
