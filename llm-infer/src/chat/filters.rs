//! jinja2's filters, with transformers' `tojson`.

use super::render::{Args, Renderer};
use super::text::Text;
use super::value::{Eval, Kind, List, Value, float_repr};
use super::{json, methods, tests};
use std::cmp::Ordering;
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
        "default" | "d" => {
            let replaced = value.is_undefined() || (args.flag(1, "boolean") && !value.truth());
            Ok(if replaced { args.get(0, "default_value").cloned().unwrap_or_else(|| Value::str("")) } else { value })
        }
        "tojson" => json::to_json(ctx, &value, &args),
        "length" | "count" => length(&value),
        "items" => methods::items(&value),
        "string" => Ok(Value::Str(text()?)),
        "safe" if value.as_text().is_some() => Ok(value),
        "safe" => Ok(Value::Str(text()?)),
        "trim" => {
            let (text, chars) = (text()?, args.text(0, "chars")?);
            Ok(Value::text(text.part(methods::strip(text.as_str(), chars.as_ref().map(|chars| chars.as_str()), true, true))))
        }
        "lower" => Ok(Value::text(methods::lower(&*text()?))),
        "upper" => Ok(Value::text(text()?.map_chars(char::to_uppercase))),
        "capitalize" => Ok(Value::text(methods::capitalize(&*text()?))),
        "title" => Ok(Value::text(methods::title(&*text()?, |c| !(methods::is_space(c) || "-({[<".contains(c))))),
        "center" => {
            let width = args.get(0, "width").cloned().unwrap_or(Value::Int(80));
            methods::call(ctx, &Value::Str(text()?), "center", &Args { positional: vec![width], named: Vec::new() })
        }
        "replace" => methods::replace(ctx, &text()?, &args),
        "indent" => indent(ctx, &*text()?, &args),
        "truncate" => truncate(&*text()?, &args),
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
        "format" => percent_format(ctx, &text()?, &args.positional),
        "abs" => match (&value, value.int()) {
            (Value::Float(value), _) => Ok(Value::Float(value.abs())),
            (_, Some(int)) => Ok(Value::Int(int.abs())),
            _ => Err(format!("bad operand type for abs(): '{}'", value.type_name())),
        },
        "int" => Ok(to_int(&value, &args)),
        "float" => Ok(to_float(&value).or_else(|| args.get(0, "default").cloned()).unwrap_or(Value::Float(0.0))),
        "round" => round(&value, &args),
        "list" => Value::list(listed()?.items.clone()),
        "first" => Ok(listed()?.items.first().cloned().unwrap_or_else(|| Value::undefined("No first item, sequence was empty."))),
        "last" => Ok(listed()?.items.last().cloned().unwrap_or_else(|| Value::undefined("No last item, sequence was empty."))),
        "reverse" => reverse(&value, &*listed()?),
        "join" => join(ctx, &listed()?.items, &args),
        "attr" => ctx.attribute(&value, args.text(0, "name")?.ok_or("attr takes a name")?.as_str()),
        "map" => map(ctx, &listed()?.items, args),
        "select" | "reject" => pick(ctx, &listed()?.items, &args, false, name == "select"),
        "selectattr" | "rejectattr" => pick(ctx, &listed()?.items, &args, true, name == "selectattr"),
        "sort" => {
            let keys = Keys { attribute: args.some(2, "attribute"), case_sensitive: args.flag(1, "case_sensitive") };
            Value::list(sorted(ctx, &listed()?.items, &keys, args.flag(0, "reverse"))?)
        }
        "unique" => unique(ctx, &listed()?.items, &args),
        "min" | "max" => extreme(ctx, &listed()?.items, &args, name == "min"),
        "sum" => sum(ctx, &listed()?.items, &args),
        "groupby" => group_by(ctx, &listed()?.items, &args),
        "batch" => batch(ctx, &listed()?.items, &args),
        "slice" => columns(ctx, &listed()?.items, &args),
        "dictsort" => dictsort(ctx, &value, &args),
        _ => Err(format!("no filter named '{name}'")),
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
    let mut lines = methods::split_lines(text.as_str(), false);
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
fn truncate<'t>(text: &Text, args: &Args<'t>) -> Eval<Value<'t>> {
    let count = |at, name, default| Ok::<_, String>(usize::try_from(args.int(at, name)?.unwrap_or(default)).unwrap_or(0));
    let (length, leeway) = (count(0, "length", 255)?, count(3, "leeway", 5)?);
    let end = args.text(2, "end")?.unwrap_or_else(|| Rc::new(Text::template("...")));
    if text.as_str().chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::text(text.clone()));
    }
    let keep = length.saturating_sub(end.as_str().chars().count());
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
        Some("ceil") => Ok(Value::Float((number * scale).ceil() / scale)),
        Some("floor") => Ok(Value::Float((number * scale).floor() / scale)),
        None | Some("common") if matches!(value, Value::Int(_)) && precision >= 0 => Ok(value.clone()),
        // The decimal expansion decides the halves: 2.675 is below its half in binary.
        None | Some("common") if precision > 0 => {
            Ok(Value::Float(format!("{number:.*}", precision.unsigned_abs() as usize).parse().unwrap_or(number)))
        }
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

fn join<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let separator = match args.some(0, "d") {
        Some(separator) => separator.to_text(&ctx.budget)?,
        None => Rc::default(),
    };
    match args.some(1, "attribute") {
        None => methods::join(ctx, &separator, items),
        Some(attribute) => {
            let items = items.iter().map(|item| by_path(ctx, item, attribute)).collect::<Eval<Vec<_>>>()?;
            methods::join(ctx, &separator, &items)
        }
    }
}

/// An attribute by jinja2's `make_attrgetter`: names and positions joined by dots.
fn by_path<'t>(ctx: &Renderer<'_>, item: &Value<'t>, path: &Value<'t>) -> Eval<Value<'t>> {
    ctx.budget.spend(1)?;
    let Value::Str(path) = path else { return ctx.item(item, path) };
    let mut value = item.clone();
    for name in path.as_str().split('.') {
        value = match name.parse::<i128>() {
            Ok(at) => ctx.item(&value, &Value::Int(at))?,
            Err(_) => ctx.item(&value, &Value::str(name))?,
        };
    }
    Ok(value)
}

fn map<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], mut args: Args<'t>) -> Eval<Value<'t>> {
    let mut out = Vec::with_capacity(items.len());
    if args.positional.is_empty() {
        let attribute = args.named("attribute").ok_or("map requires a filter argument")?;
        for item in items {
            let value = by_path(ctx, item, attribute)?;
            let default = args.named("default").filter(|_| value.is_undefined());
            out.push(default.cloned().unwrap_or(value));
        }
    } else {
        let name = args.positional.remove(0).to_text(&ctx.budget)?;
        for item in items {
            ctx.budget.spend(1)?;
            let args = Args { positional: args.positional.clone(), named: args.named.clone() };
            out.push(ctx.nested(|| apply(ctx, name.as_str(), item.clone(), args))?);
        }
    }
    Value::seq(Kind::Generator, out)
}

/// `select`, `reject` and, by an attribute, `selectattr`, `rejectattr`.
fn pick<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>, by_attribute: bool, keep: bool) -> Eval<Value<'t>> {
    let mut rest = args.positional.iter();
    let attribute = if by_attribute { Some(rest.next().ok_or("missing the name of an attribute")?) } else { None };
    let name = rest.next().map(|name| name.to_text(&ctx.budget)).transpose()?;
    let operands = Args { positional: rest.cloned().collect(), named: Vec::new() };
    let mut out = Vec::new();
    for item in items {
        ctx.budget.spend(1)?;
        let value = attribute.map_or_else(|| Ok(item.clone()), |attribute| by_path(ctx, item, attribute))?;
        let holds = match &name {
            Some(name) => tests::test(ctx, name.as_str(), &value, &operands)?,
            None => value.truth(),
        };
        if holds == keep {
            out.push(item.clone());
        }
    }
    Value::seq(Kind::Generator, out)
}

/// What items are ordered by.
struct Keys<'a, 't> {
    attribute: Option<&'a Value<'t>>,
    case_sensitive: bool,
}

impl<'t> Keys<'_, 't> {
    fn of(&self, ctx: &Renderer<'_>, item: &Value<'t>) -> Eval<Value<'t>> {
        let value = self.attribute.map_or_else(|| Ok(item.clone()), |attribute| by_path(ctx, item, attribute))?;
        Ok(match value {
            Value::Str(text) if !self.case_sensitive => {
                ctx.budget.grow(text.len())?;
                Value::text(methods::lower(&text))
            }
            other => other,
        })
    }
}

fn sorted<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], keys: &Keys<'_, 't>, reverse: bool) -> Eval<Vec<Value<'t>>> {
    let mut keyed = items.iter().map(|item| Ok((keys.of(ctx, item)?, item.clone()))).collect::<Eval<Vec<_>>>()?;
    let mut failure = None;
    keyed.sort_by(|a, b| {
        let (a, b) = if reverse { (b, a) } else { (a, b) };
        ctx.order(&a.0, &b.0)
            .unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
            .unwrap_or(Ordering::Equal)
    });
    failure.map_or_else(|| Ok(keyed.into_iter().map(|(_, item)| item).collect()), Err)
}

fn unique<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let keys = Keys { attribute: args.some(1, "attribute"), case_sensitive: args.flag(0, "case_sensitive") };
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    for item in items {
        let key = keys.of(ctx, item)?;
        let mut known = false;
        for other in &seen {
            known = known || key.equals(other, &ctx.budget)?;
        }
        if !known {
            seen.push(key);
            out.push(item.clone());
        }
    }
    Value::seq(Kind::Generator, out)
}

fn extreme<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>, least: bool) -> Eval<Value<'t>> {
    let keys = Keys { attribute: args.some(1, "attribute"), case_sensitive: args.flag(0, "case_sensitive") };
    let wanted = if least { Ordering::Less } else { Ordering::Greater };
    let mut best: Option<(Value<'t>, &Value<'t>)> = None;
    for item in items {
        let key = keys.of(ctx, item)?;
        let better = match &best {
            Some((other, _)) => ctx.order(&key, other)? == Some(wanted),
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(|| Value::undefined("No aggregated item, sequence was empty."), |(_, item)| item.clone()))
}

fn sum<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let mut total = args.get(1, "start").cloned().unwrap_or(Value::Int(0));
    for item in items {
        let value = args.some(0, "attribute").map_or_else(|| Ok(item.clone()), |attribute| by_path(ctx, item, attribute))?;
        total = ctx.binary(minijinja::machinery::ast::BinOpKind::Add, &total, &value)?;
    }
    Ok(total)
}

fn group_by<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let attribute = args.get(0, "attribute").ok_or("groupby takes an attribute")?;
    let keys = Keys { attribute: Some(attribute), case_sensitive: args.flag(2, "case_sensitive") };
    let mut groups: Vec<(Value<'t>, Vec<Value<'t>>)> = Vec::new();
    for item in sorted(ctx, items, &keys, false)? {
        let value = by_path(ctx, &item, attribute)?;
        match groups.last_mut() {
            Some((key, group)) if key.equals(&value, &ctx.budget)? => group.push(item),
            _ => groups.push((value, vec![item])),
        }
    }
    let pairs = groups.into_iter().map(|(key, group)| Value::seq(Kind::Tuple, vec![key, Value::list(group)?]));
    Value::list(pairs.collect::<Eval<_>>()?)
}

fn batch<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let size = args.int(0, "linecount")?.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
    let size = size.ok_or("batch takes a positive size")?;
    let mut rows: Vec<Vec<_>> = items.chunks(size).map(<[_]>::to_vec).collect();
    if let (Some(fill), Some(last)) = (args.some(1, "fill_with"), rows.last_mut()) {
        ctx.budget.spend(size)?;
        last.resize(size, fill.clone());
    }
    Value::seq(Kind::Generator, rows.into_iter().map(Value::list).collect::<Eval<_>>()?)
}

/// jinja2's `slice` filter: the items in `slices` columns.
fn columns<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let slices = args.int(0, "slices")?.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let slices = slices.ok_or("slice takes a positive count")?;
    ctx.budget.spend(slices)?;
    let (per_column, extra) = (items.len() / slices, items.len() % slices);
    let (mut rest, mut columns) = (items, Vec::new());
    for column in 0..slices {
        let (now, later) = rest.split_at(per_column + usize::from(column < extra));
        rest = later;
        let mut now = now.to_vec();
        if let Some(fill) = args.some(1, "fill_with").filter(|_| extra > 0 && column >= extra) {
            now.push(fill.clone());
        }
        columns.push(Value::list(now)?);
    }
    Value::seq(Kind::Generator, columns)
}

fn dictsort<'t>(ctx: &Renderer<'_>, value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let Value::List(pairs) = methods::items(value)? else { return Err("dictsort takes a mapping".into()) };
    let position = match args.text(1, "by")?.as_ref().map(|by| by.as_str()) {
        None | Some("key") => Value::Int(0),
        Some("value") => Value::Int(1),
        Some(_) => return Err("you can only sort by either 'key' or 'value'".into()),
    };
    let keys = Keys { attribute: Some(&position), case_sensitive: args.flag(0, "case_sensitive") };
    Value::list(sorted(ctx, &pairs.items, &keys, args.flag(2, "reverse"))?)
}

/// Python's `format % args` for `%s %r %d %i %f %x %%`, with widths and precisions.
pub(super) fn percent_format<'t>(ctx: &Renderer<'_>, format: &Rc<Text>, args: &[Value<'t>]) -> Eval<Value<'t>> {
    let source = format.as_str();
    let mut args = args.iter();
    let mut out = Text::default();
    let mut rest = 0;
    while let Some(found) = source[rest..].find('%') {
        let start = rest + found;
        out.push_slice(format, rest..start);
        let spec_end = source[start + 1..].find(|c: char| c.is_alphabetic() || c == '%').ok_or("incomplete format")? + start + 1;
        let (spec, directive) = (&source[start + 1..spec_end], source[spec_end..].chars().next().unwrap_or('%'));
        rest = spec_end + directive.len_utf8();
        if directive == '%' {
            out.push_str("%", false);
            continue;
        }
        let value = args.next().ok_or("not enough arguments for format string")?;
        out.push(&formatted(ctx, value, spec, directive)?);
        ctx.budget.grow(out.len() / 16)?;
    }
    out.push_slice(format, rest..source.len());
    ctx.budget.grow(out.len())?;
    Ok(Value::text(out))
}

/// One value by a format specification: flags, width, `.precision`, then the directive.
fn formatted<'t>(ctx: &Renderer<'_>, value: &Value<'t>, spec: &str, directive: char) -> Eval<Text> {
    let (before, precision) = spec.split_once('.').map_or((spec, None), |(before, digits)| (before, digits.parse::<usize>().ok()));
    let flags = &before[..before.len() - before.trim_start_matches(['-', '+', '0', '<', '>', '^', ' ', ',']).len()];
    let width: usize = before[flags.len()..].parse().unwrap_or(0);
    ctx.budget.grow(width.saturating_add(precision.unwrap_or(0)))?;
    let number = || value.number().ok_or_else(|| format!("%{directive} format: a number is required, not {}", value.type_name()));
    let plain = match directive {
        's' => (*value.to_text(&ctx.budget)?).clone(),
        'r' => {
            let mut out = Text::default();
            value.write_repr(&mut out, &ctx.budget)?;
            out
        }
        'd' | 'i' => Text::template(value.int().map_or_else(|| number().map(|n| (n as i128).to_string()), |int| Ok(int.to_string()))?),
        'f' | 'F' => Text::template(format!("{:.*}", precision.unwrap_or(6), number()?)),
        'x' => Text::template(format!("{:x}", value.int().ok_or("%x format: an integer is required")?)),
        'X' => Text::template(format!("{:X}", value.int().ok_or("%X format: an integer is required")?)),
        'g' => Text::template(float_repr(number()?).trim_end_matches(".0")),
        other => return Err(format!("unsupported format character '{other}'")),
    };
    let missing = width.saturating_sub(plain.as_str().chars().count());
    let fill = if flags.contains('0') && !flags.contains('-') { "0" } else { " " };
    let left = flags.contains(['-', '<']) || (directive == 's' && value.as_text().is_some() && flags.contains('<'));
    let padding = Text::template(fill.repeat(missing));
    let mut out = Text::default();
    for part in if left { [&plain, &padding] } else { [&padding, &plain] } {
        out.push(part);
    }
    Ok(out)
}

/// `str.format`: `{}`, `{0}`, `{name}` with an optional `:spec`, and doubled braces.
pub(super) fn brace_format<'t>(ctx: &Renderer<'_>, format: &Rc<Text>, args: &Args<'t>) -> Eval<Value<'t>> {
    let source = format.as_str();
    let mut out = Text::default();
    let (mut at, mut next) = (0, 0);
    while let Some(found) = source[at..].find(['{', '}']) {
        out.push_slice(format, at..at + found);
        at += found;
        if source[at..].starts_with("{{") || source[at..].starts_with("}}") {
            out.push_slice(format, at..at + 1);
            at += 2;
            continue;
        }
        let end = source[at..].find('}').filter(|_| source[at..].starts_with('{')).ok_or("single brace in format string")? + at;
        let (name, spec) = source[at + 1..end].split_once(':').unwrap_or((&source[at + 1..end], ""));
        let value = match name.parse::<usize>() {
            Ok(position) => args.positional.get(position),
            Err(_) if name.is_empty() => {
                next += 1;
                args.positional.get(next - 1)
            }
            Err(_) => args.named(name),
        };
        let value = value.ok_or_else(|| format!("no argument for `{{{name}}}` in format string"))?;
        let directive = spec.chars().last().filter(|c| c.is_alphabetic());
        let digits = directive.map_or(spec, |c| &spec[..spec.len() - c.len_utf8()]);
        out.push(&formatted(ctx, value, digits, directive.unwrap_or('s'))?);
        ctx.budget.grow(out.len() / 16)?;
        at = end + 1;
    }
    out.push_slice(format, at..source.len());
    ctx.budget.grow(out.len())?;
    Ok(Value::text(out))
}
