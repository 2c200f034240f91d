//! jinja2's filters, with transformers' `tojson`.

use super::render::{Args, Renderer};
use super::text::Text;
use super::value::{Eval, Kind, List, Value};
use super::{format, json, letters, lines, lists, methods};
use std::rc::Rc;

/// The filters there are.
pub(super) const NAMES: [&str; 49] = [
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
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "wordcount",
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
        "indent" => indent(ctx, &*text()?, &args),
        "truncate" => truncate(value, &args),
        "wordcount" => {
            let text = text()?;
            let words = text.as_str().split(|c: char| !(c.is_alphanumeric() || c == '_'));
            Ok(Value::Int(words.filter(|word| !word.is_empty()).count() as i128))
        }
        "escape" | "e" | "forceescape" => Ok(Value::text(escape(&*text()?))),
        "urlencode" => Ok(Value::text(urlencode(&*text()?))),
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
        "int" => Ok(to_int(&value, &args)),
        "float" => Ok(to_float(&value).or_else(|| args.get(0, "default").cloned()).unwrap_or(Value::Float(0.0))),
        "round" => round(&value, &args),
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

fn escape(text: &Text) -> Text {
    let mut out = Text::default();
    for (at, c) in text.as_str().char_indices() {
        let user = text.is_user(at);
        match c {
            '&' => out.push_str("&amp;", user),
            '<' => out.push_str("&lt;", user),
            '>' => out.push_str("&gt;", user),
            '\'' => out.push_str("&#39;", user),
            '"' => out.push_str("&#34;", user),
            c => out.push_char(c, user),
        }
    }
    out
}

fn urlencode(text: &Text) -> Text {
    let mut out = Text::default();
    for (at, byte) in text.as_str().bytes().enumerate() {
        let user = text.is_user(at);
        if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
            out.push_char(char::from(byte), user);
        } else {
            out.push_str(&format!("%{byte:02X}"), user);
        }
    }
    out
}

fn to_int<'t>(value: &Value<'t>, args: &Args<'t>) -> Value<'t> {
    let default = args.get(0, "default").cloned().unwrap_or(Value::Int(0));
    match value {
        Value::Float(value) if value.is_finite() => Value::Int(*value as i128),
        Value::Str(text) => {
            let text = text.as_str().trim();
            let base = args.int(1, "base").ok().flatten().and_then(|base| u32::try_from(base).ok()).filter(|base| (2..=36).contains(base));
            let digits = match base {
                Some(16) => text.trim_start_matches("0x"),
                Some(8) => text.trim_start_matches("0o"),
                Some(2) => text.trim_start_matches("0b"),
                _ => text,
            };
            match i128::from_str_radix(digits, base.unwrap_or(10)) {
                Ok(int) => Value::Int(int),
                Err(_) => text.parse::<f64>().ok().filter(|value| value.is_finite()).map_or(default, |value| Value::Int(value as i128)),
            }
        }
        other => other.int().map_or(default, Value::Int),
    }
}

fn to_float<'t>(value: &Value<'t>) -> Option<Value<'t>> {
    match value {
        Value::Str(text) => text.as_str().trim().parse().ok().map(Value::Float),
        other => other.number().map(Value::Float),
    }
}

/// `round(precision=0, method='common')`: halves go to the even neighbour, as Python's `round` does.
fn round<'t>(value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let number = value.number().ok_or_else(|| format!("type {} doesn't define __round__ method", value.type_name()))?;
    let precision = args.int(0, "precision")?.unwrap_or(0).clamp(-300, 300) as i32;
    let method = args.text(1, "method")?;
    let scale = 10f64.powi(precision);
    match method.as_ref().map(|method| method.as_str()) {
        // Python's `ceil` and `floor` give whole numbers, which know no minus zero.
        Some("ceil") => Ok(Value::Float(((number * scale).ceil() + 0.0) / scale)),
        Some("floor") => Ok(Value::Float(((number * scale).floor() + 0.0) / scale)),
        None | Some("common") if value.int().is_some() && precision >= 0 => Ok(Value::Int(value.int().unwrap_or_default())),
        // The decimal expansion decides the halves: 2.675 is below its half in binary.
        None | Some("common") if precision > 0 => {
            Ok(Value::Float(format!("{number:.*}", precision.unsigned_abs() as usize).parse().unwrap_or(number)))
        }
        None | Some("common") if value.int().is_some() => Ok(Value::Int(((number * scale).round_ties_even() / scale) as i128)),
        None | Some("common") => Ok(Value::Float((number * scale).round_ties_even() / scale)),
        Some(_) => Err("method must be common, ceil or floor".into()),
    }
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
