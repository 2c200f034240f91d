//! Chat templates, rendered with a conversation that has tools in it.
#![no_main]

use llm_infer::chat::{ChatTemplate, Message, RenderOptions};

const MESSAGES: &str = r#"[
    {"role": "system", "content": "Be <kind>."},
    {"role": "user", "content": [{"type": "text", "text": "Hé 🌍"}, {"type": "image"}]},
    {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"x": 1.5}}}]},
    {"role": "tool", "tool_call_id": "1", "content": "{\"a\": [1, null]}"},
    {"role": "assistant", "content": "<think>hm</think> yes"}
]"#;

libfuzzer_sys::fuzz_target!(|source: &str| {
    let Ok(template) = ChatTemplate::new(source, Some("<s>"), Some("</s>")) else { return };
    let messages: Vec<Message> = serde_json::from_str(MESSAGES).expect("messages");
    let tool = serde_json::json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    for tools in [None, Some(vec![tool])] {
        let options = RenderOptions { tools, now: Some(0), ..RenderOptions::default() };
        if let Ok(rendered) = template.render(&messages, &options) {
            // What came from the user lies in the text, at the bounds of characters.
            for range in rendered.user() {
                assert!(rendered.text().get(range.clone()).is_some(), "{range:?}");
            }
        }
    }
});
