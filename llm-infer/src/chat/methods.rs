//! Python's methods of strings, dictionaries and lists, as far as jinja2's immutable sandbox lets templates call them.

use super::render::{Args, Renderer};
use super::text::Text;
use super::value::{Eval, Kind, Value};
use std::rc::Rc;

const STR: [&str; 38] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
];
const STR_MORE: [&str; 3] = ["title", "upper", "zfill"];
const DICT: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const LIST: [&str; 3] = ["copy", "count", "index"];

/// Whether `value` has a method of this name.
pub(super) fn exists(value: &Value<'_>, name: &str) -> bool {
    match value {
        Value::Str(_) => STR.contains(&name) || STR_MORE.contains(&name),
        Value::Dict(_) => DICT.contains(&name),
        Value::List(list) => match list.kind {
            Kind::List => LIST.contains(&name),
            Kind::Tuple => name != "copy" && LIST.contains(&name),
            Kind::Generator | Kind::Keys | Kind::Values | Kind::Items => false,
        },
        Value::Loop(_) => matches!(name, "cycle" | "changed"),
        Value::Cycler(_) => matches!(name, "next" | "reset"),
        _ => false,
    }
}

/// Whether the sandbox refuses this method because it changes its object.
pub(super) fn is_mutator(value: &Value<'_>, name: &str) -> bool {
    match value {
        Value::Dict(_) => matches!(name, "clear" | "pop" | "popitem" | "setdefault" | "update"),
        Value::List(list) if list.kind == Kind::List => {
            matches!(name, "append" | "clear" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort")
        }
        _ => false,
    }
}

pub(super) fn call<'t>(ctx: &Renderer<'_>, object: &Value<'t>, name: &str, args: &Args<'t>) -> Eval<Value<'t>> {
    match object {
        Value::Str(text) => {
            ctx.budget.grow(text.len())?;
            str_method(ctx, text, name, args)
        }
        Value::Dict(dict) => {
            ctx.budget.spend(if name == "get" { 1 } else { dict.entries.len() })?;
            match name {
                "get" => {
                    let key = args.get(0, "key").ok_or("get expected at least 1 argument, got 0")?;
                    if !key.is_hashable() {
                        return Err(format!("unhashable type: '{}'", key.type_name()));
                    }
                    Ok(dict.get(key).or_else(|| args.get(1, "default")).cloned().unwrap_or(Value::None))
                }
                "keys" => Value::seq(Kind::Keys, dict.entries.iter().map(|(key, _)| key.clone()).collect()),
                "values" => Value::seq(Kind::Values, dict.entries.iter().map(|(_, value)| value.clone()).collect()),
                "copy" => Ok(object.clone()),
                _ => items(object, Kind::Items),
            }
        }
        Value::List(list) => {
            let wanted = || args.get(0, "value").ok_or_else(|| format!("{name}() takes exactly one argument"));
            match name {
                "copy" => Ok(object.clone()),
                "count" => {
                    let mut count = 0;
                    for item in &list.items {
                        count += i128::from(item.equals(wanted()?, &ctx.budget)?);
                    }
                    Ok(Value::Int(count))
                }
                _ => {
                    for (at, item) in list.items.iter().enumerate() {
                        if item.equals(wanted()?, &ctx.budget)? {
                            return Ok(Value::Int(at as i128));
                        }
                    }
                    Err("value is not in list".into())
                }
            }
        }
        Value::Loop(state) if name == "cycle" => {
            let count = args.positional.len();
            if count == 0 {
                return Err("no items for cycling given".into());
            }
            Ok(args.positional[state.index0.get() % count].clone())
        }
        Value::Loop(state) => {
            let now = Value::list(args.positional.clone())?;
            let before = state.last_changed.borrow_mut().replace(args.positional.clone());
            let same = match before {
                Some(before) => now.equals(&Value::list(before)?, &ctx.budget)?,
                None => false,
            };
            Ok(Value::Bool(!same))
        }
        Value::Cycler(cycler) => {
            let at = if name == "reset" { 0 } else { cycler.1.get() };
            let item = cycler.0.items.get(at).cloned().unwrap_or(Value::None);
            cycler.1.set(if name == "reset" { 0 } else { (at + 1) % cycler.0.items.len().max(1) });
            Ok(if name == "reset" { Value::None } else { item })
        }
        other => Err(format!("'{}' object has no method '{name}'", other.type_name())),
    }
}

/// Key and value of each entry as tuples, in a sequence of that kind.
pub(super) fn items<'t>(value: &Value<'t>, kind: Kind) -> Eval<Value<'t>> {
    match value {
        Value::Undefined(_) => Value::seq(kind, Vec::new()),
        Value::Dict(dict) => {
            let pairs = dict.entries.iter().map(|(key, value)| Value::seq(Kind::Tuple, vec![key.clone(), value.clone()]));
            Value::seq(kind, pairs.collect::<Eval<_>>()?)
        }
        _ => Err("can only get item pairs from a mapping".into()),
    }
}

fn str_method<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, name: &str, args: &Args<'t>) -> Eval<Value<'t>> {
    let whole = text.as_str();
    // `find`, `count` and their like look between two positions.
    let within = match name {
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => {
            window(whole, args.int(1, "start")?, args.int(2, "end")?)
        }
        _ => Some(0..whole.len()),
    };
    let Some(within) = within else {
        return match name {
            "startswith" | "endswith" => Ok(Value::Bool(false)),
            "count" => Ok(Value::Int(0)),
            "index" | "rindex" => Err("substring not found".into()),
            _ => Ok(Value::Int(-1)),
        };
    };
    let string = &whole[within.clone()];
    let part = |part: &str| Value::text(text.part(part));
    let all = |test: fn(char) -> bool| Value::Bool(!string.is_empty() && string.chars().all(test));
    let find = |at: Option<usize>| at.map_or(-1, |at| whole[..within.start + at].chars().count() as i128);
    let needle = || args.text(0, "sub")?.ok_or_else(|| format!("{name}() takes a string"));
    Ok(match name {
        "strip" | "lstrip" | "rstrip" => {
            let chars = args.text(0, "chars")?;
            part(strip(string, chars.as_ref().map(|chars| chars.as_str()), name != "rstrip", name != "lstrip"))
        }
        "lower" => Value::text(lower(text)),
        "casefold" => Value::text(text.map_chars(folded)),
        "upper" => Value::text(text.map_chars(char::to_uppercase)),
        "swapcase" => Value::text(text.map_chars(|c| if c.is_uppercase() { lowered(c) } else { c.to_uppercase().collect() })),
        "capitalize" => Value::text(capitalize(text)),
        "title" => Value::text(title(text, |before| before.is_alphabetic(), titled)),
        "startswith" | "endswith" => Value::Bool(affix(ctx, string, name == "startswith", args)?),
        "removeprefix" => part(string.strip_prefix(needle()?.as_str()).unwrap_or(string)),
        "removesuffix" => part(string.strip_suffix(needle()?.as_str()).unwrap_or(string)),
        "replace" => replace(ctx, text, args)?,
        "find" => Value::Int(find(string.find(needle()?.as_str()))),
        "rfind" => Value::Int(find(string.rfind(needle()?.as_str()))),
        "index" | "rindex" => {
            let needle = needle()?;
            let at = if name == "index" { string.find(needle.as_str()) } else { string.rfind(needle.as_str()) };
            Value::Int(find(Some(at.ok_or("substring not found")?)))
        }
        "count" => Value::Int(string.matches(needle()?.as_str()).count() as i128),
        "split" | "rsplit" => split(ctx, text, name == "rsplit", args)?,
        "splitlines" => {
            let lines = split_lines(string, args.flag(0, "keepends"));
            Value::list(lines.into_iter().map(part).collect())?
        }
        "partition" | "rpartition" => {
            let sep = needle()?;
            if sep.is_empty() {
                return Err("empty separator".into());
            }
            let at = if name == "partition" { string.find(sep.as_str()) } else { string.rfind(sep.as_str()) };
            let (head, middle, tail) = match at {
                Some(at) => (0..at, at..at + sep.len(), at + sep.len()..string.len()),
                None if name == "partition" => (0..string.len(), 0..0, 0..0),
                None => (0..0, 0..0, 0..string.len()),
            };
            Value::seq(Kind::Tuple, [head, middle, tail].map(|range| Value::text(text.slice(range))).into())?
        }
        "join" => {
            let items = args.get(0, "iterable").ok_or("join() takes exactly one argument")?.iterate(&ctx.budget)?;
            if let Some(other) = items.items.iter().find(|item| item.as_text().is_none()) {
                return Err(format!("sequence item: expected str instance, {} found", other.type_name()));
            }
            join(ctx, text, &items.items)?
        }
        "format" => super::format::brace_format(ctx, text, args)?,
        "ljust" | "rjust" | "center" | "zfill" => pad(ctx, text, name, args)?,
        "isdigit" | "isdecimal" | "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(is_space),
        "isascii" => Value::Bool(string.is_ascii()),
        "isupper" => Value::Bool(string.chars().any(char::is_uppercase) && !string.chars().any(char::is_lowercase)),
        "islower" => Value::Bool(is_lower(string)),
        "istitle" => Value::Bool(string.chars().any(char::is_alphabetic) && title(text, |c| c.is_alphabetic(), titled).as_str() == string),
        _ => return Err(format!("'str' method '{name}' is not available to chat templates")),
    })
}

pub(super) fn is_lower(string: &str) -> bool {
    string.chars().any(char::is_lowercase) && !string.chars().any(char::is_uppercase)
}

/// Python's `str.isspace`: Unicode white space and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

pub(super) fn strip<'a>(string: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let strips = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let string = if start { string.trim_start_matches(strips) } else { string };
    if end { string.trim_end_matches(strips) } else { string }
}

fn lowered(c: char) -> Vec<char> {
    c.to_lowercase().collect()
}

pub(super) fn lower(text: &Text) -> Text {
    if !text.as_str().contains('Σ') {
        return text.map_chars(char::to_lowercase);
    }
    // At the end of a word it has another form, which the standard library finds in the whole text.
    let whole = text.as_str().to_lowercase();
    let mut lowered = whole.chars();
    text.map_chars(|c| lowered.by_ref().take(c.to_lowercase().count()).collect::<Vec<_>>())
}

/// Python's `str.casefold` for one character, for all scripts but Cherokee.
fn folded(c: char) -> Vec<char> {
    match c {
        'ı' => vec![c],
        c => c.to_uppercase().flat_map(char::to_lowercase).collect(),
    }
}

/// The form of a letter that begins a word, which is not always its upper case.
fn titled(c: char) -> Vec<char> {
    match c {
        'Ǆ'..='ǆ' => vec!['ǅ'],
        'Ǉ'..='ǉ' => vec!['ǈ'],
        'Ǌ'..='ǌ' => vec!['ǋ'],
        'Ǳ'..='ǳ' => vec!['ǲ'],
        // Georgian has capitals for whole words only.
        'ა'..='ჿ' => vec![c],
        '\u{1f80}'..='\u{1faf}' => char::from_u32(u32::from(c) | 8).into_iter().collect(),
        'ᾳ' => vec!['ᾼ'],
        'ῃ' => vec!['ῌ'],
        'ῳ' => vec!['ῼ'],
        _ => c.to_uppercase().enumerate().flat_map(|(at, c)| if at == 0 { vec![c] } else { lowered(c) }).collect(),
    }
}

pub(super) fn capitalize(text: &Text) -> Text {
    let mut first = true;
    text.map_chars(|c| if std::mem::take(&mut first) { titled(c) } else { lowered(c) })
}

/// What `begin` makes of every character behind one for which `inside` is false, lower case elsewhere.
pub(super) fn title(text: &Text, inside: impl Fn(char) -> bool, begin: impl Fn(char) -> Vec<char>) -> Text {
    let mut within = false;
    text.map_chars(|c| {
        let mapped = if within { lowered(c) } else { begin(c) };
        within = inside(c);
        mapped
    })
}

/// The bytes between two of Python's positions, `None` where the first lies behind the text or the second.
fn window(text: &str, start: Option<i128>, end: Option<i128>) -> Option<std::ops::Range<usize>> {
    if start.is_none() && end.is_none() {
        return Some(0..text.len());
    }
    let length = text.chars().count() as i128;
    let from_end = |at: i128| if at < 0 { at.saturating_add(length).max(0) } else { at };
    let (start, end) = (from_end(start.unwrap_or(0)), from_end(end.unwrap_or(length)).min(length));
    let byte = |at: i128| text.char_indices().nth(at as usize).map_or(text.len(), |(at, _)| at);
    (start <= end).then(|| byte(start)..byte(end))
}

fn affix<'t>(ctx: &Renderer<'_>, string: &str, start: bool, args: &Args<'t>) -> Eval<bool> {
    let options = match args.get(0, "prefix") {
        Some(Value::List(list)) => list.items.clone(),
        Some(value) => vec![value.clone()],
        None => return Err("startswith and endswith take a string".into()),
    };
    ctx.budget.spend(options.len())?;
    for option in options {
        let Value::Str(option) = option else { return Err("startswith and endswith take a string or a tuple of strings".into()) };
        if if start { string.starts_with(option.as_str()) } else { string.ends_with(option.as_str()) } {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `str.replace(old, new, count)`.
fn replace<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, args: &Args<'t>) -> Eval<Value<'t>> {
    let (Some(old), Some(new)) = (args.text(0, "old")?, args.text(1, "new")?) else { return Err("replace takes two strings".into()) };
    replaced(ctx, text, &old, &new, args)
}

/// `text` with `old` replaced by `new`, as often as the third argument says.
pub(super) fn replaced<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, old: &Text, new: &Text, args: &Args<'t>) -> Eval<Value<'t>> {
    let limit = args.int(2, "count")?.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let found = text.as_str().matches(old.as_str()).take(limit).count();
    ctx.budget.grow(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(Value::text(text.replace(old.as_str(), new, limit)))
}

/// The texts of `items` with `separator` between them.
pub(super) fn join<'t>(ctx: &Renderer<'_>, separator: &Text, items: &[Value<'t>]) -> Eval<Value<'t>> {
    let texts = items.iter().map(|item| item.to_text(&ctx.budget)).collect::<Eval<Vec<_>>>()?;
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    ctx.budget.grow(bytes.saturating_add(separator.len().saturating_mul(texts.len())))?;
    Ok(Value::text(separator.join(texts.iter().map(|text| &**text))))
}

fn split<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, from_right: bool, args: &Args<'t>) -> Eval<Value<'t>> {
    let string = text.as_str();
    let limit = args.int(1, "maxsplit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match args.text(0, "sep")? {
        Some(sep) if sep.is_empty() => return Err("empty separator".into()),
        Some(sep) if from_right => {
            let mut parts: Vec<_> = string.rsplitn(limit.saturating_add(1), sep.as_str()).collect();
            parts.reverse();
            parts
        }
        Some(sep) => string.splitn(limit.saturating_add(1), sep.as_str()).collect(),
        None => split_spaces(string, limit, from_right),
    };
    ctx.budget.spend(parts.len())?;
    Value::list(parts.into_iter().map(|part| Value::text(text.part(part))).collect())
}

/// `str.split()` without a separator: runs of white space separate, empty parts vanish.
fn split_spaces(string: &str, limit: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = strip(string, None, !from_right, from_right);
    while !rest.is_empty() {
        let cut = if from_right { rest.rfind(is_space) } else { rest.find(is_space) };
        let Some(at) = cut.filter(|_| parts.len() < limit) else {
            parts.push(rest);
            break;
        };
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        if from_right {
            parts.push(&rest[at + width..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            parts.push(&rest[..at]);
            rest = rest[at + width..].trim_start_matches(is_space);
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `str.splitlines()`.
pub(super) fn split_lines(string: &str, keep_ends: bool) -> Vec<&str> {
    let is_end = |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = string;
    while !rest.is_empty() {
        let Some(at) = rest.find(is_end) else {
            lines.push(rest);
            break;
        };
        let width = if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        lines.push(&rest[..if keep_ends { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    lines
}

fn pad<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, name: &str, args: &Args<'t>) -> Eval<Value<'t>> {
    let width = usize::try_from(args.int(0, "width")?.ok_or("a width is missing")?.max(0)).map_err(|_| "width too large".to_owned())?;
    ctx.budget.grow(width.saturating_mul(4))?;
    let fill = match args.text(1, "fillchar")? {
        Some(fill) => fill.as_str().chars().next().unwrap_or(' '),
        None => {
            if name == "zfill" {
                '0'
            } else {
                ' '
            }
        }
    };
    let missing = width.saturating_sub(text.as_str().chars().count());
    let left = match name {
        "ljust" => 0,
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let sign = if name == "zfill" && text.as_str().starts_with(['+', '-']) { 1 } else { 0 };
    let mut out = text.slice(0..sign);
    (0..left).for_each(|_| out.push_char(fill, false));
    out.push_slice(text, sign..text.len());
    (left..missing).for_each(|_| out.push_char(fill, false));
    Ok(Value::text(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_spaces_as_python_does() {
        assert_eq!(split_spaces("  a b  c ", usize::MAX, false), ["a", "b", "c"]);
        assert_eq!(split_spaces("  a b  c ", 1, false), ["a", "b  c "]);
        assert_eq!(split_spaces("  a b  c ", 1, true), ["  a b", "c"]);
        assert!(split_spaces("   ", 3, false).is_empty());
    }

    #[test]
    fn splits_lines_as_python_does() {
        assert_eq!(split_lines("a\nb\r\nc\n", false), ["a", "b", "c"]);
        assert_eq!(split_lines("a\n\nb", true), ["a\n", "\n", "b"]);
    }
}
