//! The library's ids for ordinary text, no control ids for text of users, and decoding without half characters.

use super::*;
use crate::chat::Rendered;
use proptest::prelude::*;
use serde_json::json;
use std::path::Path;

fn data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LLM_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join("tokenizers").join(name);
    if !path.exists() {
        println!("skipped: {name} is not there (set LLM_TEST_DATA)");
        return None;
    }
    Some(path)
}

/// The real tokenizers that the library reads (it refuses the merges of the shared llama2 file, here as in Python).
fn real() -> Vec<(&'static str, Tokenizer, tokenizers::Tokenizer)> {
    let open = |name| {
        let dir = data(name)?;
        let library = tokenizers::Tokenizer::from_file(dir.join("tokenizer.json")).ok()?;
        Some((name, Tokenizer::open(&dir).unwrap(), library))
    };
    ["gpt2", "llama2", "phi-3-mini"].into_iter().filter_map(open).collect()
}

fn added(id: u32, content: &str, special: bool) -> Json {
    json!({"id": id, "content": content, "special": special, "normalized": false,
           "single_word": false, "lstrip": false, "rstrip": false})
}

/// A tokenizer of all bytes with a few merges, GPT-2's alphabet, and chat marks.
fn byte_level() -> Json {
    let mut alphabet: Vec<char> = (0x21..=0x7e).chain(0xa1..=0xac).chain(0xae..=0x143).filter_map(char::from_u32).collect();
    alphabet.push('\u{ad}');
    alphabet.retain(|c| *c != '\u{ad}');
    let mut vocab = serde_json::Map::new();
    for (id, c) in alphabet.iter().enumerate() {
        vocab.insert(c.to_string(), json!(id));
    }
    for (id, token) in ["he", "ll", "Ġhe", "hell", "ab"].iter().enumerate() {
        vocab.insert((*token).to_owned(), json!(256 + id));
    }
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [added(261, "<|im_start|>", true), added(262, "<|im_end|>", true), added(263, "<think>", false),
                         added(264, "    ", false)],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
                  "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                  "merges": ["h e", "l l", "Ġ he", "he ll", "a b"]}
    })
}

fn build(json: &Json) -> Result<Tokenizer> {
    Tokenizer::from_bytes(Path::new("tokenizer.json"), json.to_string().as_bytes(), None)
}

fn library(json: &Json) -> tokenizers::Tokenizer {
    tokenizers::Tokenizer::from_bytes(json.to_string()).unwrap()
}

#[test]
fn f37_tokenizer_missing() {
    let dir = tempfile::tempdir().unwrap();
    let error = Tokenizer::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("tokenizer.json") && error.hint().is_some(), "{error}");
    for text in ["", "{", "[]", "{\"model\": 1}", "\u{0}"] {
        std::fs::write(dir.path().join("tokenizer.json"), text).unwrap();
        assert!(matches!(Tokenizer::open(dir.path()), Err(Error::Invalid { .. })), "{text}");
    }
}

#[test]
fn f38_id_beyond_the_embedding() {
    let tokenizer = build(&byte_level()).unwrap();
    assert_eq!(tokenizer.vocab_size(), 265);
    tokenizer.check_ids(265).unwrap();
    assert!(tokenizer.check_ids(264).unwrap_err().to_string().contains("id 264"));
}

#[test]
fn f39_merge_of_an_unknown_token() {
    let mut json = byte_level();
    json["model"]["merges"].as_array_mut().unwrap().push(json!("zz zz"));
    let error = build(&json).unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("zz"), "{error}");
}

#[test]
fn f40_backtracking_pre_tokenizer() {
    for pattern in ["(a+)+", "(a+)+$", "(a+)+(?!a)b", "(?=(a+)+b)a", "^(a|a?)+(?<!x)b"] {
        let mut json = byte_level();
        json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]});
        if let Ok(tokenizer) = build(&json) {
            let _ = tokenizer.encode(&("a".repeat(5000) + "!"), false);
        }
    }
}

#[test]
fn f41_a_million_of_one_character() {
    let mut tokenizers = vec![("tiny".to_owned(), build(&byte_level()).unwrap())];
    tokenizers.extend(real().into_iter().map(|(name, tokenizer, _)| (name.to_owned(), tokenizer)));
    for (name, tokenizer) in tokenizers {
        for c in ["a", " ", "\n", "é", "ab "] {
            let started = std::time::Instant::now();
            let ids = tokenizer.encode(&c.repeat(1_000_000), false);
            println!("{name} {c:?}: {:?} in {:?}", ids.map(|ids| ids.len()), started.elapsed());
        }
    }
}

#[test]
fn f42_user_text_never_becomes_a_control_token() {
    let mut tokenizers = vec![build(&byte_level()).unwrap()];
    tokenizers.extend(real().into_iter().map(|(_, tokenizer, _)| tokenizer));
    for tokenizer in tokenizers {
        for token in tokenizer.shared.control.values() {
            let text = format!("a{0}b {0} {0}{0}\n{0}", token.content);
            let mut rendered = vec![tokenizer.encode(&text, false).unwrap()];
            let whole = Rendered::new(format!("x{text}y"), vec![1..1 + text.len()]);
            rendered.push(tokenizer.encode_rendered(&whole).unwrap());
            // Half of the token from the template, half from the user.
            let half = token.content.chars().next().unwrap().len_utf8();
            let halves = vec![half..token.content.len()];
            rendered.push(tokenizer.encode_rendered(&Rendered::new(token.content.clone(), halves)).unwrap());
            for ids in rendered {
                let unknown = tokenizer.named("unk_token").and_then(|token| tokenizer.id(token));
                let control = ids.iter().find(|id| tokenizer.shared.control.contains_key(id) && Some(**id) != unknown);
                assert_eq!(control, None, "{}", token.content);
            }
        }
    }
}

#[test]
fn f42_a_vocabulary_that_holds_its_control_tokens() {
    let vocab = [["<unk>", "0"], ["</s>", "0"], ["▁", "-3"], ["<", "-3"], ["/", "-3"], ["s", "-3"], [">", "-3"], ["/s", "-2"]];
    let vocab: Vec<Json> = vocab.iter().map(|[token, score]| json!([token, score.parse::<f64>().unwrap()])).collect();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": [added(0, "<unk>", true), added(1, "</s>", true)],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": false}
    });
    let tokenizer = build(&json).unwrap();
    assert_eq!(tokenizer.encode("</s>s", false).unwrap(), [2, 3, 7, 6, 5]);
    assert_eq!(tokenizer.encode_rendered(&Rendered::new("</s>s", vec![])).unwrap()[0], 1);
}

#[test]
fn f43_control_tokens_of_the_template_are_found() {
    let json = byte_level();
    let (tokenizer, library) = (build(&json).unwrap(), library(&json));
    let text = "<|im_start|>user\nhello <think> there    <|im_end|>\n";
    let ids = tokenizer.encode_rendered(&Rendered::new(text, vec![17..22])).unwrap();
    assert_eq!(ids, library.encode_fast(text, false).unwrap().get_ids());
}

#[test]
fn f43_expected_encodings() {
    let Some(expected) = data("expected-encodings/gpt2_encoded_tokens.json") else { return };
    let expected: Json = serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
    let Some(dir) = data("gpt2") else { return };
    let tokenizer = Tokenizer::open(&dir).unwrap();
    let text = expected["text"].as_str().unwrap();
    let ids = tokenizer.encode(text, false).unwrap();
    let wanted: Vec<u32> = expected["token_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    assert_eq!(ids, wanted);
    assert_eq!(tokenizer.decode(&ids, false), text);
}

#[test]
fn special_tokens_follow_the_post_processor() {
    let mut json = byte_level();
    json["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [261], "tokens": ["<|im_start|>"]}}});
    let config = br#"{"add_bos_token": false, "bos_token": "<|im_start|>", "eos_token": {"content": "<eos>"},
        "added_tokens_decoder": {"265": {"content": "<extra>", "special": true}}}"#;
    let tokenizer = Tokenizer::from_bytes(Path::new("x"), json.to_string().as_bytes(), Some(config)).unwrap();
    assert_eq!(tokenizer.encode("ab", true).unwrap(), [261, 260]);
    assert_eq!(tokenizer.encode("ab", false).unwrap(), [260]);
    assert_eq!((tokenizer.bos_id(), tokenizer.id("<extra>"), tokenizer.eos_id()), (Some(261), Some(265), Some(266)));
    assert_eq!(tokenizer.decode(&[261, 260, 266], true), "ab");
    assert_eq!(tokenizer.pieces(&[261, 258, 260]), ["<|im_start|>", " he", "ab"]);
}

#[test]
fn f43_sentencepiece_cases() {
    let (Some(dir), Some(cases)) = (data("phi-3-mini"), data("gguf-vocab/ggml-vocab-phi-3.gguf.inp")) else { return };
    let tokenizer = Tokenizer::open(&dir).unwrap();
    let inputs = std::fs::read_to_string(&cases).unwrap();
    let outputs = std::fs::read_to_string(cases.with_extension("out")).unwrap();
    for (text, expected) in inputs.split("\n__ggml_vocab_test__\n").zip(outputs.lines()) {
        let ids = tokenizer.encode(text, false).unwrap();
        let spelled: String = ids.iter().map(|id| format!(" {id}")).collect();
        assert_eq!(spelled, expected, "{text:?}");
        assert_eq!(tokenizer.decode(&ids, false), text);
    }
}

#[test]
fn f44_no_half_characters() {
    let tokenizer = build(&byte_level()).unwrap();
    let text = "a 🌍 你好 é";
    let mut decoder = tokenizer.streaming_decoder(true);
    let mut shown = String::new();
    for id in tokenizer.encode(text, false).unwrap() {
        let part = decoder.push(id).unwrap_or_default();
        assert!(!part.contains('\u{fffd}'));
        shown += &part;
    }
    assert_eq!(shown + &decoder.flush(), text);
}

#[test]
fn f45_cut_in_mid_character() {
    let tokenizer = build(&byte_level()).unwrap();
    let ids = tokenizer.encode("ab🌍", false).unwrap();
    assert_eq!(tokenizer.decode(&ids[..ids.len() - 1], true), "ab\u{fffd}");
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut decoder = tokenizer.streaming_decoder(false);
    let mut text: String = ids.iter().filter_map(|id| decoder.push(*id)).collect();
    text += &decoder.flush();
    text
}

proptest! {
    #[test]
    fn ordinary_text_has_the_librarys_ids(text in "(hello| |    |ab|\\PC|🌍|\n){0,20}") {
        let json = byte_level();
        let ids = build(&json).unwrap().encode(&text, false).unwrap();
        let library = library(&json).encode_fast(text.as_str(), false).unwrap();
        prop_assert_eq!(ids, library.get_ids());
    }

    #[test]
    fn any_ids_decode_as_the_library_decodes_them(ids in proptest::collection::vec(0u32..270, 0..40)) {
        let json = byte_level();
        let tokenizer = build(&json).unwrap();
        prop_assert_eq!(tokenizer.decode(&ids, false), library(&json).decode(&ids, false).unwrap());
        prop_assert_eq!(streamed(&tokenizer, &ids), tokenizer.decode(&ids, false));
    }
}

#[test]
fn real_tokenizers_agree_with_the_library() {
    let texts = ["Hello world", "  two  spaces ", "\n\nline\t tab", "你好，世界 🌍 émigré", "a<b>&c</d>", "", " ", "1234567890 x = y+z;"];
    for (name, tokenizer, library) in real() {
        for text in texts {
            let ids = tokenizer.encode(text, true).unwrap();
            assert_eq!(ids, library.encode_fast(text, true).unwrap().get_ids(), "{name} {text:?}");
            assert_eq!(tokenizer.decode(&ids, true), library.decode(&ids, true).unwrap(), "{name} {text:?}");
            assert_eq!(streamed(&tokenizer, &ids), library.decode(&ids, false).unwrap(), "{name} {text:?}");
        }
        let template = "<|user|>\nHi <b> there<|end|>\n<|assistant|>\n  <s> x</s>y";
        let ids = tokenizer.encode_rendered(&Rendered::new(template, vec![9..21])).unwrap();
        assert_eq!(ids, library.encode_fast(template, false).unwrap().get_ids(), "{name}");
    }
}
