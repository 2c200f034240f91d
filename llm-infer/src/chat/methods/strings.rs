//! Python's methods of strings.

use super::super::letters::{self, is_space};
use super::super::render::{Args, Renderer};
use super::super::text::Text;
use super::super::value::{Eval, Kind, Value};
use super::super::{format, lines};
use std::rc::Rc;

pub(super) fn call<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, name: &str, args: &Args<'t>) -> Eval<Value<'t>> {
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
            part(lines::strip(string, chars.as_ref().map(|chars| chars.as_str()), name != "rstrip", name != "lstrip"))
        }
        "lower" => Value::text(letters::lower(text)),
        "casefold" => Value::text(text.map_chars(letters::folded)),
        "upper" => Value::text(text.map_chars(char::to_uppercase)),
        "swapcase" => Value::text(text.map_chars(|c| if c.is_uppercase() { letters::lowered(c) } else { c.to_uppercase().collect() })),
        "capitalize" => Value::text(letters::capitalize(text)),
        "title" => Value::text(letters::title(text, |before| before.is_alphabetic(), letters::titled)),
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
            let lines = lines::split_lines(string, args.flag(0, "keepends"));
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
        "format" => format::brace_format(ctx, text, args)?,
        "ljust" | "rjust" | "center" | "zfill" => pad(ctx, text, name, args)?,
        "expandtabs" => expand_tabs(ctx, text, args)?,
        "format_map" => match args.get(0, "mapping") {
            Some(Value::Dict(dict)) => {
                let named = dict.entries.iter().filter_map(|(key, value)| Some((key.as_text()?.as_str().to_owned(), value.clone())));
                format::brace_format(ctx, text, &Args { positional: Vec::new(), named: named.collect() })?
            }
            _ => return Err("format_map() takes a mapping".into()),
        },
        "translate" => translate(ctx, text, args)?,
        "isdecimal" => all(letters::is_decimal),
        "isdigit" => all(letters::is_digit),
        "isnumeric" => all(char::is_numeric),
        "isidentifier" => Value::Bool(letters::is_identifier(string)),
        "isprintable" => Value::Bool(string.chars().all(letters::is_printable)),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(is_space),
        "isascii" => Value::Bool(string.is_ascii()),
        "isupper" => Value::Bool(string.chars().any(char::is_uppercase) && !string.chars().any(char::is_lowercase)),
        "islower" => Value::Bool(letters::is_lower(string)),
        "istitle" => Value::Bool(letters::is_title(string)),
        _ => return Err(format!("'str' method '{name}' is not available to chat templates")),
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
pub fn replaced<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, old: &Text, new: &Text, args: &Args<'t>) -> Eval<Value<'t>> {
    let limit = args.int(2, "count")?.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let found = text.as_str().matches(old.as_str()).take(limit).count();
    ctx.budget.grow(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(Value::text(text.replace(old.as_str(), new, limit)))
}

/// The texts of `items` with `separator` between them.
pub fn join<'t>(ctx: &Renderer<'_>, separator: &Text, items: &[Value<'t>]) -> Eval<Value<'t>> {
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
        None => lines::split_spaces(string, limit, from_right),
    };
    ctx.budget.spend(parts.len())?;
    Value::list(parts.into_iter().map(|part| Value::text(text.part(part))).collect())
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

/// `str.expandtabs(tabsize=8)`: spaces up to the next column that is a multiple of it.
fn expand_tabs<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, args: &Args<'t>) -> Eval<Value<'t>> {
    let size = match args.get(0, "tabsize") {
        Some(size) => size.int().ok_or_else(|| format!("'{}' object cannot be interpreted as an integer", size.type_name()))?,
        None => 8,
    };
    let size = usize::try_from(size.max(0)).map_err(|_| "tabsize too large".to_owned())?;
    ctx.budget.grow(text.as_str().matches('\t').count().saturating_mul(size))?;
    let (mut out, mut column) = (Text::default(), 0);
    for (at, c) in text.as_str().char_indices() {
        match c {
            '\t' => {
                let spaces = if size == 0 { 0 } else { size - column % size };
                column += spaces;
                out.push_str(&" ".repeat(spaces), text.is_user(at));
            }
            c => {
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
                out.push_char(c, text.is_user(at));
            }
        }
    }
    Ok(Value::text(out))
}

/// `str.translate(table)`: characters by their numbers; what stands for `none` is left out.
fn translate<'t>(ctx: &Renderer<'_>, text: &Rc<Text>, args: &Args<'t>) -> Eval<Value<'t>> {
    let Some(Value::Dict(table)) = args.get(0, "table") else { return Err("translate() takes a dictionary".into()) };
    let mut out = Text::default();
    for (at, c) in text.as_str().char_indices() {
        ctx.budget.spend(1 + table.entries.len() / 16)?;
        match table.get(&Value::Int(u32::from(c).into())) {
            None => out.push_char(c, text.is_user(at)),
            Some(Value::None) => {}
            Some(Value::Str(other)) => {
                out.push(other);
                ctx.budget.grow(out.len() / 16)?;
            }
            Some(code) => {
                let code = code.int().ok_or("character mapping must return integer, None or str")?;
                let c = u32::try_from(code).ok().and_then(char::from_u32).ok_or("character mapping must be in range(0x110000)")?;
                out.push_char(c, text.is_user(at));
            }
        }
    }
    ctx.budget.grow(out.len())?;
    Ok(Value::text(out))
}
