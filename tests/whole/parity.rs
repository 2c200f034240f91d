//! Tiny random checkpoints give transformers' ids, texts and log-probabilities; `fixtures/make.py` made both.

use std::path::Path;

use llm_infer::Model;
use serde_json::Value;

use crate::support::{check_steps, cpu, devices, fixture, fixtures, greedy, ids, load, run, variants};

fn expected(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("json")
}

/// Every prompt of `folder`: ids of the prompt, 24 greedy tokens, the text, and the five best of each step within 1e-3.
fn check(folder: &Path, model: &Model, chunk: usize) {
    let expected = expected(folder);
    for prompt in expected["prompts"].as_array().expect("prompts") {
        let what = format!("{} {} on {}, chunks of {chunk}", folder.display(), prompt["name"], model.device().name);
        let text = prompt["prompt"].as_str().expect("prompt");
        let prompt_ids = ids(&prompt["prompt_tokens"]);
        assert_eq!(model.tokenizer().encode(text, true).expect("ids"), prompt_ids, "{what}");
        let mut options = greedy(24);
        options.prefill_chunk = chunk;
        let done = run(model, &prompt_ids, &options);
        assert_eq!(done.tokens, ids(&prompt["tokens"]), "{what}");
        // A run of byte tokens that is no UTF-8 may show as fewer replacement characters here: text is streamed as it becomes whole.
        let text = prompt["text"].as_str().expect("text");
        assert!(done.text == text || text.contains('\u{fffd}'), "{what}: {:?}, expected {text:?}", done.text);
        check_steps(&what, &prompt["top"], &done);
    }
}

#[test]
fn every_architecture_equals_transformers() {
    for folder in fixtures() {
        check(&folder, &load(&folder, &cpu()), 512);
    }
}

#[test]
fn variants_equal_transformers() {
    for folder in variants() {
        check(&folder, &load(&folder, &cpu()), 512);
        check(&folder, &load(&folder, &cpu()), 5);
    }
}

#[test]
fn a_prompt_in_chunks_equals_transformers() {
    for folder in fixtures() {
        let model = load(&folder, &cpu());
        for chunk in [1, 7, 64] {
            check(&folder, &model, chunk);
        }
    }
}

#[test]
fn every_device_equals_transformers() {
    for device in devices().into_iter().filter(|device| device.name != "cpu") {
        // Software adapters take seconds for each model: these four cover grouped heads, biases, windows and head norms.
        for name in ["llama", "llama-biases", "mistral-window", "qwen3"] {
            let folder = fixture(name);
            check(&folder, &load(&folder, &device), 512);
        }
    }
}

#[test]
fn chat_templates_and_their_ids_equal_transformers() {
    let mut seen = 0;
    for folder in fixtures() {
        let expected = expected(&folder);
        let Some(chat) = expected.get("chat").filter(|chat| !chat.is_null()) else { continue };
        let model = load(&folder, &cpu());
        let messages: Vec<llm_infer::chat::Message> = serde_json::from_value(chat["messages"].clone()).expect("messages");
        let variables = chat["variables"].as_object().cloned().unwrap_or_default();
        let options = llm_infer::chat::RenderOptions::with_variables(variables);
        let rendered = model.template().expect("template").render(&messages, &options).expect("rendered");
        assert_eq!(rendered.text(), chat["rendered"].as_str().expect("text"), "{}", folder.display());
        assert_eq!(model.tokenizer().encode_rendered(&rendered).expect("ids"), ids(&chat["ids"]), "{}", folder.display());
        seen += 1;
    }
    assert!(seen > 0);
}
