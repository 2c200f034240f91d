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
        (
            "{{ d.items() }}{{ d.keys() }}{{ d.items()[0] }}{{ d.keys() is sequence }}",
            "dict_items([('x', 5), ('n', 2)])dict_keys(['x', 'n'])False",
        ),
        ("{% set g = l|map('string') %}{{ g|first }}{{ g|list }}{{ g|list }}", "1['2', '3'][]"),
        ("{{ '%(a)s|%03d' % {'a': 1} if false else '%(a)s' % {'a': 1} }}{{ '%03d' % -1 }}{{ '{:03d}'.format(-1) }}", "1-01-01"),
        ("{{ 'ΟΔΟΣ ΑΣ'.lower() }} {{ 'ǆ ﬁ ა'.title() }} {{ 'ß'.casefold() }} {{ '%x' % -31 }}", "οδος ας ǅ Fi ა ss -1f"),
        ("{{ -1 % 0.3 }} {{ -0.1 // -3 }} {{ (-0.25)|round(0, 'ceil') }}", "0.19999999999999996 0.0 0.0"),
        ("{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m(1, 2) }}{{ m }}", "(2,)<Macro 'm'>"),
        ("{{ [{}.a, {}.b]|sort }}{{ 'a1'|replace(1, none) }}{{ '%r' % nothing }}", "[Undefined, Undefined]aNoneUndefined"),
        ("{{ l|batch(0)|list }}{{ l|batch(-1, 0)|list }}{{ l|truncate(3) }}", "[[], [1, 2, 3]][[1, 2, 3]][1, 2, 3]"),
        ("{% if false %}{{ l|unknown }}{% endif %}{{ l|unknown if false else 1 }}", "1"),
    ] {
        assert_eq!(render(template).as_deref(), Some(expected), "{template}");
    }
    for refused in [
        "{{ undefined|int }}",
        "{{ undefined|dictsort }}",
        "{{ s.index('z') }}",
        "{{ 'a' % 1 }}",
        "{{ {}.get([]) }}",
        "{{ [] in {} }}",
        "{{ dict(nothing) }}",
        "{% filter length %}a{% endfilter %}",
        "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}",
        "{% macro m() %}{% endmacro %}{{ m(1) }}",
        "{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}",
        "{{ d.items() + [] }}",
        "{{ d.keys()|tojson }}",
        "{{ 0 ** -1 }}",
        "{{ 'a'|truncate(1) }}",
        "{% for x in [] %}{{ x|unknown }}{% endfor %}",
        "{{ l|sort.count }}",
        "{{ d|items|length }}",
    ] {
        assert_eq!(render(refused), None, "{refused}");
    }
}
