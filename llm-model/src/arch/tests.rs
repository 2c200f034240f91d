//! Configurations in both spellings, and those that must be refused.

use serde_json::{Value, json};

use crate::{ModelConfig, RopeScaling};

fn llama() -> Value {
    json!({
        "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut json = llama();
    json[key] = value;
    json
}

/// The field that the error for `json` names.
fn refused(json: &Value) -> String {
    ModelConfig::from_json(json).expect_err(&json.to_string()).field
}

#[test]
fn f23_sizes_that_are_zero_missing_negative_or_huge_are_named() {
    let sizes = ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size", "intermediate_size"];
    for key in sizes {
        for wrong in [json!(0), json!(-1), json!(1.5), json!("64"), json!(u64::MAX), json!([64])] {
            assert_eq!(refused(&with(key, wrong)), key);
        }
    }
    for key in ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size"] {
        assert_eq!(refused(&with(key, Value::Null)), key);
    }
    assert_eq!(refused(&with("num_hidden_layers", json!(100_000))), "num_hidden_layers");
    assert_eq!(refused(&with("head_dim", json!(7))), "head_dim");
    assert_eq!(refused(&with("hidden_size", json!(66))), "num_attention_heads");
    for no_object in [json!([]), json!("llama"), Value::Null] {
        assert_eq!(refused(&no_object), "config.json");
    }
}

#[test]
fn f24_heads_that_do_not_divide_and_numbers_that_are_no_positive_numbers() {
    assert_eq!(refused(&with("num_key_value_heads", json!(3))), "num_key_value_heads");
    for key in ["rope_theta", "rms_norm_eps"] {
        for wrong in [json!(0), json!(0.0), json!(-1.0), json!(1e300), json!("NaN")] {
            assert_eq!(refused(&with(key, wrong)), key);
        }
    }
    let scaling = |parts: Value| with("rope_scaling", parts);
    assert_eq!(refused(&scaling(json!({"type": "linear", "factor": 0}))), "rope_scaling.factor");
    assert_eq!(refused(&scaling(json!({"type": "linear"}))), "rope_scaling.factor");
    assert_eq!(refused(&scaling(json!({"rope_type": "spiral"}))), "rope_scaling.rope_type");
    let ramp = json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4});
    assert_eq!(refused(&scaling(ramp)), "rope_scaling.high_freq_factor");
}

#[test]
fn what_would_be_computed_otherwise_is_refused() {
    assert_eq!(refused(&with("quantization_config", json!({"quant_method": "gptq", "bits": 4}))), "quantization_config");
    let of_layers = json!({"full_attention": {"rope_type": "default", "rope_theta": 1e6}});
    assert_eq!(refused(&with("rope_parameters", of_layers)), "rope_parameters.full_attention");
    let error = ModelConfig::from_json(&with("model_type", json!("\u{1b}[2J\nerror: x"))).expect_err("unknown");
    assert_eq!(error.got, "`\\u{1b}[2J\\nerror: x`");
}

#[test]
fn f30_an_unknown_family_lists_the_known_ones() {
    let error = ModelConfig::from_json(&with("model_type", json!("mamba"))).expect_err("unknown");
    assert!(error.expected.contains("llama") && error.expected.contains("qwen3"), "{error}");
}

#[test]
fn both_spellings_of_rope_mean_the_same() {
    let mut old = with("rope_theta", json!(5e5));
    old["rope_scaling"] = json!({"type": "linear", "factor": 4.0});
    let new = with("rope_parameters", json!({"rope_type": "linear", "rope_theta": 5e5, "factor": 4.0}));
    let (old, new) = (ModelConfig::from_json(&old).expect("old"), ModelConfig::from_json(&new).expect("new"));
    assert_eq!(old.rope, new.rope);
    assert_eq!((old.rope.theta, old.rope.scaling), (5e5, RopeScaling::Linear { factor: 4.0 }));
}

#[test]
fn windows_follow_layer_types_or_the_first_layers_that_slide() {
    let mut json = with("model_type", json!("qwen2"));
    (json["use_sliding_window"], json["sliding_window"], json["max_window_layers"]) = (json!(true), json!(16), json!(1));
    assert_eq!(ModelConfig::from_json(&json).expect("qwen2").sliding_windows, [None, Some(16)]);
    json["layer_types"] = json!(["sliding_attention", "full_attention"]);
    assert_eq!(ModelConfig::from_json(&json).expect("qwen2").sliding_windows, [Some(16), None]);
    json["sliding_window"] = Value::Null;
    assert_eq!(ModelConfig::from_json(&json).expect("qwen2").sliding_windows, [None, None]);
    json["sliding_window"] = json!(16);
    json["use_sliding_window"] = json!(false);
    assert_eq!(ModelConfig::from_json(&json).expect("qwen2").sliding_windows, [None, None]);
    let mistral = with("model_type", json!("mistral"));
    assert_eq!(ModelConfig::from_json(&mistral).expect("mistral").sliding_windows, [Some(4096); 2]);
}

/// A configuration of `family` with `keys` beside those of [`llama`].
fn family(family: &str, keys: &Value) -> Value {
    let mut json = with("model_type", json!(family));
    for (key, value) in keys.as_object().expect("keys") {
        json[key] = value.clone();
    }
    json
}

#[test]
fn switches_that_are_not_known_are_refused_by_name() {
    let gpt2 = json!({"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128});
    for (name, keys, field) in [
        ("gemma", json!({"use_bidirectional_attention": true}), "use_bidirectional_attention"),
        ("gemma3_text", json!({"use_bidirectional_attention": true}), "use_bidirectional_attention"),
        ("gpt2", json!({"scale_attn_by_inverse_layer_idx": true}), "scale_attn_by_inverse_layer_idx"),
        ("gpt2", json!({"scale_attn_weights": false}), "scale_attn_weights"),
        ("gpt2", json!({"add_cross_attention": true}), "add_cross_attention"),
        ("smollm3", json!({"no_rope_layers": [1]}), "no_rope_layers"),
        ("gemma2", json!({"hidden_activation": "mish"}), "hidden_activation"),
        ("mixtral", json!({"num_local_experts": 2, "num_experts_per_tok": 3}), "num_experts_per_tok"),
        ("phi3", json!({"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}}), "rope_scaling.short_factor"),
    ] {
        let mut json = family(name, &keys);
        for (key, value) in gpt2.as_object().expect("keys").iter().filter(|_| name == "gpt2") {
            json[key] = value.clone();
        }
        assert_eq!(refused(&json), field);
    }
    // Errors say the family's own names.
    assert_eq!(refused(&family("gpt2", &json!({"n_layer": 0, "n_embd": 64, "n_head": 4}))), "n_layer");
}

#[test]
fn both_spellings_of_gemma_3s_rotations_mean_the_same() {
    let old =
        json!({"head_dim": 16, "rope_theta": 5e5, "rope_local_base_freq": 500.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let new = json!({"head_dim": 16, "rope_parameters": {
        "full_attention": {"rope_type": "linear", "rope_theta": 5e5, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
    }});
    let [old, new] = [old, new].map(|keys| ModelConfig::from_json(&family("gemma3_text", &keys)).expect("gemma 3"));
    assert_eq!(old, new);
    assert_eq!(old.local_rope.map(|rope| rope.theta), Some(500.0));
}

#[test]
fn every_family_is_read_with_the_keys_that_all_have() {
    for name in super::families() {
        let config = read(name, &json!({}));
        assert_eq!((config.model_type.as_str(), config.hidden_size, config.num_hidden_layers), (name, 64, 2));
    }
}

/// The configuration of `name` with `keys`, whatever the family calls the others, and wherever it has them.
fn read(name: &str, keys: &Value) -> ModelConfig {
    let mut json = family(name, &json!({"n_embd": 64, "n_layer": 2, "n_head": 4, "moe_intermediate_size": 32, "num_key_value_heads": 2}));
    for (key, value) in keys.as_object().expect("keys") {
        json[key] = value.clone();
    }
    if super::wrapped::of(name).is_some() {
        let mut text = json.clone();
        drop(text.as_object_mut().expect("keys").remove("model_type"));
        json = json!({"model_type": name, "text_config": text});
    }
    ModelConfig::from_json(&json).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn both_spellings_of_rope_mean_the_same_in_every_family() {
    for name in super::families() {
        let mut old = json!({"rope_scaling": {"type": "linear", "factor": 4.0}, "max_position_embeddings": 4096});
        old[if name == "gpt_neox" { "rotary_emb_base" } else { "rope_theta" }] = json!(5e5);
        let mut new = json!({"rope_type": "linear", "rope_theta": 5e5, "factor": 4.0});
        if name.starts_with("gemma3") {
            new = json!({"full_attention": new, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}});
        }
        let (old, new) = (read(name, &old), read(name, &json!({"rope_parameters": new, "max_position_embeddings": 4096})));
        assert_eq!(old, new, "{name}");
        assert_eq!((old.rope.theta, old.rope.scaling), (5e5, RopeScaling::Linear { factor: 4.0 }), "{name}");
    }
}

#[test]
fn a_language_model_is_read_from_among_others() {
    let text = json!({"hidden_size": 64, "num_hidden_layers": 2, "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let config = |extra: (&str, Value)| {
        let mut json = json!({"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 8}});
        json[extra.0] = extra.1;
        ModelConfig::from_json(&json)
    };
    // What released files leave out, and what stands beside.
    let read = config(("tie_word_embeddings", json!(false))).expect("gemma3");
    assert_eq!((read.vocab_size, read.num_attention_heads, read.num_key_value_heads, read.head_dim), (262_208, 8, 4, 256));
    assert_eq!((read.model_type.as_str(), read.tie_word_embeddings, read.intermediate_size), ("gemma3", false, 9216));
    for (wrong, field) in [
        (json!({"hidden_size": 0}), "text_config.hidden_size"),
        (json!({"model_type": "mamba"}), "text_config.model_type"),
        (Value::Null, "text_config"),
    ] {
        assert_eq!(config(("text_config", wrong)).expect_err("refused").field, field);
    }
}

#[test]
fn gpt_oss_is_stretched_where_nothing_is_written_and_may_be_in_mxfp4() {
    let plain = read("gpt_oss", &json!({"quantization_config": {"quant_method": "mxfp4"}}));
    assert!(matches!(plain.rope.scaling, RopeScaling::Yarn { truncate: false, factor: 32.0, .. }), "{:?}", plain.rope);
    assert_eq!((plain.rope.theta, plain.sliding_windows.as_slice()), (150_000.0, &[Some(128), None][..]));
    assert_eq!(refused(&with("quantization_config", json!({"quant_method": "mxfp4"}))), "quantization_config");
}
