//! Matrices packed by GPTQ and AWQ mean the weights that `tests/fixtures/grouped.py` meant, to the bit.

use std::path::PathBuf;

use llm_model::TransformerBlock;

use super::super::tests::folder_with;
use super::super::{Checkpoint, LoadOptions};
use super::*;
use crate::quantize::Scheme;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/grouped").join(name)
}

fn fnv(numbers: &[f32]) -> String {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// What each case is held as.
const CASES: [(&str, std::result::Result<QuantFormat, &str>); 9] = [
    ("gptq", Ok(QuantFormat::Int4)),
    ("gptq-v2-asymmetric", Ok(QuantFormat::Int5)),
    ("gptq-asymmetric", Ok(QuantFormat::Int5)),
    ("gptq-act-order", Err("gptq-act-order")),
    ("gptq-8-bits", Ok(QuantFormat::Int8)),
    ("gptq-2-bits", Ok(QuantFormat::Int4)),
    ("gptq-small-groups", Err("gptq-odd-groups")),
    ("awq", Ok(QuantFormat::Int5)),
    ("awq-whole-rows", Ok(QuantFormat::Int5)),
];

#[test]
fn packed_matrices_are_the_weights_that_were_meant() {
    for (name, held) in CASES {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        checkpoint.check_shapes().unwrap();
        let expected: Value = serde_json::from_slice(&std::fs::read(fixture(name).join("weights.json")).unwrap()).unwrap();
        let expected = expected["weights"].as_object().unwrap();
        for (tensor, hash) in expected {
            let info = checkpoint.tensors().iter().find(|info| info.name == *tensor).unwrap();
            assert_eq!(info.format.ok_or(info.packing.unwrap_or("")), held, "{name}: {tensor}");
            let read = checkpoint.source().read(tensor).unwrap();
            assert_eq!(fnv(read.as_slice::<f32>().unwrap()), *hash, "{name}: {tensor}");
            if info.format.is_some() {
                let stored = checkpoint.source().read_quantized(tensor).unwrap();
                assert_eq!(fnv(&stored.matrix().dequantize()), *hash, "{name}: {tensor} as {:?}", info.format);
            }
        }
        assert_eq!((expected.len(), checkpoint.tensors().len()), (14, 20), "{name}");
        let report = checkpoint.load::<TransformerBlock>(&LoadOptions::new(&burn::tensor::Device::flex())).unwrap().1;
        match held {
            Ok(format) => assert_eq!((report.quantized, report.widened), (vec![(format, 14)], vec![]), "{name}"),
            Err(packing) => assert_eq!((report.quantized, report.widened), (vec![], vec![(packing, 14)]), "{name}"),
        }
        // Neither is rounded again.
        let again = LoadOptions { quantize: Some(Scheme::INT8), ..LoadOptions::new(&burn::tensor::Device::flex()) };
        let error = checkpoint.load::<TransformerBlock>(&again).err().unwrap().to_string();
        assert!(error.starts_with("--quantize: got `int8` for a model that is quantized already"), "{name}: {error}");
    }
}

/// The fixture `gptq` with another `quantization_config`.
fn with_config(edit: impl FnOnce(&mut Value)) -> (tempfile::TempDir, Result<Checkpoint>) {
    let read = |name: &str| std::fs::read(fixture("gptq").join(name)).unwrap();
    let mut config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    edit(&mut config);
    let folder = folder_with(&[("config.json", config.to_string().as_bytes()), ("model.safetensors", &read("model.safetensors"))]);
    let checkpoint = Checkpoint::open(folder.path());
    (folder, checkpoint)
}

#[test]
fn an_older_folder_says_it_in_a_file_of_its_own() {
    let read = |name: &str| std::fs::read(fixture("gptq").join(name)).unwrap();
    let mut config: Value = serde_json::from_slice(&read("config.json")).unwrap();
    let quantization = config.as_object_mut().unwrap().remove("quantization_config").unwrap();
    let old = json!({"bits": quantization["bits"], "group_size": quantization["group_size"], "desc_act": false, "sym": true});
    let folder = folder_with(&[
        ("config.json", config.to_string().as_bytes()),
        ("quantize_config.json", old.to_string().as_bytes()),
        ("model.safetensors", &read("model.safetensors")),
    ]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.tensors().iter().filter(|info| info.format == Some(QuantFormat::Int4)).count(), 14);
}

#[test]
fn f22_packings_that_are_not_known_are_refused() {
    let refusal = |edit: &dyn Fn(&mut Value)| {
        let (folder, checkpoint) = with_config(|config| edit(&mut config["quantization_config"]));
        checkpoint.err().expect("it opens").to_string().replace(&folder.path().join("").display().to_string(), "")
    };
    assert_eq!(
        refusal(&|quantization| quantization["bits"] = json!(3)),
        "config.json: quantization_config.bits: got `3`, expected 2 or 4 or 8"
    );
    assert_eq!(
        refusal(&|quantization| quantization["checkpoint_format"] = json!("marlin")),
        "config.json: quantization_config.checkpoint_format: got `marlin`, expected gptq or gptq_v2"
    );
    assert!(refusal(&|quantization| quantization["group_size"] = json!(0)).contains("got 0, expected -1"));
    assert!(refusal(&|quantization| quantization["dynamic"] = json!({"+:.*": {"bits": 8}})).contains("quantization_config.dynamic"));
    assert_eq!(
        refusal(&|quantization| quantization["group_size"] = json!(64)),
        "model.safetensors: tensor `model.layers.0.mlp.down_proj.qzeros`: got i32 [4, 8], expected i32 [2, 8]"
    );
    assert!(refusal(&|quantization| quantization["bits"] = json!(8)).contains(".qzeros`: got i32"));
}
