//! Files that are damaged or made to do harm, through everything that reads them: no panic, no hang, little memory, and errors that
//! name the file. Real ones come from the shared data; the others are cut and flipped here.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use llm_infer::chat::ChatTemplate;
use llm_infer::checkpoint::Checkpoint;
use llm_infer::tokenizer::Tokenizer;
use llm_infer::{Error, Result};

use crate::memory::peak_of;
use crate::support::{fixture, shared};

/// What reading may take for each byte of a file: a number of one digit and its comma become a JSON value and its place in a list.
const PER_BYTE: usize = 64;
/// What it may take besides.
const BESIDES: usize = 512 << 10;
/// A file that takes longer hangs; all of them together take seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `work` on a file in a thread of its own, so that a hang has a name.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = done.send(work());
    });
    result.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Everything that is read of a checkpoint before it computes.
fn read_all(path: &Path) -> Vec<Error> {
    let checkpoint = match Checkpoint::open(path) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return vec![error],
    };
    let mut errors = Vec::new();
    errors.extend(checkpoint.model_config().err());
    errors.extend(checkpoint.check_shapes().err());
    errors.extend(checkpoint.tokenizer_summary().err());
    errors.extend(checkpoint.template().err());
    match checkpoint.tokenizer() {
        Ok(tokenizer) => errors.extend(use_tokenizer(&tokenizer).err()),
        Err(error) => errors.push(error),
    }
    errors.extend(checkpoint.check(None, None).err());
    errors
}

/// Encodes and decodes; what streams is what is decoded at once.
fn use_tokenizer(tokenizer: &Tokenizer) -> Result<()> {
    let ids = tokenizer.encode("Hello  wörld 🌍\n<s>", true)?;
    let mut stream = tokenizer.streaming_decoder(false);
    let shown: String = ids.iter().filter_map(|id| stream.push(*id)).collect();
    assert_eq!(shown + &stream.flush(), tokenizer.decode(&ids, false));
    Ok(())
}

/// Reads the file, and checks the bounds and that errors of its content name it or its folder.
fn check(path: &Path) -> Vec<Error> {
    let what = path.display().to_string();
    let (owned, size) = (path.to_owned(), std::fs::metadata(path).expect("file").len() as usize);
    let (errors, peak) = in_time(&what, move || peak_of(|| read_all(&owned)));
    assert!(peak <= size * PER_BYTE + BESIDES, "{what}: {peak} bytes for a file of {size}");
    for error in &errors {
        let named = error.to_string().contains(&*path.parent().expect("folder").to_string_lossy());
        assert!(named || matches!(error, Error::Template { .. } | Error::Request { .. }), "{what}: {error}");
    }
    errors
}

/// The files of a folder of the shared data, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let Some(folder) = shared(folder) else { return Vec::new() };
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn malformed_gguf_files() {
    for path in files("malformed/gguf") {
        assert!(!check(&path).is_empty(), "{}: nothing is wrong with it", path.display());
    }
}

/// Files of a model that are JSON, and whether what is no JSON in their place must be refused by opening or by which reader.
#[test]
fn malformed_json_files() {
    let paths = files("malformed/json");
    let places = [
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ];
    for place in places {
        let folder = tempfile::tempdir().expect("folder");
        for name in ["config.json", "model.safetensors", "tokenizer.json"] {
            std::fs::copy(fixture("llama").join(name), folder.path().join(name)).expect("copy");
        }
        if place == "model.safetensors.index.json" {
            let weights = folder.path().join("model.safetensors");
            std::fs::rename(weights, folder.path().join("model-00001-of-00001.safetensors")).expect("rename");
        }
        for path in &paths {
            let (name, bytes) = (path.file_name().expect("name").to_string_lossy(), std::fs::read(path).expect("file"));
            let target = folder.path().join(place);
            std::fs::write(&target, &bytes).expect("write");
            let (root, what) = (folder.path().to_owned(), format!("{name} as {place}"));
            let (errors, peak) = in_time(&what, move || peak_of(|| open_text(&root)));
            // The fixture itself takes some.
            assert!(peak <= bytes.len() * PER_BYTE + (8 << 20), "{what}: {peak} bytes for a file of {}", bytes.len());
            if name.starts_with("n_") {
                let named = errors.iter().any(|error| error.to_string().contains(place));
                assert!(named, "{what} is taken: {errors:?}");
            }
        }
    }
}

/// Opens a folder and its texts.
fn open_text(folder: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    match Checkpoint::open(folder) {
        Ok(checkpoint) => errors.extend(checkpoint.model_config().err()),
        Err(error) => errors.push(error),
    }
    match Tokenizer::open(folder) {
        Ok(tokenizer) => errors.extend(use_tokenizer(&tokenizer).err()),
        Err(error) => errors.push(error),
    }
    errors.extend(ChatTemplate::open(folder).err());
    errors
}

#[test]
fn malformed_headers_of_safetensors() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("model.safetensors");
    std::fs::write(folder.path().join("config.json"), "{}").expect("config");
    for json in files("malformed/json") {
        let header = std::fs::read(&json).expect("file");
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_slice()].concat()).expect("write");
        let name = json.file_name().expect("name").to_string_lossy();
        let errors = check(&path);
        if name.starts_with("n_") {
            assert!(errors.iter().any(|error| error.to_string().contains("model.safetensors")), "{name} is taken: {errors:?}");
        }
    }
}

/// Numbers that look random and are the same in every run (Marsaglia's xorshift).
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Cuts the file and changes bytes of it, mostly at its beginning, where headers are, and reads what is left.
fn damage(path: &Path, name: &str, rounds: usize) {
    let good = std::fs::read(path).expect("file");
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("config.json"), "{\"model_type\": \"llama\"}").expect("config");
    let target = folder.path().join(name);
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for round in 0..rounds {
        let mut bad = good.clone();
        let reach = if round % 3 == 0 { bad.len() } else { bad.len().min(2048) };
        for _ in 0..=random.below(4) {
            let reach = reach.min(bad.len());
            let (at, other) = (random.below(reach), random.below(reach));
            match random.below(5) {
                0 => bad.truncate(random.below(bad.len()).max(1)),
                1 => bad[at] ^= 1 << random.below(8),
                2 => bad[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                3 => {
                    // A number of four or eight bytes.
                    let end = bad.len().min(at + (4 << random.below(2)));
                    bad[at..end].fill([0, 0xff][random.below(2)]);
                }
                _ => bad[at] = bad[other],
            }
        }
        std::fs::write(&target, bad).expect("write");
        check(&target);
    }
}

#[test]
fn damaged_files_of_every_format() {
    damage(&fixture("llama-biases").join("model.safetensors"), "model.safetensors", 300);
    for (name, as_name) in [
        ("models/stories260K/stories260K-f32.gguf", "m.gguf"),
        ("models/stories260K/stories260K.bin", "m.bin"),
        ("models/stories260K/stories260K_v1.bin", "m.bin"),
        ("models/stories260K/stories260K_q8_0_v2.bin", "m.bin"),
        ("golden/pytorch-pt-small/state_dict_full.zip.pt", "m.pt"),
        ("golden/pytorch-pt-small/tensors.legacy.pt", "m.pt"),
        ("golden/pytorch-pt-small/ordered_dict.legacy.pt", "m.pt"),
    ] {
        if let Some(path) = shared(name) {
            damage(&path, as_name, 150);
        }
    }
}

#[test]
fn damaged_tokenizers() {
    for name in ["llama", "mistral-window", "qwen3"] {
        let good = std::fs::read(fixture(name).join("tokenizer.json")).expect("tokenizer");
        let mut random = Xorshift(1);
        for _ in 0..300 {
            let mut bad = good.clone();
            for _ in 0..=random.below(3) {
                match random.below(3) {
                    0 => bad[random.below(good.len())] = b"0123456789\"{}[],:\\ tn"[random.below(21)],
                    1 => bad[random.below(good.len())] ^= 1 << random.below(8),
                    _ => {
                        let at = random.below(bad.len() - 8);
                        bad[at..at + 8].rotate_left(1);
                    }
                }
            }
            let what = format!("{name}: {}", String::from_utf8_lossy(&bad[..64]));
            in_time(&what, move || {
                if let Ok(tokenizer) = Tokenizer::from_bytes(Path::new("tokenizer.json"), &bad, None) {
                    drop(use_tokenizer(&tokenizer));
                }
            });
        }
    }
}
