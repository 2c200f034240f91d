//! Rows 8 and 30 to 35: weights against the model, and files that change.

use std::cell::Cell;

use burn::tensor::{DType, TensorData, f16};

use super::*;
use crate::checkpoint::load::{Origin, fill};

fn fill_little(source: &dyn WeightSource, options: &LoadOptions) -> Result<(Little, LoadReport)> {
    let ignored = |name: &str| name.ends_with("inv_freq");
    fill(
        Little::new(false, &options.device),
        |_| Vec::new(),
        Origin { source, path: Path::new("m"), config: None },
        &hf_name,
        &ignored,
        options,
    )
}

fn source_of(tensors: &[(&str, &[usize], &[f32])]) -> Safetensors {
    Safetensors::from_bytes("m", tensor_file(tensors).leak()).unwrap()
}

/// A file of halves from f32 values.
fn half_source(tensors: &[(&str, &[usize], &[f32])]) -> Safetensors {
    let mut entries = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
        entries.insert((*name).to_owned(), serde_json::json!({"dtype": "F16", "shape": shape, "data_offsets": [begin, data.len()]}));
    }
    Safetensors::from_bytes("m", file_bytes(&serde_json::Value::Object(entries).to_string(), &data).leak()).unwrap()
}

fn values(data: TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}

#[test]
fn every_tensor_finds_its_parameter() {
    let device = Device::flex();
    let seen = Cell::new(0);
    let progress = |progress: &Progress| {
        seen.set(seen.get() + 1);
        assert_eq!((progress.tensors, progress.total_tensors, progress.total_bytes), (seen.get(), 3, 60));
    };
    let options = LoadOptions { progress: Some(&progress), ..LoadOptions::new(&device) };
    let (little, report) = fill_little(&source_of(&little_tensors()), &options).unwrap();
    assert_eq!(values(little.matrix(0).into_data()), MATRIX);
    assert_eq!(values(little.matrix(1).into_data()), [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(values(little.norm.weight.val().into_data()), [1.0, 2.0, 3.0]);
    assert_eq!((seen.get(), report.tensors, report.parameters, report.bytes, report.dtype), (3, 3, 15, 60, DType::F32));
    assert!(report.converted.is_empty() && report.unexpected.is_empty());
}

#[test]
fn halves_stay_and_vectors_become_f32() {
    let (little, report) = fill_little(&half_source(&little_tensors()), &LoadOptions::new(&Device::flex())).unwrap();
    assert_eq!((little.matrix(0).dtype(), little.norm.weight.val().dtype()), (DType::F16, DType::F32));
    assert_eq!(values(little.matrix(0).into_data()), MATRIX);
    assert_eq!(report.converted, [Conversion { from: DType::F16, to: DType::F32, tensors: 1 }]);
    assert_eq!((report.bytes_read, report.bytes), (30, 36));
}

#[test]
fn the_asked_dtype_is_given() {
    for (dtype, expected) in [(WeightDtype::F32, DType::F32), (WeightDtype::Bf16, DType::BF16)] {
        let options = LoadOptions { dtype, ..LoadOptions::new(&Device::flex()) };
        let (little, report) = fill_little(&half_source(&little_tensors()), &options).unwrap();
        assert_eq!((little.matrix(1).dtype(), report.dtype), (expected, expected));
        assert_eq!(values(little.matrix(0).into_data()), MATRIX);
    }
    assert_eq!("bf16".parse::<WeightDtype>().unwrap(), WeightDtype::Bf16);
    assert!("int3".parse::<WeightDtype>().is_err());
}

#[cfg(feature = "ndarray")]
#[test]
fn a_device_without_halves_gets_f32() {
    #[expect(deprecated, reason = "upstream advises flex; this project still offers ndarray")]
    let device = Device::ndarray();
    let (little, report) = fill_little(&half_source(&little_tensors()), &LoadOptions::new(&device)).unwrap();
    assert_eq!((little.matrix(0).dtype(), report.converted[0].tensors), (DType::F32, 3));
    let options = LoadOptions { dtype: WeightDtype::F16, ..LoadOptions::new(&device) };
    let error = fill_little(&half_source(&little_tensors()), &options).unwrap_err();
    assert!(matches!(&error, Error::Device { message, .. } if message == "it does not compute in `f16`"), "{error}");
}

#[test]
fn loaded_parameters_train_on_an_autodiff_device() {
    let device = Device::flex().autodiff();
    let (little, _) = fill_little(&source_of(&little_tensors()), &LoadOptions::new(&device)).unwrap();
    let gradients = little.matrix(0).powi_scalar(2).sum().backward();
    let gradient = little.matrix(0).grad(&gradients).unwrap();
    assert_eq!(values(gradient.into_data()), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
}

#[test]
fn f08_zero_size_tensor_is_refused_where_required() {
    let mut tensors = little_tensors();
    tensors[1] = ("model.layers.0.weight", &[0, 3], &[]);
    let error = fill_little(&source_of(&tensors), &LoadOptions::new(&Device::flex())).unwrap_err();
    assert_eq!(error.to_string(), "m: 1 misshapen tensor: `model.layers.0.weight` (got [0, 3], expected [2, 3])");
}

#[test]
fn f30_unknown_architecture() {
    let config = r#"{"model_type": "perceiver", "architectures": ["PerceiverModel"]}"#;
    let checkpoint = Checkpoint::from_bytes("built", config, None, tensor_file(&[]).leak()).unwrap();
    let message = checkpoint.model_config().unwrap_err().to_string();
    assert!(message.contains("model_type: got `perceiver`, expected one of") && message.contains("llama"), "{message}");
}

#[test]
fn f31_missing_and_misshapen() {
    let tensors: [(&str, &[usize], &[f32]); 2] = [("model.norm.weight", &[3], &[0.0; 3]), ("model.layers.1.weight", &[3, 2], &[0.0; 6])];
    let error = fill_little(&source_of(&tensors), &LoadOptions::new(&Device::flex())).unwrap_err();
    let expected =
        "m: 1 missing tensor: `model.layers.0.weight`; 1 misshapen tensor: `model.layers.1.weight` (got [3, 2], expected [2, 3])";
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().is_some());
}

#[test]
fn f31_integers_in_place_of_floats() {
    let header = r#"{"model.norm.weight":{"dtype":"I32","shape":[3],"data_offsets":[0,12]}}"#;
    let source = Safetensors::from_bytes("m", file_bytes(header, &[0; 12]).leak()).unwrap();
    let message = fill_little(&source, &LoadOptions::new(&Device::flex())).unwrap_err().to_string();
    assert!(message.contains("`model.norm.weight` (got i32, expected floats)"), "{message}");
}

#[test]
fn f32_extra_tensors_are_reported_or_refused() {
    let mut tensors = little_tensors();
    tensors.push(("model.extra", &[1], &[0.0]));
    tensors.push(("model.layers.0.rotary_emb.inv_freq", &[1], &[0.0]));
    let options = LoadOptions::new(&Device::flex());
    let (_, report) = fill_little(&source_of(&tensors), &options).unwrap();
    assert_eq!((report.unexpected, report.ignored), (vec!["model.extra".into()], vec!["model.layers.0.rotary_emb.inv_freq".into()]));
    let error = fill_little(&source_of(&tensors), &LoadOptions { strict: true, ..options }).unwrap_err();
    assert_eq!(error.to_string(), "m: 1 unexpected tensor: `model.extra`");
}

#[test]
fn f33_values_that_are_no_numbers() {
    let file = tensor_file(&[("good", &[2], &[1.0, -1.0]), ("bad", &[2, 2], &[0.0, 0.0, f32::NAN, f32::INFINITY])]);
    let checkpoint = Checkpoint::from_bytes("built", "{}", None, file.leak()).unwrap();
    let message = checkpoint.check(None, None).unwrap_err().to_string();
    assert_eq!(message, "built/model.safetensors: tensor `bad` at [1, 0]: got `NaN`, expected a finite number");
    let checkpoint = Checkpoint::from_bytes("built", "{}", None, tensor_file(&little_tensors()).leak()).unwrap();
    assert_eq!(checkpoint.check(None, None).unwrap(), CheckReport { tensors: 3, values: 15, bytes: 60 });
}

#[test]
fn f31_shapes_are_checked_without_a_load() {
    let config = r#"{"model_type": "llama", "vocab_size": 4, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 2}"#;
    let file = tensor_file(&[("model.norm.weight", &[3], &[1.0; 3])]);
    let message = Checkpoint::from_bytes("built", config, None, file.leak()).unwrap().check_shapes().unwrap_err().to_string();
    assert!(message.contains("`model.norm.weight` (got [3], expected [4])") && message.contains("missing"), "{message}");
}

#[test]
fn f35_truncated_or_rewritten_while_reading() {
    let folder = folder_with(&[("m.safetensors", &tensor_file(&little_tensors()))]);
    let path = folder.path().join("m.safetensors");
    let options = LoadOptions::new(&Device::flex());
    require_changes_noticed(&path, || Safetensors::open(&path), |source| fill_little(source, &options));
}

#[test]
fn a_cancelled_load_ends() {
    let cancel = AtomicBool::new(true);
    let options = LoadOptions { cancel: Some(&cancel), ..LoadOptions::new(&Device::flex()) };
    assert!(matches!(fill_little(&source_of(&little_tensors()), &options), Err(Error::Cancelled)));
    let checkpoint = Checkpoint::from_bytes("built", "{}", None, tensor_file(&little_tensors()).leak()).unwrap();
    assert!(matches!(checkpoint.check(None, Some(&cancel)), Err(Error::Cancelled)));
}
