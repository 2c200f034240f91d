//! Renderings compared with those of Python's jinja2 under transformers' settings.

use super::*;
use std::path::PathBuf;

/// 2024-07-26 12:00:00, the clock of the golden renderings.
const GOLDEN_NOW: i64 = 1_721_995_200;

/// Templates that the golden renderings lack, each with its reason; `tests/differential/templates.py` renders them.
const UNRENDERED: [(&str, &str); 2] = [
    ("poolside-Laguna-S-2.1.jinja", "plain jinja2 does not know the tag `generation`, which transformers adds and we read"),
    ("poolside-Laguna-XS.2.jinja", "the same"),
];

/// Cases that cannot match, each with its reason.
const UNMATCHED: [(&str, &str); 3] = [
    ("is escaped", "`safe` marks nothing, since transformers renders without autoescape"),
    ("empty computed member defaults to undefined", "minijinja's parser refuses the empty subscript `a[]`"),
    ("empty computed member is undefined", "minijinja's parser refuses the empty subscript `a[]`"),
];

fn data(name: &str) -> Option<String> {
    let folder = std::env::var_os("LLM_TEST_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let text = std::fs::read_to_string(folder.join("chat_templates").join(name)).ok();
    if text.is_none() {
        println!("skipped: {name} is not there (set LLM_TEST_DATA)");
    }
    text
}

fn options_of(input: &Map<String, Json>) -> (Vec<Message>, RenderOptions) {
    let mut variables = input.clone();
    let messages = serde_json::from_value(variables.remove("messages").unwrap()).unwrap();
    let add_generation_prompt = variables.remove("add_generation_prompt").unwrap().as_bool().unwrap();
    let tools = variables.remove("tools").map(|tools| tools.as_array().unwrap().clone());
    (messages, RenderOptions { add_generation_prompt, tools, variables, now: Some(GOLDEN_NOW) })
}

#[test]
fn templates_render_as_transformers_does() {
    let Some(golden) = data("golden-renderings.json") else { return };
    let golden: Json = serde_json::from_str(&golden).unwrap();
    let (mut checked, mut wrong) = (0, Vec::new());
    for (name, expected) in golden["templates"].as_object().unwrap() {
        let Some(results) = expected["results"].as_object() else {
            assert!(UNRENDERED.iter().any(|(unrendered, _)| unrendered == name), "{name}: {expected}");
            continue;
        };
        let source = data(&format!("templates/{name}")).unwrap();
        let template = ChatTemplate::new(source, expected["bos_token"].as_str(), expected["eos_token"].as_str()).unwrap();
        for (input, result) in results {
            let (messages, options) = options_of(golden["inputs"][input].as_object().unwrap());
            let got = template.render(&messages, &options);
            checked += 1;
            match (result["ok"].as_str(), &got) {
                (Some(text), Ok(rendered)) if text == rendered.text() => {}
                (None, Err(_)) => {}
                _ => wrong.push(format!("{name} / {input}\n  expected {result}\n  got {got:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn small_cases_render_as_jinja2_does() {
    let Some(cases) = data("jinja-cases.json") else { return };
    let cases: Json = serde_json::from_str(&cases).unwrap();
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let expected = match case["jinja2_3.1.6"].as_str() {
            Some("same") | None => case["expected"].as_str(),
            Some(error) if error.starts_with("ERR") => None,
            Some(other) => Some(other),
        };
        let got = render_variables(case["template"].as_str().unwrap(), case["vars"].as_object().unwrap());
        let right = match (&got, expected) {
            (Ok(text), Some(expected)) => text == expected,
            (got, expected) => got.is_err() && expected.is_none(),
        };
        if right == UNMATCHED.iter().any(|(unmatched, _)| *unmatched == name) {
            wrong.push(format!("{name}: {}\n  expected {expected:?}\n  got      {got:?}", case["template"]));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Renders a template that is given `variables` and nothing else.
fn render_variables(source: &str, variables: &Map<String, Json>) -> std::result::Result<String, String> {
    let template = parsed(source).map_err(|error| error.to_string())?;
    let root = Frame::new(None);
    for (name, value) in variables {
        root.set(name, Value::from_json(value)?);
    }
    let renderer = Renderer::new(source, &template.specials, Budget::for_input(100, 10_000), GOLDEN_NOW);
    Ok(renderer.template(&template.body, &root)?.into_parts().0)
}

/// Renders as the case says; what differs, in words.
fn difference(case: &Json) -> Option<String> {
    let source = case["template"].as_str().unwrap();
    let mut inputs = case["inputs"].as_object().unwrap().clone();
    let tokens = ["bos_token", "eos_token"].map(|name| inputs.remove(name).and_then(|token| Some(token.as_str()?.to_owned())));
    let (messages, options) = options_of(&inputs);
    let template = ChatTemplate::new(source, tokens[0].as_deref(), tokens[1].as_deref());
    let got = template.and_then(|template| template.render(&messages, &options));
    match (case["ok"].as_str(), &got) {
        (Some(text), Ok(rendered)) if text == rendered.text() => None,
        (None, Err(_)) => None,
        (expected, got) => {
            let got = got.as_ref().map(Rendered::text).map_err(ToString::to_string);
            Some(format!("{source:?}\n  expected {expected:?} {}\n  got      {got:?}", case["error"]))
        }
    }
}

/// Random templates by `tests/differential/templates.py`: those that are committed, or any others.
#[test]
fn random_templates_render_as_jinja2_does() {
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/templates.json");
    let path = std::env::var_os("LLM_TEMPLATE_CASES").map_or(committed, PathBuf::from);
    let cases: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let wrong: Vec<_> = cases.iter().filter_map(difference).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 100, "{}", cases.len());
}

#[test]
fn user_text_keeps_its_origin_through_the_templates() {
    let Some(golden) = data("golden-renderings.json") else { return };
    let golden: Json = serde_json::from_str(&golden).unwrap();
    for name in golden["templates"].as_object().unwrap().keys() {
        let template = ChatTemplate::new(data(&format!("templates/{name}")).unwrap(), Some("<s>"), Some("</s>")).unwrap();
        let Ok(rendered) = template.render(&[Message::new("user", "zq<|im_end|>qz")], &RenderOptions::default()) else { continue };
        let Some(at) = rendered.text().find("zq<|im_end|>qz") else { panic!("{name}: {}", rendered.text()) };
        assert!(rendered.user().iter().any(|range| range.start <= at && at + 14 <= range.end), "{name}: {rendered:?}");
        let template_made = rendered.text().len() - rendered.user().iter().map(Range::len).sum::<usize>();
        assert!(template_made > 0, "{name}");
    }
}
