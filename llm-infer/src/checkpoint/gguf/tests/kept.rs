//! Which blocks stay at their bits, and what is said of the others.

use burn::tensor::Device;
use llm_model::{TransformerBlock, Weight, arch};

use super::super::super::{Unpacked, WeightDtype};
use super::*;
use crate::quantize::Scheme;

#[test]
fn blocks_like_ours_stay_and_others_are_widened_and_said() {
    let blocks = |bytes: usize| {
        move |seed: usize| -> Vec<u8> {
            let mut all: Vec<u8> = (0..32 * bytes).map(|i| ((i * 7 + seed) % 200) as u8).collect();
            all.chunks_exact_mut(bytes).for_each(|block| block[..2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes()));
            all
        }
    };
    let (_folder, path) = file(&llama(3, 8, &blocks(34)).bytes());
    let report = load(&path);
    assert_eq!((report.quantized, report.widened), (vec![(QuantFormat::Int8, 7)], vec![]));
    let checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!((checkpoint.slow_paths(), &checkpoint.config()["quantization_config"]["method"]), (vec![], &"gguf".into()));
    for name in ["q_proj", "v_proj"] {
        let name = format!("model.layers.0.self_attn.{name}.weight");
        let whole = checkpoint.source().read(&name).unwrap();
        assert_eq!(whole.as_slice::<f32>().unwrap(), checkpoint.source().read_quantized(&name).unwrap().matrix().dequantize());
    }
    let (_folder, path) = file(&llama(3, 6, &blocks(22)).bytes());
    let report = load(&path);
    assert_eq!((report.quantized, report.widened), (vec![(QuantFormat::Int5, 7)], vec![]));
    for (kind, bytes, format) in [(39, 17, QuantFormat::Mxfp4), (20, 18, QuantFormat::Iq4Nl)] {
        let (_folder, path) = file(&llama(3, kind, &blocks(bytes)).bytes());
        let report = load(&path);
        assert_eq!((report.quantized, report.widened), (vec![(format, 7)], vec![]));
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!((checkpoint.tensors()[4].type_name(), checkpoint.slow_paths()), (format.to_string(), vec![]));
    }
    // Blocks of a vector are no matrix.
    let (_folder, path) = file(&llama_with_norms(3, 8, &blocks(34), 8, &blocks(34)(0)[..34]).bytes());
    assert_eq!(load(&path).widened, vec![("q8_0", 2)]);
    let checkpoint = Checkpoint::open(&path).unwrap();
    let [slow] = &checkpoint.slow_paths()[..] else { panic!("one reason") };
    assert_eq!((slow.stored.as_str(), slow.held, slow.tensors, slow.parameters), ("q8_0", "f32", 2, 64));
    assert!(slow.why.contains("no packed form"), "{}", slow.why);
}

#[test]
fn blocks_are_widened_where_a_type_is_asked_for() {
    let blocks = |_: usize| -> Vec<u8> {
        let mut all: Vec<u8> = (0..32 * 18).map(|i| (i * 37 % 251) as u8).collect();
        all.chunks_exact_mut(18).for_each(|block| block[..2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes()));
        all
    };
    let (_folder, path) = file(&llama(3, 2, &blocks).bytes());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let options = LoadOptions { dtype: WeightDtype::F32, ..LoadOptions::new(&Device::flex()) };
    let (mut model, report) = checkpoint.load::<TransformerBlock>(&options).unwrap();
    // 32 rows of 32 numbers, of four bits and a scale of 16 for each 32.
    let expected = Unpacked { format: QuantFormat::Int4, tensors: 7, packed_bytes: 7 * 32 * 18, bytes: 7 * 32 * 32 * 4 };
    assert_eq!((report.unpacked, report.quantized, report.widened), (vec![expected], vec![], vec![]));
    let mut seen = 0;
    for (path, weight) in model.weights_mut() {
        let Weight::Dense(dense) = &*weight else { panic!("{path} is packed") };
        let name = arch::tensor_name(&path);
        let Ok(stored) = checkpoint.source().read_quantized(&name) else { continue };
        assert_eq!(dense.val().into_data().as_slice::<f32>().unwrap(), stored.matrix().dequantize(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 7);
    // Nothing is quantized again.
    let options = LoadOptions { quantize: Some(Scheme::INT8), ..options };
    let error = checkpoint.load::<TransformerBlock>(&options).err().unwrap();
    assert!(error.to_string().contains("for a model that is quantized already"), "{error}");
}

#[test]
fn f22_an_exponent_that_is_none_is_refused() {
    let blocks = |_: usize| -> Vec<u8> { (0..32 * 17).map(|i| if i == 17 * 3 { 255 } else { 100 }).collect() };
    let (_folder, path) = file(&llama(3, 39, &blocks).bytes());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let message = checkpoint.source().read_quantized("model.layers.0.self_attn.v_proj.weight").unwrap_err().to_string();
    assert!(message.contains("exponents at [3, 0]: got `255`, expected 0 to 254"), "{message}");
}
