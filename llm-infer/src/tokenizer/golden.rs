//! Random tokenizers compared with the `tokenizers` library of Python, which made the cases.

use super::*;
use crate::chat::Rendered;
use std::path::Path;

/// Cases by `tests/differential/tokenizers_cases.py`: those that are committed, or any others.
fn cases() -> Vec<Json> {
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tokenizers.json");
    let path = std::env::var_os("LLM_TOKENIZER_CASES").map_or(committed, PathBuf::from);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(json: &Json) -> Vec<u32> {
    json.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// What differs for one tokenizer.
fn differences(case: &Json) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |what: &str, input: &Json, expected: String, got: String| {
        if expected != got {
            wrong.push(format!("{} {what} {input}:\n  expected {expected}\n  got      {got}", case["kind"]));
        }
    };
    let file = case["tokenizer"].to_string();
    let tokenizer = Tokenizer::from_bytes(Path::new("tokenizer.json"), file.as_bytes(), None).unwrap();
    let added: Vec<u32> =
        case["tokenizer"]["added_tokens"].as_array().unwrap().iter().map(|token| token["id"].as_u64().unwrap() as u32).collect();
    for text in case["texts"].as_array().unwrap() {
        let (expected, special) = (ids(&text["ids"]), ids(&text["special_ids"]));
        let rendered = Rendered::new(text["text"].as_str().unwrap(), Vec::new());
        check("of a template", &text["text"], format!("{expected:?}"), format!("{:?}", tokenizer.encode_rendered(&rendered).unwrap()));
        // What a user writes never becomes an added token that steers the model.
        if !expected.iter().any(|id| added.contains(id)) {
            check("of a user", &text["text"], format!("{special:?}"), format!("{:?}", tokenizer.encode(rendered.text(), true).unwrap()));
        }
    }
    let falls_back = case["tokenizer"]["decoder"].to_string().contains("ByteFallback");
    for list in case["decoded"].as_array().unwrap() {
        for (skip_special, expected) in [(false, &list["all"]), (true, &list["plain"])] {
            let input = ids(&list["ids"]);
            let mut expected = expected.as_str().unwrap().to_owned();
            let whole = tokenizer.decode(&input, skip_special);
            // Of a run of bytes with one that is wrong the library drops all; here characters are shown as soon as they are whole.
            if falls_back && expected.contains('\u{fffd}') && whole.contains('\u{fffd}') {
                expected.clone_from(&whole);
            }
            check("decoding", &list["ids"], format!("{expected:?}"), format!("{whole:?}"));
            let mut decoder = tokenizer.streaming_decoder(skip_special);
            let shown: String = input.iter().filter_map(|id| decoder.push(*id)).collect();
            check("streaming", &list["ids"], format!("{expected:?}"), format!("{:?}", shown + &decoder.flush()));
        }
    }
    wrong
}

#[test]
fn random_tokenizers_agree_with_the_library() {
    let cases = cases();
    let wrong: Vec<_> = cases.iter().flat_map(differences).collect();
    assert!(wrong.is_empty(), "{} differences in {} tokenizers:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 16, "{}", cases.len());
}
