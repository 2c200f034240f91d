//! What is saved loads again, here and elsewhere.

use burn::tensor::{DType, TensorData};
use serde_json::json;

use super::*;
use crate::checkpoint::load::{Origin, fill};
use crate::checkpoint::save::save_module;

fn save_little(module: &Little, folder: &Path, options: &SaveOptions) -> Result<()> {
    save_module(module, &hf_name, &json!({"model_type": "little"}), folder, options)
}

fn file_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_saved_module_loads_again() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("new/model");
    let module = Little::new(true, &device);
    save_little(&module, &target, &SaveOptions::default()).unwrap();
    assert_eq!(file_names(&target), ["config.json", "model.safetensors"]);
    assert_eq!(json::read_object(&target.join("config.json")).unwrap(), json!({"model_type": "little", "torch_dtype": "float32"}));

    let source = Safetensors::open(target.join("model.safetensors")).unwrap();
    let options = LoadOptions { strict: true, ..LoadOptions::new(&device) };
    let origin = Origin { source: &source, path: &target, config: None };
    let (loaded, _) = fill(Little::new(false, &device), |_| Vec::new(), origin, &hf_name, &|_| false, &options).unwrap();
    assert_eq!(loaded.matrix(1).into_data(), module.matrix(1).into_data());
    assert_eq!(loaded.norm.weight.val().into_data(), module.norm.weight.val().into_data());
}

#[test]
fn the_reference_reader_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let module = Little::new(true, &Device::flex());
    save_little(&module, folder.path(), &SaveOptions { dtype: WeightDtype::Bf16, ..Default::default() }).unwrap();
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let (header_len, metadata) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!((header_len % 8, metadata.metadata().as_ref().unwrap()["format"].as_str()), (0, "pt"));
    let view = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let saved = view.tensor("model.layers.0.weight").unwrap();
    assert_eq!((saved.dtype(), saved.shape()), (::safetensors::Dtype::BF16, &[2, 3][..]));
    let expected: TensorData = module.matrix(0).into_data().convert_dtype(DType::BF16);
    assert_eq!(saved.data(), expected.as_bytes());
    assert_eq!(json::read_object(&folder.path().join("config.json")).unwrap()["torch_dtype"], "bfloat16");
}

#[test]
fn existing_files_stay_unless_told() {
    let folder = folder_with(&[("config.json", b"old")]);
    let module = Little::new(true, &Device::flex());
    let error = save_little(&module, folder.path(), &SaveOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with("config.json: file: got one that exists already, expected none"), "{error}");
    assert_eq!(file_names(folder.path()), ["config.json"]);
    save_little(&module, folder.path(), &SaveOptions { overwrite: true, ..Default::default() }).unwrap();
    assert_eq!(file_names(folder.path()), ["config.json", "model.safetensors"]);
}

#[test]
fn a_save_that_ends_early_leaves_the_old_files() {
    let folder = folder_with(&[("config.json", b"old"), ("model.safetensors", b"old")]);
    let cancel = AtomicBool::new(true);
    let options = SaveOptions { overwrite: true, cancel: Some(&cancel), ..Default::default() };
    assert!(matches!(save_little(&Little::new(true, &Device::flex()), folder.path(), &options), Err(Error::Cancelled)));
    assert_eq!(file_names(folder.path()), ["config.json", "model.safetensors"]);
    assert_eq!(std::fs::read(folder.path().join("model.safetensors")).unwrap(), b"old");
}
