"""A grammar of chat templates, and conversations for them."""

TEXTS = [
    "", "a", "Hello", "hello world", "  two  spaces ", "line\nbreak\n", "\n\n", "\ttab", "été", "STRASSE straße", "你好，世界", "🌍 earth",
    "a,b,,c", "<|im_end|>", "<think>hm</think>yes", "it's \"quoted\"", "back\\slash", "12", "-3.5", "x" * 30, "a\u00a0b", "Mixed Case text",
    "{{ braces }}", "100%", "user", "role", "content", "\u2028sep", "ǆ ﬁ", "\x7f\x01",
]
ROLES = ["system", "user", "assistant", "tool", "developer", "other"]

# Productions by what they give. Holes: s text, i whole number, f number, b truth, l list, d dictionary, a anything, m message, c list of texts,
# h text with tags, w text with words to wrap.
PRODUCTIONS = {
    "s": [
        "{s} ~ {a}", "{s} + {s}", "({s} ~ {i})", "{s}|upper", "{s}|lower", "{s}|title", "{s}|capitalize", "{s}|trim", "{s}|trim({s})",
        "{s}|replace({s}, {s})", "{s}|replace({s}, {s}, {i})", "{s}|indent({n})", "{s}|indent({n}, true)", "{s}|indent(width=2, blank=true)",
        "{s}|indent('> ', true)", "{a}|string", "{l}|join({s})", "{l}|join", "{d}|tojson", "{a}|tojson(indent={n})", "{a}|tojson(indent='--')",
        "{a}|tojson(ensure_ascii=true)", "{d}|tojson(sort_keys=true)", "{a}|tojson(separators=(',', ':'))", "{l}|tojson(indent=2, separators=(', ', ' = '))",
        "{s}.strip()", "{s}.strip({s})", "{s}.lstrip()", "{s}.rstrip({s})", "{s}.lstrip({s})", "{s}.split({s})[{i}]", "{s}.upper()", "{s}.lower()",
        "{s}.replace({s}, {s})", "{s}.replace({s}, {s}, {i})", "{s}[{i}:{i}]", "{s}[{i}:]", "{s}[:{i}]", "{s}[::-1]", "{s}[::{i}]", "{s}[{i}]",
        "{s}|truncate({n})", "{s}|truncate({n}, true)", "{s}|truncate({n}, false, '…', 0)", "{s}|center({n})", "'%s-%s' % ({a}, {a})", "'%d' % {i}",
        "'%05.2f|%5d|%-5s|' % ({f}, {i}, {s})", "'%x %s' % ({i}, {s})", "'%r' % {s}", "{s}|urlencode", "{s}|first", "{s}|last",
        "{s}|reverse", "'{{}} {{}}'.format({a}, {s})", "'{{0}}{{1}}{{0}}'.format({s}, {i})", "'{{x}}'.format(x={s})", "'{{:>6}}|{{:<6}}|{{:^6}}'.format({s}, {s}, {s})",
        "'{{:03d}} {{:.2f}}'.format({i}, {f})", "{s} * {n}", "{s}.join({c})", "{s}.title()", "{s}.capitalize()", "{s}.swapcase()", "{s}.casefold()",
        "{s}.zfill({n})", "{s}.ljust({n}, '.')", "{s}.rjust({n})", "{s}.center({n}, '*')", "{s}.removeprefix({s})", "{s}.removesuffix({s})",
        "{s}.partition({s})[{n}]", "{s}.rpartition({s})[{n}]", "{s}|default({s})", "nothing|default({s})", "{s}|default({s}, true)", "({s} if {b} else {s})",
        "({s} if {b})", "{s}|format({a})", "{m}.role", "{m}['content']", "{m}.content", "{m}.get('name', {s})", "message.role", "message['content']",
        "strftime_now('%d %b %Y')", "strftime_now('%Y-%m-%d %H:%M:%S %A %B %j %p %I %y %-d %e')", "bos_token", "eos_token", "{l}|first", "{l}|last",
        "loop.cycle({s}, {s})", "{s}|safe", "{s}.splitlines()[0]", "({s})|upper|lower|title", "{s} ~ loop.index", "ns.text", "item",
        "'a' 'b'", "{s}|string|length|string",
        "{h}|striptags", "({h} ~ {s})|striptags", "{a}|striptags", "{d}|xmlattr", "{d}|xmlattr(false)", "{'class': {s}, 'id': {a}, 'x': {h}}|xmlattr",
        "{i}|filesizeformat", "({i} * 10 ** {n})|filesizeformat", "({i} * 1000 ** {n})|filesizeformat(true)", "{f}|filesizeformat(binary={b})", "{s}|filesizeformat",
        "{w}|wordwrap({n})", "{w}|wordwrap({n} * {n})", "{s}|wordwrap({n})", "({w} ~ {s} ~ {w})|wordwrap({n}, false)", "{w}|wordwrap({n}, true, '|')", "({w} ~ {w})|wordwrap",
        "{w}|wordwrap(width={n}, break_on_hyphens=false)", "{w}|wordwrap({n}, {b}, {s}, {b})", "{s}.expandtabs()", "{s}.expandtabs({i})", "({w} ~ {s}).expandtabs({n})",
        "{s}.translate({97: 'b', 108: none, 32: 95})", "{s}.translate({101: {s}})", "'{{a}} {{b}}'.format_map({d})",
    ],
    "i": [
        "{i} + {i}", "{i} - {i}", "{i} * {i}", "{i} // {n}", "{i} % {n}", "{i} ** 2", "-{i}", "{i} // -3", "{i} % -3", "{s}|length", "{l}|length", "{d}|length",
        "{l}|count", "{s}|int", "{s}|int({i})", "'ff'|int(0, 16)", "{f}|int", "{i}|abs", "{l}|sum", "{s}.find({s})", "{s}.rfind({s})", "{s}.count({s})",
        "{s}.index({s})", "{l}.index({a})", "{l}.count({a})", "{c}.count({s})", "loop.index", "loop.index0", "loop.revindex", "loop.length", "loop.depth",
        "{s}|wordcount", "({i} if {b} else {i})", "{i}|round", "{l}|map('length')|sum", "{l}|map('string')|map('length')|sum", "ns.n", "{i}|min", "{i}|default(3)",
        "messages|length", "{b}|int", "{b} + 1", "10 ** {n}", "{i}|int|string|length",
        "({i}).bit_length()", "({i}).bit_count()", "({i}).real", "({i}).imag", "({i}).numerator", "({i}).denominator", "({b}).conjugate()",
    ],
    "f": ["{i} / {n}", "{f} * 2", "{f} + {i}", "{f}|round(1)", "{f}|round", "{i}|float", "{s}|float", "{f}|round(2, 'floor')", "{f}|round(0, 'ceil')", "-{f}", "{f} // 1", "{f} % 2", "{i} ** -1", "{f}|abs", "{i} * 0.1", "({f}).real", "({f}).imag", "({f}).conjugate()"],
    "b": [
        "{i} == {i}", "{i} < {i}", "{i} >= {f}", "{s} == {s}", "{s} != {s}", "{s} < {s}", "{s} in {s}", "{s} in {d}", "{a} in {l}", "{a} not in {l}", "not {b}",
        "{b} and {b}", "{b} or {b}", "{a} is defined", "{a} is none", "{a} is not none", "{a} is string", "{a} is number", "{a} is mapping", "{a} is sequence",
        "{a} is iterable", "{a} is boolean", "{a} is integer", "{a} is float", "{a} is true", "{a} is false", "{a} is callable", "{i} is odd", "{i} is even",
        "{i} is divisibleby({n})", "{i} is divisibleby 3", "{s} is lower", "{s} is upper", "{a} is undefined", "nothing is defined", "{a} is eq({a})", "{i} is gt({i})",
        "{a} is sameas({a})", "{a} is in({l})", "{s}.startswith({s})", "{s}.endswith({s})", "{s}.startswith(({s}, {s}))", "{s}.isdigit()", "{s}.isalpha()",
        "{s}.isalnum()", "{s}.isspace()", "{s}.islower()", "{s}.isupper()", "{s}.istitle()", "{s}.isnumeric()", "{s}.isdecimal()", "{s}.isascii()", "loop.first", "loop.last",
        "{m}.tool_calls is defined", "message.tool_calls", "message.content is string", "message.role == 'user'", "{i} < {i} < {i}", "{l} == {l}", "{d} == {d}",
        "'tool_calls' in {m}", "tools is defined and tools", "add_generation_prompt", "{a} == {a}", "{a} and {a}", "ns.flag", "loop.changed({a})", "{s} is filter", "{s} is test",
        "{l} < {l}", "{s}.isidentifier()", "{s}.isprintable()", "({f}).is_integer()", "{h} is string", "'²٣½'[{i}].isdigit()", "'²٣½'[{i}].isdecimal()",
    ],
    "l": [
        "[{a}, {a}]", "[{i}, {i}, {i}]", "[{s}, {s}, {s}]", "({a}, {a})", "[]", "()", "({s},)", "{l} + {l}", "{l}[{i}:{i}]", "{l}[::-1]", "{l}[1:]", "{l}|list", "{l}|reverse|list",
        "{c}|sort", "[{i}, {i}, {i}]|sort(reverse=true)", "{l}|unique|list", "{c}|sort(case_sensitive=true)", "{d}.items()|list", "{d}.keys()|list", "{d}.values()|list", "{d}|list",
        "{d}|items|list", "{d}|dictsort", "{d}|dictsort(true)", "{d}|dictsort(false, 'value')", "{d}|dictsort(reverse=true)", "{s}.split({s})", "{s}.split()", "{s}.split({s}, {n})", "{s}.rsplit({s}, {n})",
        "{s}.splitlines()", "{s}.splitlines(true)", "{s}|list", "range({n})|list", "range({i}, {i})|list", "range({i}, {i}, {n})|list", "{l}|batch({n})|list", "{l}|batch({n}, {a})|list", "{l}|slice({n})|list",
        "{l}|map('string')|list", "{c}|map('upper')|list", "{c}|map('replace', {s}, {s})|list", "{c}|map('length')|list", "messages|map(attribute='role')|list", "messages|map(attribute='name', default={s})|list",
        "messages|selectattr('role', 'equalto', {s})|map(attribute='content')|list", "messages|rejectattr('role', 'equalto', {s})|list", "messages|selectattr('tool_calls', 'defined')|list", "messages|selectattr('content')|list",
        "messages|rejectattr('content', 'string')|map(attribute='role')|list", "{l}|select|list", "{l}|reject|list", "{l}|select('string')|list", "{l}|reject('none')|list", "[{i}, {i}, {i}]|select('odd')|list", "[{i}, {i}]|select('gt', {i})|list",
        "{c}|select('in', {c})|list", "messages|groupby('role')|map('first')|list", "messages|groupby('role')|map(attribute='grouper')|list", "messages|sort(attribute='role')|map(attribute='role')|list", "messages|unique(attribute='role')|map(attribute='role')|list",
        "{l} * {n}", "messages[{i}:]", "messages[::-1]", "messages[:-1]", "{m}.tool_calls", "tools", "items", "{s}|map('upper')|list", "{l}|map('tojson')|list", "{m}.content|map(attribute='text')|list", "[{i}, {i}]|map('abs')|list",
        "[{l}, {l}]", "[{d}]", "{s}.partition({s})", "{d}.items()", "{l}|sort", "{l}|min", "{l}|max", "{l}|sum(start=[])", "{l}.copy()", "[{d}, {d}]|map(attribute='k')|list", "({i}).as_integer_ratio()", "{c}|map('wordwrap', {n})|list",
    ],
    "c": ["[{s}, {s}]", "{s}.split({s})", "{s}.split()", "[{s}, {s}, {s}]|sort", "messages|map(attribute='role')|list", "['b', 'A', 'a']", "{s}|list"],
    "d": ["{'a': {a}, 'b': {a}}", "{}", "{'k': {s}, {s}: {i}}", "{m}", "message", "dict(a={a}, b={i})", "dict({d}, z={s})", "config", "{m}.tool_calls[0]", "{m}.tool_calls[0].function", "tools[0].function", "{1: {a}, 'x': {l}}", "{d}.copy()", "config.get('nested', {})", "{}.fromkeys({c}, {a})", "{}.fromkeys({s})"],
    "a": ["{s}", "{i}", "{f}", "{b}", "{l}", "{d}", "none", "nothing", "messages", "{m}", "config.{k}", "{d}.{k}", "{d}['{k}']", "{l}[{i}]", "{d}.get({s})", "{d}.get({s}, {a})", "config.nested.{k}", "item", "ns.{k}"],
    "m": ["messages[0]", "messages[-1]", "messages[{i}]", "message", "(messages|first)", "(messages|last)"],
}
LEAVES = {
    "i": ["0", "1", "2", "3", "-1", "7", "100", "count"],
    "n": ["1", "2", "3", "5", "12"],
    "f": ["0.5", "2.5", "1e3", "-1.25", "3.0", "0.1", "ratio", "1e20"],
    "b": ["true", "false", "True", "flag"],
    "l": ["[1, 2, 3]", "['x', 'y']", "items", "[]", "words", "mixed"],
    "c": ["words", "['x', 'y']"],
    "d": ["config", "{'a': 1}", "message", "{}"],
    "m": ["messages[0]", "messages[-1]", "message"],
    "h": [
        "'<p>a &lt; b</p>'", "'<b>x</b><!-- no <i> --> y'", "'a &amp;lt; &copy; &notit; &#39;q&#x41; &#0;'", "' < open <b'", "'&nbsp;&rarr;|&bogus;|&#128;'", "'<!-- open'",
        "'a\\n\\t b<br/>c'", "'&#xD800;&#1114112;&#1;&;&#;&amp'",
    ],
    "w": [
        "'the state-of-the-art well-known end'", "'no--dash -- or - dashes---here'", "'one\\ntwo three\\n\\nfour'", "'   lead and   gaps   '", "'averyveryverylongword and-more'", "'a-b c-d-e f--g 3-4'",
        "'été-là ou\u00a0bien 你好 世界'", "'x'", "''", "'--- -x- (a-b) \"q\"-w'",
    ],
    "a": ["none", "1", "'x'", "text", "items", "config", "nothing", "true", "mixed"],
}
KEYS = ["a", "b", "k", "nested", "list", "name", "items", "text", "flag", "n", "missing"]


class Grammar:
    """Draws templates."""

    def __init__(self, rng, terse):
        self.rng, self.terse, self.macros = rng, terse, []

    def quoted(self):
        text = self.rng.choice(TEXTS[: 20 if self.terse else None])
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t") + "'"

    def expression(self, kind="a", depth=0):
        rng = self.rng
        if rng.random() < 0.02:
            kind = rng.choice("sifblda")
        if kind in "nhw" or kind != "s" and depth >= rng.randint(1, 3):
            return rng.choice(LEAVES[kind])
        if kind == "s" and (depth >= rng.randint(1, 3) or rng.random() < 0.2):
            return self.quoted() if rng.random() < 0.7 else rng.choice(["text", "message.role", "title", "message.content"])
        return self.filled(rng.choice(PRODUCTIONS[kind]), depth)

    def filled(self, production, depth):
        out, rest = "", production
        while rest:
            if rest.startswith("{{") or rest.startswith("}}"):
                out, rest = out + rest[0], rest[2:]
            elif len(rest) > 2 and rest[0] == "{" and rest[2] == "}" and rest[1] in "sifblcdamnkhw":
                hole = rest[1]
                out += self.rng.choice(KEYS) if hole == "k" else self.operand(hole, depth + 1)
                rest = rest[3:]
            else:
                out, rest = out + rest[0], rest[1:]
        return out

    def operand(self, kind, depth):
        inner = self.expression(kind, depth)
        plain = inner.replace("_", "").replace(".", "").isalnum() or inner[0] in "'[{(" and inner[-1] in "'])}" and inner.count(inner[0]) == 1
        return inner if plain or self.rng.random() < 0.15 else f"({inner})"

    def text(self):
        return self.rng.choice(["", " ", "\n", "  \n  ", "text", " text \n", "\n\n", "<|x|>", "a\nb", "{# note #}", "{#- note -#}\n", "\t", "{% raw %}{{ x }}{% endraw %}"])

    def tag(self, inside):
        left, right = self.rng.choice(["{%", "{%", "{%-", "{%+"]), self.rng.choice(["%}", "%}", "-%}", "+%}"])
        return f"{left} {inside} {right}"

    def output(self):
        left, right = self.rng.choice(["{{", "{{", "{{-"]), self.rng.choice(["}}", "}}", "-}}"])
        kind = self.rng.choice("sssiiflldbba")
        return f"{left} {self.expression(kind)} {right}"

    def block(self, depth):
        return "".join(self.text() + self.statement(depth) for _ in range(self.rng.randint(1, 2))) + self.text()

    def statement(self, depth):
        rng, tag = self.rng, self.tag
        if depth > 2 or rng.random() < 0.4:
            return self.output()
        body = lambda: self.block(depth + 1)  # noqa: E731
        kind = rng.choice(["if", "if", "for", "for", "for", "set", "setblock", "macro", "call", "filter", "with", "generation", "namespace", "recursive", "pairs", "message", "message"])
        e = self.expression
        match kind:
            case "if":
                middle = rng.choice(["", tag("elif " + e("b")) + body(), tag("else") + body()])
                return tag("if " + e(rng.choice("bba"))) + body() + middle + tag("endif")
            case "for":
                filtered = rng.choice(["", "", f" if {e('b')}", " if item"])
                stop = rng.choice(["", "", tag("if loop.index > 1") + tag(rng.choice(["break", "continue"])) + tag("endif")])
                otherwise = rng.choice(["", "", tag("else") + body()])
                return tag(f"for item in {e('l')}{filtered}") + stop + body() + otherwise + tag("endfor")
            case "message":
                inner = rng.choice(["", "{{ loop.index0 }}", "{{ loop.previtem.role }}", "{% if loop.last %}!{% endif %}"])
                return tag("for message in messages") + inner + "{{ message.role }}:" + body() + tag("endfor")
            case "pairs":
                return tag(f"for key, value in {e('d')}.items()") + "{{ key }}={{ value }};" + body() + tag("endfor")
            case "recursive":
                return tag("for x in [[1, [2]], 3] recursive") + "{{ loop.depth }}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}" + tag("endfor")
            case "set":
                return tag(f"set {rng.choice(['item', 'x', 'x, y'])} = {e()}") + body()
            case "setblock":
                return tag(rng.choice(["set item", "set block | upper", "set item | trim | replace('a', 'b')"])) + body() + tag("endset") + "[{{ item }}]"
            case "namespace":
                start = "namespace(" + rng.choice(["n=0", "n=1, text='t', flag=false", ""]) + ")"
                change = tag(rng.choice(["set ns.n = ns.n + 1", f"set ns.text = {e('s')}", f"set ns.flag = {e('b')}"]))
                return tag(f"set ns = {start}") + tag(f"for item in {e('l')}") + change + tag("endfor") + "{{ ns.n }}|{{ ns.text }}" + body()
            case "macro":
                name = f"m{len(self.macros)}"
                given = rng.choice(["", "x", "x, y=2", "x='d', y=none", "item, text=item"])
                inside = rng.choice(["", "{{ x }}{{ y }}", "{{ varargs }}{{ kwargs }}", "{{ caller() if caller else '-' }}", "{{ caller is defined }}"])
                whole = tag(f"macro {name}({given})") + inside + body() + tag("endmacro")
                self.macros.append(name)
                return whole + "{{ " + self.call(name) + " }}"
            case "call":
                if not self.macros:
                    return self.output()
                return tag(rng.choice(["call ", "call(x) ", "call(x=1) "]) + self.call(rng.choice(self.macros))) + body() + tag("endcall")
            case "filter":
                return tag("filter " + rng.choice(["upper", "trim", "indent(2)", "replace('a', 'o')", "title", "length", "upper|trim"])) + body() + tag("endfilter")
            case "with":
                return tag(rng.choice(["with", f"with item = {e()}", f"with x = 1, y = {e()}"])) + body() + tag("endwith")
            case _:
                return tag("generation") + body() + tag("endgeneration")

    def call(self, name):
        e = self.expression
        return name + self.rng.choice(["()", f"({e()})", f"({e()}, y={e()})", f"(x={e()})", f"({e()}, {e()})"])

    def template(self):
        return self.block(0) if self.terse else self.block(0) + self.block(0)


def content(rng, terse):
    kind = rng.random()
    if kind < 0.65:
        return rng.choice(TEXTS)
    if kind < 0.75:
        return None
    parts = [{"type": "text", "text": rng.choice(TEXTS)}, {"type": "image"}, {"type": "image_url", "image_url": {"url": "x"}}, rng.choice(TEXTS)]
    return rng.sample(parts, rng.randint(0, 2 if terse else 3))


def arguments(rng):
    values = [1, -2.5, 1e22, True, None, "s", "ü\n\"", [1, "a"], {"n": {}}, []]
    found = {rng.choice(["city", "x", "unit", "été"]): rng.choice(values) for _ in range(rng.randint(0, 2))}
    return found if rng.random() < 0.7 else str(found)


def tool(rng):
    properties = {name: {"type": rng.choice(["string", "number", ["string", "null"]]), "description": rng.choice(TEXTS)} for name in rng.sample(["city", "unit", "x"], rng.randint(0, 2))}
    function = {"name": rng.choice(["get_weather", "f"]), "description": rng.choice(TEXTS), "parameters": {"type": "object", "properties": properties, "required": list(properties)[:1]}}
    return {"type": "function", "function": function}


def conversation(rng, terse):
    """The variables that every chat template is given."""
    messages = []
    order = rng.random() < 0.5
    for at in range(rng.randint(1, 3 if terse else 6)):
        message = {"role": ["user", "assistant"][at % 2] if order else rng.choice(ROLES)}
        if rng.random() < 0.95:
            message["content"] = content(rng, terse)
        if message["role"] == "assistant" and rng.random() < 0.4:
            calls = [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments(rng)}} for _ in range(rng.randint(0, 2))]
            message["tool_calls"] = calls
        if message["role"] == "tool":
            message |= {"tool_call_id": "call_1", "name": "get_weather"}
        if rng.random() < 0.1:
            message[rng.choice(["name", "reasoning_content", "thinking", "prefix"])] = rng.choice(TEXTS)
        messages.append(message)
    if order and rng.random() < 0.4:
        messages.insert(0, {"role": "system", "content": rng.choice(TEXTS)})
    given = {"messages": messages, "add_generation_prompt": rng.random() < 0.5}
    if rng.random() < 0.4:
        given["tools"] = [tool(rng) for _ in range(rng.randint(0, 1 if terse else 2))]
    if rng.random() < 0.2:
        given["enable_thinking"] = rng.random() < 0.5
    return given


def variables(rng):
    """The variables that the grammar knows."""
    return {
        "text": rng.choice(TEXTS), "title": rng.choice(TEXTS), "count": rng.choice([0, 1, 5, -4, 1000]), "ratio": rng.choice([0.5, 1.0, -2.75, 1e16, 1e-7]),
        "flag": rng.random() < 0.5, "items": rng.choice([[], [1, 2], ["x", "Y", "x"], [[1], [2, 3]], [None, 0, "a"]]), "words": rng.choice([["b", "a", "C"], ["été", "x"], []]),
        "mixed": rng.choice([[1, "a", None, 2.5, True], [True, 1, 1.0], [{"k": 1}, {"k": "v"}, {}]]),
        "config": {"a": rng.choice([1, "t", None, [1]]), "k": "v", "nested": {"b": 2.0, "list": [3, 4], "text": rng.choice(TEXTS)}, "Z": rng.choice(TEXTS), "n": 7},
    }
