//! GGUF files made by hand and real ones, whole and broken; `fNN` are the rows of the fault list.

mod fused;
mod kept;
mod written;

use std::path::{Path, PathBuf};

use half::f16;
use llm_model::quant::QuantFormat;
use tempfile::TempDir;

use super::super::tests::{require_changes_noticed, shared_data};
use super::super::{Checkpoint, LoadOptions};
use super::*;

/// A file, piece by piece.
#[derive(Clone)]
struct Writer {
    version: u32,
    keys: Vec<Vec<u8>>,
    tensors: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Writer {
    fn new(version: u32) -> Self {
        Self { version, keys: Vec::new(), tensors: Vec::new() }
    }

    fn size(&self, size: u64) -> Vec<u8> {
        if self.version == 1 { (size as u32).to_le_bytes().to_vec() } else { size.to_le_bytes().to_vec() }
    }

    fn text(&self, text: &str) -> Vec<u8> {
        [self.size(text.len() as u64), text.as_bytes().to_vec()].concat()
    }

    /// A key with a value of type `kind` in bytes.
    fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.push([self.text(key), kind.to_le_bytes().to_vec(), value.to_vec()].concat());
        self
    }

    fn whole(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    fn float(self, key: &str, value: f32) -> Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    fn string(self, key: &str, value: &str) -> Self {
        let value = self.text(value);
        self.raw(key, 8, &value)
    }

    fn texts(self, key: &str, values: &[&str]) -> Self {
        let list: Vec<u8> = values.iter().flat_map(|value| self.text(value)).collect();
        let value = [8_u32.to_le_bytes().to_vec(), self.size(values.len() as u64), list].concat();
        self.raw(key, 9, &value)
    }

    /// A tensor of type `kind`, dimensions outermost first.
    fn tensor(mut self, name: &str, shape: &[u64], kind: u32, data: &[u8]) -> Self {
        let offset: usize = self.tensors.iter().map(|(_, data)| data.len().next_multiple_of(32)).sum();
        let dims: Vec<u8> = shape.iter().rev().flat_map(|dim| self.size(*dim)).collect();
        let place = [kind.to_le_bytes().to_vec(), (offset as u64).to_le_bytes().to_vec()].concat();
        let info = [self.text(name), (shape.len() as u32).to_le_bytes().to_vec(), dims, place].concat();
        self.tensors.push((info, data.to_vec()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [b"GGUF".to_vec(), self.version.to_le_bytes().to_vec()].concat();
        bytes.extend(self.size(self.tensors.len() as u64));
        bytes.extend(self.size(self.keys.len() as u64));
        bytes.extend(self.keys.concat());
        self.tensors.iter().for_each(|(info, _)| bytes.extend(info));
        for (_, data) in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(data);
        }
        bytes
    }
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Some numbers.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + seed * 11) % 101) as f32 / 50.0 - 1.0).collect()
}

/// The keys of a llama of one layer, 32 wide, two heads, three tokens.
fn keys(version: u32) -> Writer {
    Writer::new(version)
        .string("general.architecture", "llama")
        .whole("llama.embedding_length", 32)
        .whole("llama.feed_forward_length", 32)
        .whole("llama.block_count", 1)
        .whole("llama.attention.head_count", 2)
        .whole("llama.context_length", 64)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .string("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &["<unk>", "<s>", "a"])
        .raw(
            "tokenizer.ggml.scores",
            9,
            &[6_u32.to_le_bytes().to_vec(), vec![3, 0, 0, 0], if version > 1 { vec![0; 4] } else { vec![] }, vec![0; 12]].concat(),
        )
}

const MATRICES: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/// All of it, the matrices of the layer of type `kind` with these bytes.
fn llama(version: u32, kind: u32, matrix: &dyn Fn(usize) -> Vec<u8>) -> Writer {
    llama_with_norms(version, kind, matrix, 0, &f32s(&[1.0; 32]))
}

/// As [`llama`], the norms of the layer of type `norms` with the bytes `norm`.
fn llama_with_norms(version: u32, kind: u32, matrix: &dyn Fn(usize) -> Vec<u8>, norms: u32, norm: &[u8]) -> Writer {
    let mut writer = keys(version).tensor("token_embd.weight", &[3, 32], 0, &f32s(&numbers(96, 0))).tensor(
        "output_norm.weight",
        &[32],
        0,
        &f32s(&[1.0; 32]),
    );
    for name in ["attn_norm", "ffn_norm"] {
        writer = writer.tensor(&format!("blk.0.{name}.weight"), &[32], norms, norm);
    }
    for (seed, name) in MATRICES.iter().enumerate() {
        writer = writer.tensor(&format!("blk.0.{name}.weight"), &[32, 32], kind, &matrix(seed));
    }
    writer
}

fn floats(seed: usize) -> Vec<u8> {
    f32s(&numbers(1024, seed))
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// What opening the bytes says, without the folder.
fn refusal(bytes: &[u8]) -> String {
    let (folder, path) = file(bytes);
    let message = Checkpoint::open(path).err().expect("it opens").to_string();
    message.replace(&folder.path().join("").display().to_string(), "")
}

fn load(path: &Path) -> crate::checkpoint::LoadReport {
    let checkpoint = Checkpoint::open(path).unwrap();
    checkpoint.check_shapes().unwrap();
    checkpoint.load::<llm_model::TransformerBlock>(&LoadOptions::new(&burn::tensor::Device::flex())).unwrap().1
}

#[test]
fn every_version_is_read() {
    for version in 1..=3 {
        let (_folder, path) = file(&llama(version, 0, &floats).bytes());
        let checkpoint = Checkpoint::open(&path).unwrap();
        let config = checkpoint.model_config().unwrap();
        assert_eq!((config.hidden_size, config.num_key_value_heads, config.vocab_size, config.tie_word_embeddings), (32, 2, 3, true));
        let report = load(&path);
        assert_eq!((report.tensors, report.widened.len(), report.unexpected.len()), (11, 0, 0));
        // Row 1 of a head is the second of its first pair, which becomes the first of the second half.
        let stored = numbers(1024, 0);
        let queries = checkpoint.source().read("model.layers.0.self_attn.q_proj.weight").unwrap();
        assert_eq!(queries.as_slice::<f32>().unwrap()[8 * 32..9 * 32], stored[32..64]);
        let values = checkpoint.source().read("model.layers.0.self_attn.v_proj.weight").unwrap();
        assert_eq!(values.as_slice::<f32>().unwrap(), numbers(1024, 2));
    }
}

#[test]
fn factors_of_the_rotation_are_honoured() {
    let bytes = llama(3, 0, &floats).tensor("rope_freqs.weight", &[8], 0, &f32s(&[1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0])).bytes();
    let (_folder, path) = file(&bytes);
    let rope = Checkpoint::open(&path).unwrap().model_config().unwrap().rope;
    let plain = llm_model::RopeConfig { scaling: llm_model::RopeScaling::Default, ..rope.clone() };
    let (got, plain) = (rope.frequencies(1000), plain.frequencies(1000));
    assert_eq!((got[2], got[4], got[7]), (plain[2], plain[4] / 4.0, plain[7] / 8.0));
    assert_eq!((rope.attention_factor(), rope.keeps_keys(10, 64)), (1.0, true));
    assert!(load(&path).unexpected.is_empty());
}

#[test]
fn pieces_find_each_other() {
    let whole = llama(3, 0, &floats);
    let folder = tempfile::tempdir().unwrap();
    let names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"].map(|name| folder.path().join(name));
    let part = |number: u16| {
        let raw = |writer: Writer, key: &str, value: u16| writer.raw(key, 2, &value.to_le_bytes());
        raw(raw(if number == 0 { keys(3) } else { Writer::new(3) }, "split.no", number), "split.count", 2)
    };
    let tensors = |mut writer: Writer, range: std::ops::Range<usize>| {
        // Offsets begin anew in each file.
        for (info, data) in &whole.tensors[range] {
            let offset: usize = writer.tensors.iter().map(|(_, data)| data.len().next_multiple_of(32)).sum();
            let mut info = info.clone();
            let at = info.len() - 8;
            info[at..].copy_from_slice(&(offset as u64).to_le_bytes());
            writer.tensors.push((info, data.clone()));
        }
        writer.bytes()
    };
    std::fs::write(&names[0], tensors(part(0), 0..5)).unwrap();
    let message = Checkpoint::open(&names[0]).err().unwrap().to_string();
    assert!(message.contains("`m-00002-of-00002.gguf`, which is missing"), "{message}");
    std::fs::write(&names[1], tensors(part(1), 5..11)).unwrap();
    for path in [&names[0], &names[1], &folder.path().to_owned()] {
        assert_eq!(load(path).tensors, 11);
    }
    std::fs::write(&names[1], tensors(part(1), 4..11)).unwrap();
    assert!(Checkpoint::open(&names[0]).err().unwrap().to_string().contains("another file has"));
    std::fs::write(&names[1], tensors(part(0), 5..11)).unwrap();
    assert!(Checkpoint::open(&names[0]).err().unwrap().to_string().contains("split.no: got 0, expected 1"));
}

#[test]
fn f12_gguf_magic_and_version() {
    let good = llama(3, 0, &floats).bytes();
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        refusal(&bad)
    };
    assert_eq!(with(4, &[0, 0, 0, 0]), "model.gguf: version: got 0, expected 1, 2 or 3");
    assert_eq!(with(4, &[4, 0, 0, 0]), "model.gguf: version: got 4, expected 1, 2 or 3");
    assert_eq!(with(4, &[0, 0, 0, 3]), "model.gguf: version: got big-endian numbers, expected a little-endian file");
    let (folder, path) = file(b"GGML\x03\0\0\0");
    let error = open(&path).err().unwrap();
    assert_eq!(
        error.to_string().replace(&folder.path().join("").display().to_string(), ""),
        "model.gguf: magic: got [47, 47, 4d, 4c], expected `GGUF`"
    );
}

#[test]
fn f13_gguf_count_overflow() {
    let good = llama(3, 0, &floats).bytes();
    for (at, field) in [(8, "tensor_count"), (16, "kv_count")] {
        let mut bad = good.clone();
        bad[at..at + 8].copy_from_slice(&(1_u64 << 63).to_le_bytes());
        assert!(refusal(&bad).starts_with(&format!("model.gguf: {field}: got 9223372036854775808, expected at most")), "{field}");
    }
}

#[test]
fn f14_gguf_lengths_beyond_the_file() {
    let long = |kind: u32, value: &[u8]| refusal(&keys(3).raw("x", kind, value).bytes());
    assert!(long(8, &u64::MAX.to_le_bytes()).contains("x: got 18446744073709551615, expected at most"));
    let array = [4_u32.to_le_bytes().to_vec(), (1_u64 << 40).to_le_bytes().to_vec()].concat();
    assert!(long(9, &array).contains("x: got 1099511627776, expected at most"));
    let good = llama(3, 0, &floats).bytes();
    for length in [0, 3, 4, 7, 8, 20, 24, 30, 100, 400, good.len() - 1] {
        refusal(&good[..length]);
    }
}

#[test]
fn f15_gguf_arrays_nested_deep() {
    let mut nested = Vec::new();
    for _ in 0..100 {
        nested.extend(9_u32.to_le_bytes());
        nested.extend(1_u64.to_le_bytes());
    }
    assert!(refusal(&keys(3).raw("x", 9, &nested).bytes()).contains("arrays in arrays without end"));
}

#[test]
fn f16_gguf_wrong_types() {
    let array = |kind: u32| [kind.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec(), vec![0; 8]].concat();
    assert!(refusal(&keys(3).raw("x", 9, &array(13)).bytes()).contains("an array of type 13"));
    assert!(refusal(&keys(3).raw("x", 13, &[0; 8]).bytes()).contains("a value of type 13"));
    assert!(refusal(&keys(3).raw("x", 7, &[2]).bytes()).contains("a truth value of 2"));
    let wrong = keys(3).raw("tokenizer.ggml.merges", 9, &array(4)).string("tokenizer.chat_template", "x").whole("llama.rope.freq_base", 1);
    assert!(Checkpoint::open(file(&wrong.bytes()).1).is_err());
    let text = Writer::new(3).whole("general.architecture", 5);
    assert_eq!(refusal(&text.bytes()), "model.gguf: general.architecture: got 5, expected a text");
    let mut list = keys(3);
    list.keys.retain(|key| !key.windows(10).any(|part| part == b"head_count"));
    assert_eq!(refusal(&list.bytes()), "model.gguf: llama.attention.head_count: got nothing, expected a whole number");
}

#[test]
fn f17_gguf_alignment() {
    for bad in [0, 1, 13, 1 << 31] {
        assert!(refusal(&keys(3).whole("general.alignment", bad).bytes()).contains("a power of two from 8 to 65536"), "{bad}");
    }
}

#[test]
fn f18_gguf_dimensions() {
    let with = |shape: &[u64]| refusal(&keys(3).tensor("x.weight", shape, 0, &[0; 64]).bytes());
    assert!(with(&[1; 5]).contains("5 dimensions, expected 1 to 4") && with(&[]).contains("0 dimensions"));
    for bad in [0, u64::MAX, 1 << 63, 1 << 50] {
        assert!(with(&[bad, 2]).contains("a tensor of 1 to 2^48 elements"), "{bad}");
    }
    assert!(with(&[1 << 40, 1 << 40]).contains("a tensor of 1 to 2^48 elements"));
}

#[test]
fn f19_f20_gguf_data_past_the_end() {
    let with = |shape: &[u64], data: &[u8]| refusal(&keys(3).tensor("x.weight", shape, 0, data).bytes());
    assert!(with(&[1 << 40], &[0; 64]).contains("an end within the file"));
    assert!(with(&[17], &[0; 64]).contains("an end within the file"));
    let mut overlapping = keys(3).tensor("x.weight", &[16], 0, &[0; 64]).tensor("y.weight", &[16], 0, &[0; 64]);
    let place = |offset: u64, writer: &mut Writer| {
        let at = writer.tensors[1].0.len() - 8;
        writer.tensors[1].0[at..].copy_from_slice(&offset.to_le_bytes());
        refusal(&writer.bytes())
    };
    assert!(place(32, &mut overlapping).contains("bytes of `x.weight`, expected bytes of its own"));
    assert!(place(40, &mut overlapping).contains("a multiple of 32"));
    assert!(place(u64::MAX - 31, &mut overlapping).contains("an end within the file"));
}

#[test]
fn f21_gguf_names_twice_or_empty() {
    assert!(refusal(&keys(3).whole("x", 1).whole("x", 1).bytes()).contains("key `x`: got two values, expected one"));
    assert!(refusal(&keys(3).whole("", 1).bytes()).contains("a name of 0 bytes"));
    let twice = keys(3).tensor("x.weight", &[16], 0, &[0; 64]).tensor("x.weight", &[16], 0, &[0; 64]);
    assert!(refusal(&twice.bytes()).contains("tensor `x.weight`: got two entries, expected one"));
    assert!(refusal(&keys(3).tensor("", &[16], 0, &[0; 64]).bytes()).contains("a name of 0 bytes"));
}

#[test]
fn f22_gguf_types_and_blocks() {
    let message = refusal(&keys(3).tensor("x.weight", &[32], 36, &[0; 64]).bytes());
    assert!(message.contains("numbers of type 36, expected one of F32, F16, Q4_0") && message.contains("MXFP4"), "{message}");
    assert!(refusal(&keys(3).tensor("x.weight", &[2, 16], 8, &[0; 68]).bytes()).contains("rows of 16, expected a multiple of 32"));
}

#[test]
fn f23_f24_gguf_sizes_of_the_model() {
    let replaced = |key: &str, value: u32| {
        let mut writer = llama(3, 0, &floats);
        writer.keys.retain(|bytes| !bytes.windows(key.len()).any(|part| part == key.as_bytes()));
        let (_folder, path) = file(&writer.whole(&format!("llama.{key}"), value).bytes());
        Checkpoint::open(path).and_then(|checkpoint| checkpoint.check_shapes()).expect_err(key).to_string()
    };
    assert!(replaced("block_count", 0).contains("num_hidden_layers: got 0"));
    assert!(replaced("attention.head_count", 0).contains("num_attention_heads: got 0"));
    assert!(replaced("embedding_length", u32::MAX).contains("hidden_size: got 4294967295"));
    assert!(replaced("attention.head_count", 3).contains("num_attention_heads"));
    assert!(replaced("block_count", 2).contains("9 missing tensors"));
}

#[test]
fn f30_gguf_unknown_architectures_list_the_known_ones() {
    let (_folder, path) = file(&Writer::new(3).string("general.architecture", "mamba").bytes());
    let error = Checkpoint::open(path).unwrap().check_shapes().unwrap_err();
    let message = error.to_string();
    assert!(message.contains("model.gguf: general.architecture: got `mamba`, expected one of llama, "), "{message}");
    assert!(message.contains("glm4") && error.hint().is_some(), "{message}");
    assert!(refusal(&Writer::new(3).bytes()).contains("general.architecture: got nothing, expected one of llama"));
}

#[test]
fn f35_a_gguf_changes_while_reading() {
    let name = "model.layers.0.mlp.up_proj.weight";
    let (_folder, path) = file(&llama(3, 0, &floats).bytes());
    require_changes_noticed(&path, || Checkpoint::open(&path), |checkpoint| checkpoint.source().read(name));
    let (_folder, path) = file(&llama(3, 8, &|_| vec![0; 32 * 34]).bytes());
    require_changes_noticed(&path, || Checkpoint::open(&path), |checkpoint| checkpoint.source().read_quantized(name));
}

#[test]
fn no_flipped_byte_panics() {
    let good = llama(3, 0, &floats).string("tokenizer.ggml.pre", "x").bytes();
    let header = good.len() - 32 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    for at in 0..header.min(2000) {
        for flip in [0xff, 1, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            std::fs::write(&path, bad).unwrap();
            let Ok(checkpoint) = Checkpoint::open(&path) else { continue };
            drop((checkpoint.check_shapes(), checkpoint.tokenizer(), checkpoint.template()));
        }
    }
}

#[test]
fn no_malformed_file_panics() {
    let Some(folder) = shared_data("malformed/gguf") else { return };
    let mut refused = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Some are texts, and some whole files of other architectures.
        refused += usize::from(open(&path).is_err());
        drop(Checkpoint::open(&path));
    }
    assert!(refused > 100, "{refused}");
}

/// Where `make.py` put blocks with their numbers.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/ggml").join(name)
}

const PACKED: [GgmlType; 12] = [
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::Q8_0,
    GgmlType::Q2K,
    GgmlType::Q3K,
    GgmlType::Q4K,
    GgmlType::Q5K,
    GgmlType::Q6K,
    GgmlType::Iq4Nl,
    GgmlType::Mxfp4,
];

#[test]
fn blocks_are_widened_to_the_bit() {
    for kind in PACKED.into_iter().chain([GgmlType::Bf16]) {
        let bytes = std::fs::read(fixture(&format!("{}.bin", kind.lowercase()))).unwrap();
        let blocks = bytes.len() / (kind.block_bytes() + 4 * kind.block());
        let (blocks, expected) = bytes.split_at(blocks * kind.block_bytes());
        assert_eq!(f32s(&blocks::widened(kind, blocks)), expected, "{kind:?}");
    }
}

#[test]
fn numbers_are_rounded_to_the_bit() {
    for kind in [GgmlType::Q8_0, GgmlType::Q4_0] {
        let bytes = std::fs::read(fixture(&format!("{}-rounded.bin", kind.lowercase()))).unwrap();
        let (numbers, blocks) = bytes.split_at(bytes.len() / (128 + kind.block_bytes()) * 128);
        let numbers: Vec<f32> = numbers.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect();
        assert!(pack::rounded(kind, &numbers) == blocks, "{kind:?}");
    }
    let Some(folder) = shared_data("golden/ggml_quants") else { return };
    let input = std::fs::read(folder.join("q4_0_64_noim_input.bin")).unwrap();
    let numbers: Vec<f32> = input.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect();
    assert_eq!(pack::rounded(GgmlType::Q4_0, &numbers), std::fs::read(folder.join("q4_0_64_noim_expected.bin")).unwrap());
}

#[test]
fn what_llama_cpp_packed_is_widened_to_the_bit() {
    let Some(folder) = shared_data("golden/ggml_quants") else { return };
    let hashes: Value = serde_json::from_slice(&std::fs::read(fixture("golden.json")).unwrap()).unwrap();
    let hashes = hashes.as_object().unwrap();
    for (name, hash) in hashes {
        let kind = PACKED.into_iter().find(|kind| name.starts_with(kind.lowercase())).unwrap();
        let numbers = f32s(&blocks::widened(kind, &std::fs::read(folder.join(name)).unwrap()));
        let fnv = numbers.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(format!("{fnv:016x}"), hash.as_str().unwrap(), "{name}");
    }
    assert_eq!(hashes.len(), 22);
}
