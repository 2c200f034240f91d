//! Models that go through several formats and are the same after.

use std::path::{Path, PathBuf};

use burn::tensor::DType;

use super::*;
use crate::checkpoint::TensorInfo;
use crate::checkpoint::gguf::keys;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

/// Folders of the fixtures that GGUF files do not say all of, or that llama.cpp would not load: the field that is named.
const REFUSED: &[(&str, &str)] = &[
    ("cohere-biases", "attention_bias: got"),
    ("falcon-multi-query", "attention_bias: got"),
    ("gemma2", "attention_scale: got"),
    ("gemma3", "attention_scale: got"),
    ("gpt2-relu", "hidden_act: got"),
    ("gpt_neox-sequential", "attention_bias: got"),
    ("gpt_oss", "clipped_gate: got"),
    ("llama-dynamic", "rope: got"),
    ("olmo2-biases", "attention_bias: got"),
    ("phi", "qk_norm: got"),
    ("qwen2-window", "sliding_window: got `6`"),
    ("qwen2_moe", "mlp_only_layers: got"),
    ("qwen2_moe-window", "mlp_only_layers: got"),
    ("qwen3_moe", "mlp_only_layers: got"),
    ("qwen3_moe-window", "mlp_only_layers: got"),
    ("smollm3", "rotations: got"),
    ("smollm3-window", "attention_bias: got"),
    ("starcoder2-plain", "attention_bias: got"),
];

/// The folders of models among the fixtures.
fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path());
    let names = entries.filter(|path| path.join("config.json").exists());
    let mut names: Vec<String> = names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn run(from: &Path, to: &Path, dtype: WeightType) -> ConvertReport {
    let options = ConvertOptions { dtype, ..ConvertOptions::default() };
    convert(&from.to_string_lossy(), to, &options).unwrap_or_else(|error| panic!("{}: {error}", from.display()))
}

/// What makes the parameters of a model, as bits; a zero is one of either sign, as a scale may be below it.
fn parameters(path: &Path) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let checkpoint = Checkpoint::open(path).unwrap();
    let numbers = |info: &TensorInfo| {
        let data = checkpoint.source().read(&info.name).unwrap().try_cast(DType::F32).unwrap();
        data.as_slice::<f32>().unwrap().iter().map(|number| (number + 0.0).to_bits()).collect()
    };
    let kept = |info: &&TensorInfo| !checkpoint.is_no_weight(&info.name).unwrap();
    let mut all: Vec<_> =
        checkpoint.tensors().iter().filter(kept).map(|info| (info.name.clone(), info.shape.clone(), numbers(info))).collect();
    all.sort();
    all
}

#[test]
fn floats_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let names = folders().into_iter().filter(|name| !REFUSED.iter().any(|(refused, _)| name == refused));
    for name in names.collect::<Vec<_>>().iter().map(String::as_str) {
        let (file, back) = (folder.path().join(format!("{name}.gguf")), folder.path().join(name));
        run(&fixture(name), &file, WeightType::F32);
        run(&file, &back, WeightType::Auto);
        let whole = parameters(&fixture(name));
        assert!(parameters(&file) == whole && parameters(&back) == whole, "{name}");
        let config = |path: &Path| Checkpoint::open(path).unwrap().model_config().unwrap();
        assert_eq!(keys::difference(&config(&back), &config(&fixture(name))), None, "{name}");
        for path in [&file, &back] {
            let (ours, theirs) = (Checkpoint::open(path).unwrap(), Checkpoint::open(fixture(name)).unwrap());
            assert_eq!(ours.generation_config().eos_token_id, theirs.generation_config().eos_token_id, "{name}");
            let given = |checkpoint: &Checkpoint| checkpoint.template().ok().map(|template| format!("{:?}", template.given()));
            assert_eq!(given(&ours), given(&theirs), "{name}");
            let text = "Once upon a time, 3 crabs & a fox <|end|> naïve";
            assert_eq!(
                ours.tokenizer().unwrap().encode(text, true).unwrap(),
                theirs.tokenizer().unwrap().encode(text, true).unwrap(),
                "{name}"
            );
        }
    }
}

#[test]
fn parameters_become_the_tensors_that_the_folder_has() {
    for name in folders() {
        let checkpoint = Checkpoint::open(fixture(&name)).unwrap();
        let Some(stored) = checkpoint.stored().unwrap() else { continue };
        // Images are read by other parts.
        if name.contains("images") || name == "mistral3" {
            assert!(checkpoint.restored().err().unwrap().to_string().contains("a language model alone"), "{name}");
            continue;
        }
        let Some(restored) = checkpoint.restored().unwrap() else { continue };
        for info in stored.tensors().iter().filter(|info| !info.name.ends_with(".attn.bias") && !info.name.ends_with(".masked_bias")) {
            // Some folders of GPT-2 leave the prefix out.
            let is_it = |other: &str| other == info.name || other.strip_prefix("transformer.") == Some(&info.name);
            let found = restored.tensors().iter().find(|other| is_it(&other.name)).unwrap_or_else(|| panic!("{name}: {}", info.name));
            assert_eq!(found.shape, info.shape, "{name}: {}", info.name);
            let numbers = |source: &dyn crate::checkpoint::WeightSource, name: &str| {
                source.read(name).unwrap().iter::<f32>().map(|number| (number + 0.0).to_bits()).collect::<Vec<_>>()
            };
            assert!(numbers(&*restored, &found.name) == numbers(&*stored, &info.name), "{name}: {}", info.name);
        }
    }
}

#[test]
fn halves_are_those_of_the_floats() {
    let folder = tempfile::tempdir().unwrap();
    let (file, half) = (folder.path().join("m.gguf"), folder.path().join("half"));
    for (dtype, stored) in [(WeightType::F16, DType::F16), (WeightType::Bf16, DType::BF16)] {
        let report = run(&fixture("llama"), &file, dtype);
        assert_eq!(report.tensors.values().sum::<usize>(), 21);
        run(&fixture("llama"), &half, dtype);
        let rounded = |path: &Path| {
            let checkpoint = Checkpoint::open(path).unwrap();
            let matrices: Vec<_> = checkpoint.tensors().iter().filter(|info| info.shape.len() == 2).cloned().collect();
            assert!(matrices.iter().all(|info| info.dtype == stored));
            let mut all: Vec<_> = matrices
                .iter()
                .map(|info| (info.name.clone(), checkpoint.source().read(&info.name).unwrap().as_bytes().to_vec()))
                .collect();
            all.sort();
            all
        };
        assert!(rounded(&file) == rounded(&half));
        // Vectors of a GGUF file keep their 32 bits.
        let norm = |path: &Path| parameters(path).into_iter().find(|(name, ..)| name == "model.norm.weight").unwrap();
        assert_eq!(norm(&file), norm(&fixture("llama")));
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_dir_all(&half).unwrap();
    }
}

#[test]
fn blocks_keep_their_bits_through_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for (dtype, name) in [(WeightType::Q8_0, "q8_0"), (WeightType::Q4_0, "q4_0")] {
        let (file, packed, again) = (place(&format!("{name}.gguf")), place(name), place(&format!("{name}-again.gguf")));
        let report = run(&fixture("llama"), &file, dtype);
        assert!(report.tensors[name] >= 14, "{report:?}");
        assert_eq!(run(&file, &packed, WeightType::Auto).format, "packed");
        run(&packed, &again, WeightType::Auto);
        let whole = parameters(&file);
        assert!(parameters(&packed) == whole && parameters(&again) == whole, "{name}");
        // The same type is the same bits, and needs no permission.
        let same = place(&format!("{name}-same.gguf"));
        run(&packed, &same, dtype);
        assert!(parameters(&same) == whole);
    }
    let refused =
        convert(&place("q4_0.gguf").to_string_lossy(), &place("x.gguf"), &ConvertOptions { dtype: WeightType::Q8_0, ..Default::default() });
    assert!(refused.unwrap_err().to_string().contains("a second time"));
    assert!(!place("x.gguf").exists());
}

#[test]
fn the_embedded_model_keeps_its_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("builtin.gguf");
    let report = convert(builtin::NAME, &file, &ConvertOptions::default()).unwrap();
    assert!(report.notices[0].contains("cuts words"), "{:?}", report.notices);
    let (_, tokenizer, template) = builtin::open().unwrap();
    let written = Checkpoint::open(&file).unwrap();
    let text = "In 1984, 12345 crabs.";
    assert_eq!(written.tokenizer().unwrap().encode(text, true).unwrap(), tokenizer.encode(text, true).unwrap());
    assert_eq!(written.template().unwrap().given(), template.unwrap().given());
}

#[test]
fn what_a_file_cannot_say_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, field) in REFUSED {
        let error = convert(&fixture(name).to_string_lossy(), &folder.path().join("m.gguf"), &ConvertOptions::default()).unwrap_err();
        assert!(error.to_string().contains(field), "{name}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Whatever the family, and only where a window hides something.
#[test]
fn windows_that_llama_cpp_does_not_compute_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str, window: usize| {
        let path = folder.path().join(format!("{name}-{window}"));
        std::fs::create_dir(&path).unwrap();
        for entry in std::fs::read_dir(fixture(name)).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
        }
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
        config["sliding_window"] = window.into();
        std::fs::write(path.join("config.json"), config.to_string()).unwrap();
        path
    };
    for name in ["mistral-window", "mixtral", "starcoder2"] {
        let positions = Checkpoint::open(fixture(name)).unwrap().model_config().unwrap().max_position_embeddings;
        for window in [positions - 1, positions] {
            let (folder, out) = (copy(name, window), folder.path().join(format!("{name}-{window}.gguf")));
            let noticed = run(&folder, &out, WeightType::Auto).notices.iter().any(|notice| notice.contains("of the window of"));
            assert_eq!(noticed, window < positions, "{name}: {window} of {positions}");
            let [read, meant] = [&out, &folder].map(|path| Checkpoint::open(path).unwrap().model_config().unwrap());
            assert_eq!(keys::difference(&read, &meant), None, "{name}");
        }
    }
}

#[test]
fn f60_a_broken_off_conversion_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    let show = |done: &Progress| stop.store(done.tensors >= 5, std::sync::atomic::Ordering::Relaxed);
    for out in ["m.gguf", "m"] {
        stop.store(false, std::sync::atomic::Ordering::Relaxed);
        let options = ConvertOptions { progress: Some(&show), cancel: Some(&stop), ..ConvertOptions::default() };
        let error = convert(&fixture("llama").to_string_lossy(), &folder.path().join(out), &options).unwrap_err();
        assert!(matches!(error, Error::Cancelled));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{out}");
    }
}

#[test]
fn f61_what_a_killed_conversion_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for (out, left) in [("m.gguf", ".m.gguf.1234-0.partial"), ("m", ".m.1234.partial")] {
        if out == "m" {
            std::fs::create_dir(place(left)).unwrap();
        }
        std::fs::write(if out == "m" { place(left).join("model.safetensors") } else { place(left) }, "half").unwrap();
        std::fs::write(place(&format!(".{out}.lock")), "").unwrap();
        assert_eq!(run(&fixture("llama"), &place(out), WeightType::Auto).removed, [place(left)]);
    }
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["m", "m.gguf"]);
}
