//! Hostile and damaged templates: every one ends soon, in little memory, with an error or a short text.

use super::*;

fn render(source: &str) -> Result<Rendered> {
    let template = ChatTemplate::new(source, Some("<s>"), Some("</s>"))?;
    template.render(&[Message::new("user", "hi")], &RenderOptions::default())
}

fn refused(source: &str) -> String {
    render(source).expect_err(&source.chars().take(80).collect::<String>()).to_string()
}

#[test]
fn f46_template_without_end() {
    refused("{% for i in range(99999) %}{% for j in range(99999) %}{{ j }}{% endfor %}{% endfor %}");
    refused("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
    refused("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}");
    refused("{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}");
    refused(&format!("{{{{ {}1{} }}}}", "(".repeat(6000), ")".repeat(6000)));
    refused(&format!("{{{{ {}1{} }}}}", "[".repeat(6000), "]".repeat(6000)));
    refused(&format!("{{{{ 1{} }}}}", "+1".repeat(100_000)));
    refused(&format!("{{{{ 1{} }}}}", "|abs".repeat(100_000)));
    refused(&"{% if true %}".repeat(6000));
    refused(&format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(6000)));
    refused(&format!("{{{{ 1{} }}}}", "+1".repeat(1900)));
    refused("{% for i in range(10**9) %}{% endfor %}");
}

#[test]
fn f47_template_memory_bombs() {
    refused("{{ 'a' * 10**9 }}");
    refused("{{ [1] * 10**12 }}");
    refused("{{ 'a\nb' | indent(10**12) }}");
    refused("{{ [[1]] | tojson(indent=10**12) }}");
    refused("{{ 'a'.ljust(10**12) }}{{ 'a'.center(10**10) }}");
    refused("{{ '%1000000000d' % 1 }}");
    refused("{{ '{:1000000000}'.format(1) }}");
    refused("{{ range(10**5) | batch(10**12, 0) | list }}");
    refused("{{ [1] | slice(10**12) | list }}");
    refused("{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | length }}");
    refused("{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}");
    refused("{% set ns = namespace(s=[]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}");
    refused("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}");
    refused("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}");
    refused("{% set ns = namespace() %}{% set ns.me = ns %}");
    refused("{% set ns = namespace(s='a'*9999) %}{% for i in range(9999) %}{{ ns.s * 999 }}{% endfor %}");
}

#[test]
fn f48_the_message_of_the_template() {
    assert_eq!(refused("{{ raise_exception('roles must alternate') }}"), "chat template: roles must alternate");
    assert_eq!(refused("{{ messages | nonsense }}"), "chat template: no filter named 'nonsense'");
    assert_eq!(refused("{{ nothing.content }}"), "chat template: 'nothing' is undefined");
    assert!(refused("{% if %}").contains("syntax error"));
}

#[test]
fn f50_no_files() {
    for source in ["{% include 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}"] {
        assert!(refused(source).contains("cannot include"), "{source}");
    }
    refused("{{ open('/etc/passwd').read() }}");
    refused("{{ ''.__class__.__mro__ }}");
    refused("{{ [].append(1) }}");
}

#[test]
fn origin_follows_every_transformation() {
    let source = "[{{ messages[0].content.split('|')[1] | trim | upper }}]{{ messages[0].content | tojson }}{{ {'a': messages[0].role} }}";
    let template = ChatTemplate::new(source, None, None).unwrap();
    let rendered = template.render(&[Message::new("user", "x| <b> |y")], &RenderOptions::default()).unwrap();
    assert_eq!(rendered.text(), "[<B>]\"x| <b> |y\"{'a': 'user'}");
    assert_eq!(rendered.user(), [1..4, 6..15]);
}

#[test]
fn absent_and_null_content_differ() {
    let template = ChatTemplate::new("{{ messages[0].content is defined }}", None, None).unwrap();
    for (json, expected) in [(r#"{"role": "user"}"#, "False"), (r#"{"role": "user", "content": null}"#, "True")] {
        let message: Message = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap().replace(':', ": ").replace(',', ", "), json);
        assert_eq!(template.render(&[message], &RenderOptions::default()).unwrap().text(), expected);
    }
}

#[test]
fn a_made_up_role_is_user_text() {
    let template = ChatTemplate::new("{{ '<|' + messages[0].role + '|>' }}", None, None).unwrap();
    let render = |role: &str| template.render(&[Message::new(role, "")], &RenderOptions::default()).unwrap();
    assert!(render("user").user().is_empty());
    assert_eq!(render("endoftext").user(), [2..11]);
}
