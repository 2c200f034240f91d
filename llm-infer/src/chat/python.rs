//! Small templates whose results are Python's, from jinja2 3.1.6 set up as transformers does.

use serde_json::json;

use super::{ChatTemplate, RenderOptions};

/// The text, or nothing where the template is refused.
fn render(template: &str) -> Option<String> {
    let variables = json!({"d": {"x": 5, "n": 2}, "l": [1, 2, 3], "s": "abcabc", "c": "\u{a0}\u{2028}", "z": 15});
    let options = RenderOptions::with_variables(variables.as_object().expect("an object").clone());
    ChatTemplate::new(template, None, None).ok()?.render(&[], &options).ok().map(|rendered| rendered.text().to_owned())
}

#[test]
fn results_are_those_of_python() {
    for (template, expected) in [
        ("{{ [c] }}", r"['\xa0\u2028']"),
        ("{{ -d.x }} {{ l[-d.n:] }} {{ -l[0] + 2 }}", "-5 [2, 3] 1"),
        ("a\r\n{% if true %}\r\nb{% endif %}", "a\nb"),
        ("{% raw %}\na{% endraw %}", "\na"),
        ("{{ '{% generation %}' }}{% generation %}x{% endgeneration %}", "{% generation %}x"),
        ("{{ ' a b '.split(none, 1) }}", "['a', 'b ']"),
        ("{{ s.find('a', 1) }} {{ s.count('a', 1) }} {{ s.startswith('b', 1) }} {{ s.rfind('a', 0, 2) }}", "3 1 True 0"),
        ("{{ none|map('upper')|list }}", "[]"),
        ("{% for x in l %}{% continue %}{% else %}E{% endfor %}", "E"),
        ("{{ z|round(-1) }} {{ true|round }}", "20 1"),
        ("{{ 2.5 is even }} {{ 4.0 is even }}", "False True"),
        ("{{ '\\x7f'|tojson(ensure_ascii=true) }}", "\"\\u007f\""),
        ("{{ l|slice(3, 'f')|list }}", "[[1, 'f'], [2, 'f'], [3, 'f']]"),
    ] {
        assert_eq!(render(template).as_deref(), Some(expected), "{template}");
    }
    for refused in ["{{ undefined|int }}", "{{ undefined|dictsort }}", "{{ s.index('z') }}"] {
        assert_eq!(render(refused), None, "{refused}");
    }
}
