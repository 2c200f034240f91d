//! One real model in several formats gives the same ids and log-probabilities; it is read from the shared data where these are there.

use std::path::Path;

use llm_infer::checkpoint::{Checkpoint, WeightDtype};
use llm_infer::convert::{ConvertOptions, WeightType, convert};
use llm_infer::llm_model::quant::QuantFormat;
use serde_json::Value;

use crate::support::{cpu, fixture, greedy, ids, load, load_as, run, shared};

fn golden() -> Option<Value> {
    let text = std::fs::read_to_string(shared("golden/stories260K_greedy.json")?).expect("golden");
    Some(serde_json::from_str(&text).expect("json"))
}

/// 200 greedy tokens from the first one on, the five best of each step within 1e-3, and the text.
fn check_stories(path: &Path) {
    let Some(golden) = golden() else { return };
    let model = load(path, &cpu());
    let tokens = ids(&golden["tokens"]);
    let done = run(&model, &tokens[..1], &greedy(tokens.len() - 1));
    assert_eq!(done.tokens, tokens[1..], "{}", path.display());
    // The golden text ends with the last whole token of its own count.
    let text = golden["expected_text"].as_str().expect("text");
    assert!(text.starts_with(&done.text) || done.text.starts_with(text), "{}: {:?}", path.display(), done.text);
    let steps = golden["steps"].as_array().expect("steps");
    for (step, (want, got)) in steps.iter().zip(done.logprobs.expect("logprobs")).enumerate() {
        let sum = want["logsumexp"].as_f64().expect("logsumexp");
        for (want, got) in want["top5"].as_array().expect("five").iter().zip(&got.top) {
            let logprob = want[1].as_f64().expect("logit") - sum;
            assert!((f64::from(got.1) - logprob).abs() < 1e-3, "{} step {step}: {got:?}, expected {want}", path.display());
        }
    }
}

#[test]
fn stories_are_the_same_in_every_format() {
    for name in ["stories260K.bin", "stories260K_v1.bin", "stories260K-f32.gguf"] {
        let Some(path) = shared(&format!("models/stories260K/{name}")) else { return };
        check_stories(&path);
        assert!(Checkpoint::open(&path).expect(name).check_shapes().is_ok());
    }
}

/// The tensors of the first version in the order of its file, as Hugging Face calls them, by kind and then by layer.
const KINDS: [&str; 9] = [
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "post_attention_layernorm",
    "mlp.gate_proj",
    "mlp.down_proj",
    "mlp.up_proj",
];

#[test]
fn bytes_in_groups_compute_as_the_floats_they_mean() {
    let Some(path) = shared("models/stories260K/stories260K_q8_0_v2.bin") else { return };
    let bytes = std::fs::read(&path).expect("file");
    let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().expect("word")) as usize;
    let [dim, hidden, layers, heads, kv_heads, vocab, length] = std::array::from_fn(|i| word(8 + 4 * i));
    let (group, kv) = (word(37), dim / heads * kv_heads);
    let mut at = 256;
    let float = |at: usize| f32::from_le_bytes(bytes[at..at + 4].try_into().expect("word"));
    let mut floats = |count: usize| {
        at += 4 * count;
        (0..count).map(|i| float(at - 4 * count + 4 * i)).collect::<Vec<f32>>()
    };
    let norms = [floats(layers * dim), floats(layers * dim), floats(dim)];
    let mut groups = |count: usize| {
        let begin = at;
        at += count + 4 * count / group;
        (0..count).map(|i| f32::from(bytes[begin + i] as i8) * float(begin + count + 4 * (i / group))).collect::<Vec<f32>>()
    };
    let embedding = groups(vocab * dim);
    let mut matrices = [dim * dim, kv * dim, kv * dim, dim * dim, hidden * dim, hidden * dim, hidden * dim]
        .map(|count| (0..layers).flat_map(|_| groups(count)).collect::<Vec<f32>>())
        .into_iter();
    assert_eq!(at, bytes.len());
    // The same as a file of the first version.
    let mut legacy: Vec<u8> =
        [dim, hidden, layers, heads, kv_heads, vocab, length].iter().flat_map(|n| (*n as u32).to_le_bytes()).collect();
    let mut put = |values: &[f32]| legacy.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    put(&embedding);
    for kind in KINDS {
        match kind {
            "input_layernorm" => put(&norms[0]),
            "post_attention_layernorm" => put(&norms[1]),
            _ => put(&matrices.next().expect("seven kinds")),
        }
    }
    put(&norms[2]);
    put(&vec![0.0; length * dim / heads]);
    let folder = tempfile::tempdir().expect("folder");
    let floats = folder.path().join("model.bin");
    std::fs::write(&floats, legacy).expect("write");
    std::fs::copy(path.with_file_name("tok512.bin"), folder.path().join("tok512.bin")).expect("tokens");
    let (packed, plain) = (load(&path, &cpu()), load(&floats, &cpu()));
    assert_eq!(packed.report().widened, [("q8", 5 * 7 + 1)]);
    let (got, want) = (run(&packed, &[1], &greedy(64)), run(&plain, &[1], &greedy(64)));
    assert_eq!((got.tokens, got.logprobs), (want.tokens, want.logprobs));
}

#[test]
fn packed_files_that_are_widened_compute_as_the_floats_they_mean() {
    let folder = tempfile::tempdir().expect("folder");
    let path = |name: &str| folder.path().join(name);
    let made = |from: &Path, to: &Path, dtype: WeightType| {
        let options = ConvertOptions { dtype, ..ConvertOptions::default() };
        convert(&from.to_string_lossy(), to, &options).expect("converted");
    };
    for (dtype, format) in [(WeightType::Q4_0, QuantFormat::Int4), (WeightType::Q8_0, QuantFormat::Int8)] {
        let (packed, floats) = (path(&format!("{format}.gguf")), path(&format!("{format}-f32.gguf")));
        made(&fixture("llama"), &packed, dtype);
        made(&packed, &floats, WeightType::F32);
        let [widened, plain, kept] = [(&packed, WeightDtype::F32), (&floats, WeightDtype::F32), (&packed, WeightDtype::Auto)]
            .map(|(path, dtype)| load_as(path, &cpu(), dtype));
        assert!(widened.report().unpacked.iter().any(|unpacked| unpacked.format == format), "{:?}", widened.report());
        assert_eq!((widened.report().quantized.len(), widened.report().bytes), (0, plain.report().bytes));
        let texts = [&widened, &plain, &kept].map(|model| run(model, &[5, 6, 7], &greedy(32)));
        assert_eq!((&texts[0].tokens, &texts[0].logprobs), (&texts[1].tokens, &texts[1].logprobs), "{format}");
        assert_ne!(texts[0].logprobs, texts[2].logprobs, "{format}: packed kernels round activations");
    }
}

#[test]
fn llama2_prompts_have_their_ids() {
    let (Some(golden), Some(vocabulary)) =
        (shared("golden/llama2_prompt_encodings.json"), shared("tokenizers/gguf-vocab/ggml-vocab-llama-spm.gguf"))
    else {
        return;
    };
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).expect("golden")).expect("json");
    let tokenizer = Checkpoint::open(vocabulary).expect("vocabulary").tokenizer().expect("tokenizer");
    for case in golden["cases"].as_array().expect("cases") {
        let text = case["text"].as_str().expect("text");
        assert_eq!(tokenizer.encode(text, true).expect("ids"), ids(&case["ids"]), "{text:?}");
    }
}

/// Every list of tokens that has texts and ids beside it.
#[test]
fn gguf_tokenizers_have_the_ids_of_their_models() {
    let Some(folder) = shared("tokenizers/gguf-vocab") else { return };
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    let (mut checked, mut wrong) = (0, Vec::new());
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "gguf")) {
        let beside = |ending: &str| std::fs::read_to_string(path.with_extension(format!("gguf.{ending}")));
        let (Ok(texts), Ok(expected)) = (beside("inp"), beside("out")) else { continue };
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        let tokenizer = match Checkpoint::open(path).and_then(|checkpoint| checkpoint.tokenizer()) {
            Ok(tokenizer) => tokenizer,
            // No models of these kinds are read.
            Err(error) if error.to_string().contains("tokenizer.ggml.model") => {
                println!("skipped: {error}");
                continue;
            }
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let texts: Vec<_> = texts.split("\n__ggml_vocab_test__\n").collect();
        for (text, line) in texts.iter().zip(expected.lines()) {
            let want: Vec<u32> = line.split_whitespace().map(|id| id.parse().expect("id")).collect();
            let got = tokenizer.encode(text, false).expect("ids");
            if got != want {
                wrong.push(format!("{name}: {text:?}: {got:?}, expected {want:?}"));
            }
            let back = tokenizer.decode(&got, false);
            if back.trim_start() != text.trim_start() {
                wrong.push(format!("{name}: {text:?} comes back as {back:?}"));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked >= 4 * 46, "{checked}");
}
