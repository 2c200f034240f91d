//! Tensors that hold several matrices.

use super::*;

/// Blocks of Q8_0 for `rows` rows of `width`.
fn q8(rows: usize, width: usize, seed: usize) -> Vec<u8> {
    let mut blocks: Vec<u8> = (0..rows * width / 32 * 34).map(|i| ((i * 37 + seed * 11) % 251) as u8).collect();
    blocks.chunks_exact_mut(34).for_each(|block| block[..2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes()));
    blocks
}

/// Phi 3 of one layer with two heads on one, 32 wide, whose queries, keys and values have `rows` rows: 64 were right.
fn phi3(rows: usize) -> Writer {
    let ones = f32s(&[1.0; 32]);
    Writer::new(3)
        .string("general.architecture", "phi3")
        .whole("phi3.embedding_length", 32)
        .whole("phi3.feed_forward_length", 64)
        .whole("phi3.block_count", 1)
        .whole("phi3.attention.head_count", 2)
        .whole("phi3.attention.head_count_kv", 1)
        .whole("phi3.context_length", 64)
        .float("phi3.attention.layer_norm_rms_epsilon", 1e-5)
        .tensor("token_embd.weight", &[3, 32], 0, &f32s(&numbers(96, 0)))
        .tensor("output_norm.weight", &[32], 0, &ones)
        .tensor("blk.0.attn_norm.weight", &[32], 0, &ones)
        .tensor("blk.0.ffn_norm.weight", &[32], 0, &ones)
        .tensor("blk.0.attn_qkv.weight", &[rows as u64, 32], 8, &q8(rows, 32, 1))
        .tensor("blk.0.attn_output.weight", &[32, 32], 8, &q8(32, 32, 2))
        .tensor("blk.0.ffn_up.weight", &[128, 32], 8, &q8(128, 32, 3))
        .tensor("blk.0.ffn_down.weight", &[32, 64], 8, &q8(32, 64, 4))
}

#[test]
fn rows_of_a_packed_tensor_stay_at_their_bits() {
    let (_folder, path) = file(&phi3(64).bytes());
    let report = load(&path);
    assert_eq!((report.quantized, report.widened, report.unexpected), (vec![(QuantFormat::Int8, 7)], vec![], vec![]));
    let source = Checkpoint::open(&path).unwrap().source;
    for (part, fused, rows) in [
        ("self_attn.q_proj", q8(64, 32, 1), 0..32),
        ("self_attn.k_proj", q8(64, 32, 1), 32..48),
        ("self_attn.v_proj", q8(64, 32, 1), 48..64),
        ("mlp.gate_proj", q8(128, 32, 3), 0..64),
        ("mlp.up_proj", q8(128, 32, 3), 64..128),
    ] {
        let name = format!("model.layers.0.{part}.weight");
        let whole = blocks::widened(GgmlType::Q8_0, &fused);
        let want = &whole[rows.start * 32..rows.end * 32];
        assert_eq!(source.read_quantized(&name).unwrap().matrix().dequantize(), want, "{name}");
        assert_eq!(source.read(&name).unwrap().as_slice::<f32>().unwrap(), want, "{name}");
    }
}

/// A llama with two experts whose matrices `tensors` adds.
fn experts(tensors: impl FnOnce(Writer) -> Writer) -> Writer {
    let mut writer = keys(3).whole("llama.expert_count", 2).whole("llama.expert_used_count", 1);
    let ones = f32s(&[1.0; 32]);
    writer = writer.tensor("token_embd.weight", &[3, 32], 0, &f32s(&numbers(96, 0))).tensor("output_norm.weight", &[32], 0, &ones);
    for norm in ["attn_norm", "ffn_norm"] {
        writer = writer.tensor(&format!("blk.0.{norm}.weight"), &[32], 0, &ones);
    }
    for (seed, name) in MATRICES[..4].iter().enumerate() {
        writer = writer.tensor(&format!("blk.0.{name}.weight"), &[32, 32], 0, &floats(seed));
    }
    tensors(writer.tensor("blk.0.ffn_gate_inp.weight", &[2, 32], 0, &f32s(&numbers(64, 9))))
}

#[test]
fn experts_lie_in_stacks_or_one_by_one() {
    let kinds = ["gate", "up", "down"];
    let stacked = experts(|writer| {
        kinds.iter().enumerate().fold(writer, |writer, (seed, kind)| {
            let both = [q8(32, 32, seed), q8(32, 32, seed + 10)].concat();
            writer.tensor(&format!("blk.0.ffn_{kind}_exps.weight"), &[2, 32, 32], 8, &both)
        })
    });
    let single = experts(|writer| {
        kinds.iter().enumerate().fold(writer, |writer, (seed, kind)| {
            let writer = writer.tensor(&format!("blk.0.ffn_{kind}.0.weight"), &[32, 32], 8, &q8(32, 32, seed));
            writer.tensor(&format!("blk.0.ffn_{kind}.1.weight"), &[32, 32], 8, &q8(32, 32, seed + 10))
        })
    });
    for writer in [stacked, single] {
        let (_folder, path) = file(&writer.bytes());
        let report = load(&path);
        assert_eq!((report.quantized, report.unexpected), (vec![(QuantFormat::Int8, 6)], vec![]));
        let checkpoint = Checkpoint::open(&path).unwrap();
        let config = checkpoint.model_config().unwrap();
        assert_eq!((config.model_type.as_str(), config.experts.map(|experts| experts.num_experts)), ("mixtral", Some(2)));
        let name = "model.layers.0.mlp.experts.1.up_proj.weight";
        let matrix = checkpoint.source().read_quantized(name).unwrap().matrix();
        assert_eq!(matrix.dequantize(), blocks::widened(GgmlType::Q8_0, &q8(32, 32, 11)));
    }
}

#[test]
fn a_fused_tensor_without_rows_for_all_is_refused() {
    let message = refusal(&phi3(48).bytes());
    assert!(message.contains("qkv_proj.weight`: got [48, 32], expected at least 64 rows"), "{message}");
}

#[test]
fn what_is_not_computed_is_refused_by_its_key() {
    let with = |writer: Writer, key: &str| writer.whole(key, 7);
    assert!(refusal(&with(keys(3), "llama.expert_gating_func").bytes()).contains("llama.expert_gating_func: got 7, expected 1"));
    assert!(refusal(&with(keys(3), "llama.attention.max_alibi_bias").bytes()).contains("llama.attention.max_alibi_bias: got 7"));
    let causal = keys(3).raw("llama.attention.causal", 7, &[0]);
    assert!(refusal(&causal.bytes()).contains("llama.attention.causal: got false"));
}

#[test]
fn windows_are_honoured_or_refused_by_their_key() {
    let config = |window: u32| {
        let (_folder, path) = file(&llama(3, 0, &floats).whole("llama.attention.sliding_window", window).bytes());
        let config = Checkpoint::open(&path).unwrap().model_config().unwrap();
        (config.model_type, config.sliding_windows)
    };
    assert_eq!(config(7), ("mistral".to_owned(), vec![Some(7)]));
    assert_eq!(config(0), ("llama".to_owned(), vec![None]));
    let other = |window: u32| {
        let writer = Writer::new(3).string("general.architecture", "qwen2").whole("qwen2.context_length", 64);
        refusal(&writer.whole("qwen2.attention.sliding_window", window).bytes())
    };
    assert!(other(7).contains("qwen2.attention.sliding_window: got 7, expected none, as `qwen2` has"), "{}", other(7));
    // It reaches over all positions; something else is missing.
    assert!(other(64).contains("qwen2.attention.head_count: got nothing"), "{}", other(64));
}

#[test]
fn gate_and_up_of_experts_are_taken_apart() {
    let fused = experts(|writer| {
        let both: Vec<u8> = (0..4).flat_map(|seed| q8(32, 32, seed)).collect();
        let writer = writer.tensor("blk.0.ffn_gate_up_exps.weight", &[2, 64, 32], 8, &both);
        writer.tensor("blk.0.ffn_down_exps.weight", &[2, 32, 32], 8, &[q8(32, 32, 4), q8(32, 32, 5)].concat())
    });
    let (_folder, path) = file(&fused.bytes());
    let report = load(&path);
    assert_eq!((report.quantized, report.unexpected), (vec![(QuantFormat::Int8, 6)], vec![]));
    let source = Checkpoint::open(&path).unwrap().source;
    for (seed, name) in ["0.gate_proj", "0.up_proj", "1.gate_proj", "1.up_proj"].iter().enumerate() {
        let matrix = source.read_quantized(&format!("model.layers.0.mlp.experts.{name}.weight")).unwrap().matrix();
        assert_eq!(matrix.dequantize(), blocks::widened(GgmlType::Q8_0, &q8(32, 32, seed)), "{name}");
    }
}
