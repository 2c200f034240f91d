//! Rows 20, 22 and 33 of quantized files: notes that are wrong, parts that do not fit, values that are none.

use burn::tensor::f16;
use llm_model::quant::{METHOD, QuantFormat, QuantMatrix};
use serde_json::{Value, json};

use super::*;
use crate::checkpoint::{Form, Planned, QuantizedFile};

const CONFIG: &str = r#"{"model_type": "llama", "quantization_config": {"quant_method": "llm-blocks"}}"#;

/// A change to the notes, and what is said about it.
type Case = (fn(&mut Value), &'static str);

/// The bytes of a file with the matrix `w` in `format`, and its header.
fn quantized_file(format: QuantFormat) -> (Value, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let weights: Vec<f32> = (0..2 * 33).map(|i| i as f32 - 30.0).collect();
    let mut file =
        QuantizedFile::create(&path, &[Planned { name: "w".into(), shape: vec![2, 33], form: Form::Quantized(format) }]).unwrap();
    file.put_matrix("w", &QuantMatrix::nearest(format, &weights, 33)).unwrap();
    file.finish(&|_| Ok(())).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..end]).unwrap(), bytes[end..].to_vec())
}

fn open(header: &Value, data: &[u8], config: &str) -> Result<Checkpoint> {
    Checkpoint::from_bytes("built", config, None, file_bytes(&header.to_string(), data).leak())
}

/// What opening says once `change` was made to the notes.
fn refused_notes(change: impl FnOnce(&mut Value)) -> String {
    let (mut header, data) = quantized_file(QuantFormat::Int4);
    let mut notes: Value = serde_json::from_str(header["__metadata__"]["quantization"].as_str().unwrap()).unwrap();
    change(&mut notes);
    header["__metadata__"]["quantization"] = notes.to_string().into();
    open(&header, &data, CONFIG).err().unwrap().to_string()
}

#[test]
fn a_quantized_tensor_is_one_tensor() {
    for format in QuantFormat::ROUNDED {
        let (header, data) = quantized_file(format);
        let checkpoint = open(&header, &data, CONFIG).unwrap();
        assert_eq!(METHOD, "llm-blocks");
        let [info] = checkpoint.tensors() else { panic!("one tensor") };
        assert_eq!((info.name.as_str(), info.shape.as_slice(), info.bytes), ("w", &[2, 33][..], data.len() as u64));
        assert_eq!((info.type_name(), info.is_float(), info.elements()), (format.name().to_owned(), true, 66));
        assert_eq!(checkpoint.check(None, None).unwrap(), CheckReport { tensors: 1, values: 66, bytes: data.len() as u64 });
    }
}

#[test]
fn f20_data_past_the_end_of_a_quantized_file() {
    let (header, mut data) = quantized_file(QuantFormat::Int8);
    data.push(0);
    let message = open(&header, &data, CONFIG).err().unwrap().to_string();
    assert!(message.contains("the end of the last tensor"), "{message}");
}

#[test]
fn f22_notes_that_are_not_understood() {
    let cases: [Case; 8] = [
        (|notes| notes["version"] = 2.into(), "__metadata__: quantization: version: got 2, expected 1"),
        (|notes| notes["block_size"] = 64.into(), "quantization: block_size: got 64, expected 32"),
        (|notes| notes["tensors"]["w"]["format"] = "int3".into(), "format: got `int3`, expected one of int4, int4-asymmetric, int8"),
        (|notes| notes["tensors"]["w"]["shape"] = json!([2, 0]), "shape: got [2, 0], expected sizes from 1"),
        (|notes| notes["tensors"]["w"]["shape"] = json!([u64::MAX, 2]), "shape: got [18446744073709551615, 2]"),
        (|notes| notes["tensors"]["w"]["shape"] = json!([2]), "quantization: JSON at line"),
        (|notes| notes["tensors"] = "all".into(), "quantization: JSON at line"),
        (|notes| *notes = json!([]), "quantization: JSON at line"),
    ];
    for (change, expected) in cases {
        let message = refused_notes(change);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn f22_parts_that_do_not_fit_their_notes() {
    let cases: [Case; 4] = [
        (
            |notes| notes["tensors"]["w"]["shape"] = json!([2, 35]),
            "tensor `w.values`: got u8 [2, 17], expected u8 [2, 18], as int4 [2, 35] needs",
        ),
        (|notes| notes["tensors"]["w"]["shape"] = json!([3, 33]), "tensor `w.values`: got u8 [2, 17], expected u8 [3, 17]"),
        (|notes| notes["tensors"]["w"]["format"] = "int4-asymmetric".into(), "tensor `w.minima`: got nothing, expected f16 [2, 2]"),
        (|notes| notes["tensors"]["v"] = json!({"format": "int4", "shape": [1, 1]}), "tensor `v.values`: got nothing"),
    ];
    for (change, expected) in cases {
        let message = refused_notes(change);
        assert!(message.contains(expected), "{message}");
    }
    let (mut header, mut data) = quantized_file(QuantFormat::Int4);
    header["w"] = json!({"dtype": "U8", "shape": [1], "data_offsets": [data.len(), data.len() + 1]});
    data.push(0);
    let message = open(&header, &data, CONFIG).err().unwrap().to_string();
    assert!(message.contains("tensor `w`: got it beside a quantized one of its name"), "{message}");
}

#[test]
fn f22_configuration_and_weights_speak_of_the_same() {
    let (mut header, data) = quantized_file(QuantFormat::Int4);
    let error = open(&header, &data, "{}").err().unwrap();
    assert!(error.to_string().starts_with("built/config.json: quantization_config: got nothing"), "{error}");
    header["__metadata__"].as_object_mut().unwrap().remove("quantization");
    let error = open(&header, &data, CONFIG).err().unwrap();
    assert!(error.to_string().contains("__metadata__: quantization: got nothing") && error.hint().is_some(), "{error}");
}

#[test]
fn f33_factors_that_are_none() {
    let (header, mut data) = quantized_file(QuantFormat::Int8);
    let offset = |part: &str| header[part]["data_offsets"][0].as_u64().unwrap() as usize;
    let at = offset("w.scales") + 2 * 3;
    let good = data.clone();
    data[at..at + 2].copy_from_slice(&f16::INFINITY.to_le_bytes());
    let checkpoint = open(&header, &data, CONFIG).unwrap();
    let message = checkpoint.check(None, None).unwrap_err().to_string();
    assert_eq!(message, "built/model.safetensors: tensor `w.scales` at [1, 1]: got `inf`, expected a finite number");
    data = good;
    data[offset("w.values") + 35] = 0;
    let checkpoint = open(&header, &data, CONFIG).unwrap();
    // Our own rounding never has it, but it is a value.
    assert!(checkpoint.check(None, None).is_ok());
}

#[test]
fn f35_quantized_files_change_while_reading() {
    for format in [QuantFormat::Int4Asymmetric, QuantFormat::Int8] {
        let (header, data) = quantized_file(format);
        let folder = folder_with(&[("config.json", CONFIG.as_bytes()), ("model.safetensors", &file_bytes(&header.to_string(), &data))]);
        let path = folder.path().join("model.safetensors");
        require_changes_noticed(&path, || Checkpoint::open(folder.path()), |checkpoint| checkpoint.source().read_quantized("w"));
    }
}
