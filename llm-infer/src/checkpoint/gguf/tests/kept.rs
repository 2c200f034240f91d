//! Which blocks stay at their bits, and what is said of the others.

use super::*;

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
fn f22_an_exponent_that_is_none_is_refused() {
    let blocks = |_: usize| -> Vec<u8> { (0..32 * 17).map(|i| if i == 17 * 3 { 255 } else { 100 }).collect() };
    let (_folder, path) = file(&llama(3, 39, &blocks).bytes());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let message = checkpoint.source().read_quantized("model.layers.0.self_attn.v_proj.weight").unwrap_err().to_string();
    assert!(message.contains("exponents at [3, 0]: got `255`, expected 0 to 254"), "{message}");
}
