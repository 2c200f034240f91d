//! jinja2's filters, with transformers' `tojson`.

use super::render::{Args, Renderer};
use super::text::Text;
use super::value::{Eval, Kind, List, Value};
use super::{format, json, letters, lines, lists, markup, methods, numbers, wrap};
use std::rc::Rc;

/// The filters there are.
pub(super) const NAMES: [&str; 52] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "filesizeformat",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// `value | name(args)`.
pub(super) fn apply<'t>(ctx: &Renderer<'_>, name: &str, value: Value<'t>, args: Args<'t>) -> Eval<Value<'t>> {
    let text = || -> Eval<Rc<Text>> {
        let text = value.to_text(&ctx.budget)?;
        ctx.budget.grow(text.len())?;
        Ok(text)
    };
    let listed = || value.iterate(&ctx.budget);
    match name {
        "int" | "float" | "dictsort" | "indent" => {
            if let Value::Undefined(message) = &value {
                return Err(message.to_string());
            }
        }
        // These look at their operand and arguments only where there is something to go through.
        "map" | "select" | "reject" | "selectattr" | "rejectattr" if !value.truth() => return Value::seq(Kind::Generator, Vec::new()),
        _ => {}
    }
    match name {
        "default" | "d" => {
            let replaced = value.is_undefined() || (args.flag(1, "boolean") && !value.truth());
            Ok(if replaced { args.get(0, "default_value").cloned().unwrap_or_else(|| Value::str("")) } else { value })
        }
        "tojson" => json::to_json(ctx, &value, &args),
        "length" | "count" => length(&value),
        "items" => methods::items(&value, Kind::Generator),
        "string" => Ok(Value::Str(text()?)),
        "safe" if value.as_text().is_some() => Ok(value),
        "safe" => Ok(Value::Str(text()?)),
        "trim" => {
            let (text, chars) = (text()?, args.text(0, "chars")?);
            Ok(Value::text(text.part(lines::strip(text.as_str(), chars.as_ref().map(|chars| chars.as_str()), true, true))))
        }
        "lower" => Ok(Value::text(letters::lower(&*text()?))),
        "upper" => Ok(Value::text(text()?.map_chars(char::to_uppercase))),
        "capitalize" => Ok(Value::text(letters::capitalize(&*text()?))),
        "title" => {
            Ok(Value::text(letters::title(&*text()?, |c| !(letters::is_space(c) || "-({[<".contains(c)), |c| c.to_uppercase().collect())))
        }
        "center" => {
            let width = args.get(0, "width").cloned().unwrap_or(Value::Int(80));
            methods::call(ctx, &Value::Str(text()?), "center", &Args { positional: vec![width], named: Vec::new() })
        }
        "replace" => {
            let (Some(old), Some(new)) = (args.get(0, "old"), args.get(1, "new")) else { return Err("replace takes two strings".into()) };
            methods::replaced(ctx, &text()?, &*old.to_text(&ctx.budget)?, &*new.to_text(&ctx.budget)?, &args)
        }
        "wordwrap" => match &value {
            Value::Str(text) => wrap::wordwrap(ctx, text, &args),
            other => Err(format!("'{}' object has no attribute 'splitlines'", other.type_name())),
        },
        "indent" => indent(ctx, &*text()?, &args),
        "truncate" => truncate(value, &args),
        "wordcount" => {
            let text = text()?;
            let words = text.as_str().split(|c: char| !(c.is_alphanumeric() || c == '_'));
            Ok(Value::Int(words.filter(|word| !word.is_empty()).count() as i128))
        }
        "escape" | "e" | "forceescape" => Ok(Value::text(markup::escape(&*text()?))),
        "striptags" => Ok(Value::text(markup::strip_tags(&*text()?))),
        "xmlattr" => markup::attributes(ctx, &value, &args),
        "urlencode" => markup::urlencode(ctx, &value),
        "pprint" => {
            let mut out = Text::default();
            value.write_repr(&mut out, &ctx.budget)?;
            Ok(Value::text(out))
        }
        "format" => {
            let operands = match (args.positional.is_empty(), args.named.is_empty()) {
                (false, false) => return Err("can't handle positional and keyword arguments at the same time".into()),
                (true, false) => Value::dict(args.named.into_iter().map(|(name, value)| (Value::str(name), value)).collect())?,
                _ => Value::seq(Kind::Tuple, args.positional)?,
            };
            format::percent_format(ctx, &text()?, &operands)
        }
        "abs" => match (&value, value.int()) {
            (Value::Float(value), _) => Ok(Value::Float(value.abs())),
            (_, Some(int)) => Ok(Value::Int(int.abs())),
            _ => Err(format!("bad operand type for abs(): '{}'", value.type_name())),
        },
        "int" => Ok(numbers::to_int(&value, &args)),
        "float" => Ok(numbers::to_float(&value).or_else(|| args.get(0, "default").cloned()).unwrap_or(Value::Float(0.0))),
        "round" => numbers::round(&value, &args),
        "filesizeformat" => numbers::file_size(&value, &args),
        "list" => Value::list(listed()?.items.clone()),
        "first" => Ok(first(&value, ctx)?.unwrap_or_else(|| Value::undefined("No first item, sequence was empty."))),
        "last" => Ok(listed()?.items.last().cloned().unwrap_or_else(|| Value::undefined("No last item, sequence was empty."))),
        "reverse" => reverse(&value, &*listed()?),
        "join" => lists::join(ctx, &listed()?.items, &args),
        // `attr` sees no items, and attributes that are not methods are for loops and namespaces.
        "attr" if matches!(value, Value::Dict(_)) && !methods::exists(&value, args.text(0, "name")?.unwrap_or_default().as_str()) => {
            Ok(Value::undefined("'dict object' has no such attribute"))
        }
        "attr" => ctx.attribute(&value, args.text(0, "name")?.ok_or("attr takes a name")?.as_str()),
        "map" => lists::map(ctx, &listed()?.items, args),
        "select" | "reject" => lists::pick(ctx, &listed()?.items, &args, false, name == "select"),
        "selectattr" | "rejectattr" => lists::pick(ctx, &listed()?.items, &args, true, name == "selectattr"),
        "sort" => lists::sort(ctx, &listed()?.items, &args),
        "unique" => lists::unique(ctx, &listed()?.items, &args),
        "min" | "max" => lists::extreme(ctx, &listed()?.items, &args, name == "min"),
        "sum" => lists::sum(ctx, &listed()?.items, &args),
        "groupby" => lists::group_by(ctx, &listed()?.items, &args),
        "batch" => lists::batch(ctx, &listed()?.items, &args),
        "slice" => lists::columns(ctx, &listed()?.items, &args),
        "dictsort" => lists::dictsort(ctx, &value, &args),
        _ => Err(format!("no filter named '{name}'")),
    }
}

fn first<'t>(value: &Value<'t>, ctx: &Renderer<'_>) -> Eval<Option<Value<'t>>> {
    match value {
        Value::List(list) => Ok(list.first()),
        other => Ok(other.iterate(&ctx.budget)?.first()),
    }
}

fn length<'t>(value: &Value<'t>) -> Eval<Value<'t>> {
    let length = match value {
        Value::Str(text) => text.as_str().chars().count(),
        Value::List(list) if list.kind != Kind::Generator => list.items.len(),
        Value::Dict(dict) => dict.entries.len(),
        Value::Loop(state) => state.items.items.len(),
        Value::Undefined(_) => 0,
        other => return Err(format!("object of type '{}' has no len()", other.type_name())),
    };
    Ok(Value::Int(length as i128))
}

/// `indent(width=4, first=False, blank=False)`: the text's own last line break stays.
fn indent<'t>(ctx: &Renderer<'_>, text: &Text, args: &Args<'t>) -> Eval<Value<'t>> {
    let prefix = match args.some(0, "width") {
        Some(Value::Str(prefix)) => prefix.clone(),
        Some(width) => {
            let width = usize::try_from(width.int().ok_or("width must be an integer or a string")?.max(0)).unwrap_or(usize::MAX);
            ctx.budget.grow(width)?;
            Rc::new(Text::template(" ".repeat(width)))
        }
        None => Rc::new(Text::template("    ")),
    };
    let mut lines = lines::split_lines(text.as_str(), false);
    if text.is_empty() || text.as_str().ends_with(['\n', '\r']) {
        lines.push("");
    }
    ctx.budget.grow(text.len().saturating_add(lines.len().saturating_mul(prefix.len() + 1)))?;
    let (first, blank) = (args.flag(1, "first"), args.flag(2, "blank"));
    let mut out = Text::default();
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            out.push_str("\n", false);
        }
        if if at == 0 { first } else { blank || !line.is_empty() } {
            out.push(&prefix);
        }
        out.push(&text.part(line));
    }
    Ok(Value::text(out))
}

/// `truncate(length=255, killwords=False, end='...', leeway=5)`.
fn truncate<'t>(value: Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let count = |at, name, default| Ok::<_, String>(usize::try_from(args.int(at, name)?.unwrap_or(default)).unwrap_or(0));
    let (length, leeway) = (count(0, "length", 255)?, count(3, "leeway", 5)?);
    let end = args.text(2, "end")?.unwrap_or_else(|| Rc::new(Text::template("...")));
    let end_length = end.as_str().chars().count();
    if length < end_length {
        return Err(format!("expected length >= {end_length}, got {length}"));
    }
    let Value::Int(whole) = self::length(&value)? else { return Ok(value) };
    if whole as usize <= length.saturating_add(leeway) {
        return Ok(value);
    }
    let Value::Str(text) = &value else { return Err(format!("'{}' object cannot be cut at words", value.type_name())) };
    let keep = length - end_length;
    let cut = text.as_str().char_indices().nth(keep).map_or(text.len(), |(at, _)| at);
    let head = &text.as_str()[..cut];
    let head = if args.flag(1, "killwords") { head } else { head.rsplit_once(' ').map_or(head, |(head, _)| head) };
    let mut out = text.part(head);
    out.push(&end);
    Ok(Value::text(out))
}

fn reverse<'t>(value: &Value<'t>, list: &List<'t>) -> Eval<Value<'t>> {
    if let Value::Str(text) = value {
        let mut out = Text::default();
        for (at, c) in text.as_str().char_indices().rev() {
            out.push_slice(text, at..at + c.len_utf8());
        }
        return Ok(Value::text(out));
    }
    Value::seq(Kind::Generator, list.items.iter().rev().cloned().collect())
}
