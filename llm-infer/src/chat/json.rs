//! The `tojson` filter: Python's `json.dumps` with `ensure_ascii=False`, as transformers defines it.

use super::render::{Args, Renderer};
use super::repr::float_repr;
use super::text::Text;
use super::value::{Eval, Value};
use std::rc::Rc;

/// How `json.dumps` lays its output out.
struct Style {
    ensure_ascii: bool,
    indent: Option<Rc<Text>>,
    item_separator: Rc<Text>,
    key_separator: Rc<Text>,
    sort_keys: bool,
}

/// `value | tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn to_json<'t>(ctx: &Renderer<'_>, value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let style = style(ctx, args)?;
    let mut out = Text::default();
    write(ctx, value, &style, 0, &mut out)?;
    ctx.budget.grow(out.len())?;
    Ok(Value::text(out))
}

fn style<'t>(ctx: &Renderer<'_>, args: &Args<'t>) -> Eval<Style> {
    let indent = match args.some(1, "indent") {
        None => None,
        Some(Value::Str(text)) => Some(text.clone()),
        Some(width) => {
            let width = width.int().ok_or("indent must be an integer or a string")?.max(0);
            let width = usize::try_from(width).map_err(|_| "indent too large".to_owned())?;
            ctx.budget.grow(width)?;
            Some(Rc::new(Text::template(" ".repeat(width))))
        }
    };
    let (item_separator, key_separator) = match args.some(2, "separators") {
        None => (Rc::new(Text::template(if indent.is_some() { "," } else { ", " })), Rc::new(Text::template(": "))),
        Some(pair) => match pair.iterate(&ctx.budget)?.items.as_slice() {
            [Value::Str(item), Value::Str(key)] => (item.clone(), key.clone()),
            _ => return Err("separators must be two strings".into()),
        },
    };
    Ok(Style { ensure_ascii: args.flag(0, "ensure_ascii"), indent, item_separator, key_separator, sort_keys: args.flag(3, "sort_keys") })
}

fn write<'t>(ctx: &Renderer<'_>, value: &Value<'t>, style: &Style, level: usize, out: &mut Text) -> Eval<()> {
    ctx.budget.spend(1)?;
    ctx.budget.check(out.len())?;
    match value {
        Value::None => out.push_str("null", false),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }, false),
        Value::Int(value) => out.push_str(&value.to_string(), false),
        Value::Float(value) => out.push_str(&json_float(*value), false),
        Value::Str(text) => write_string(ctx, text, style, out)?,
        Value::List(list) if list.kind.is_indexed() => {
            out.push_str("[", false);
            for (i, item) in list.items.iter().enumerate() {
                separate(ctx, style, i, level + 1, out)?;
                write(ctx, item, style, level + 1, out)?;
            }
            close(ctx, style, list.items.is_empty(), level, "]", out)?;
        }
        Value::Dict(dict) => {
            let mut entries: Vec<_> = dict.entries.iter().collect();
            if style.sort_keys {
                ctx.budget.spend(16 * entries.len())?;
                entries.sort_by(|a, b| key_text(&a.0).as_str().cmp(key_text(&b.0).as_str()));
            }
            out.push_str("{", false);
            for (i, (key, value)) in entries.into_iter().enumerate() {
                separate(ctx, style, i, level + 1, out)?;
                write_string(ctx, &key_text(key), style, out)?;
                out.push(&style.key_separator);
                write(ctx, value, style, level + 1, out)?;
            }
            close(ctx, style, dict.entries.is_empty(), level, "}", out)?;
        }
        other => return Err(format!("Object of type {} is not JSON serializable", other.type_name())),
    }
    Ok(())
}

fn separate(ctx: &Renderer<'_>, style: &Style, index: usize, level: usize, out: &mut Text) -> Eval<()> {
    if index > 0 {
        out.push(&style.item_separator);
    }
    line(ctx, style, level, out)
}

fn close(ctx: &Renderer<'_>, style: &Style, empty: bool, level: usize, bracket: &str, out: &mut Text) -> Eval<()> {
    if !empty {
        line(ctx, style, level, out)?;
    }
    out.push_str(bracket, false);
    Ok(())
}

fn line(ctx: &Renderer<'_>, style: &Style, level: usize, out: &mut Text) -> Eval<()> {
    if let Some(indent) = &style.indent {
        let bytes = indent.len().saturating_mul(level);
        ctx.budget.grow(bytes)?;
        ctx.budget.check(out.len().saturating_add(bytes))?;
        out.push_str("\n", false);
        (0..level).for_each(|_| out.push(indent));
    }
    Ok(())
}

fn key_text(key: &Value<'_>) -> Rc<Text> {
    match key {
        Value::Str(text) => text.clone(),
        Value::None => Rc::new(Text::template("null")),
        Value::Bool(value) => Rc::new(Text::template(if *value { "true" } else { "false" })),
        Value::Float(value) => Rc::new(Text::template(json_float(*value))),
        other => Rc::new(Text::template(other.int().unwrap_or_default().to_string())),
    }
}

fn json_float(value: f64) -> String {
    match float_repr(value).as_str() {
        "nan" => "NaN".into(),
        "inf" => "Infinity".into(),
        "-inf" => "-Infinity".into(),
        plain => plain.to_owned(),
    }
}

fn write_string(ctx: &Renderer<'_>, text: &Text, style: &Style, out: &mut Text) -> Eval<()> {
    ctx.budget.grow(text.len())?;
    out.push_char('"', false);
    for (at, c) in text.as_str().char_indices() {
        let user = text.is_user(at);
        match c {
            '"' => out.push_str("\\\"", user),
            '\\' => out.push_str("\\\\", user),
            '\n' => out.push_str("\\n", user),
            '\r' => out.push_str("\\r", user),
            '\t' => out.push_str("\\t", user),
            '\x08' => out.push_str("\\b", user),
            '\x0c' => out.push_str("\\f", user),
            c if u32::from(c) < 0x20 || (style.ensure_ascii && !(' '..='~').contains(&c)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"), user);
                }
            }
            c => out.push_char(c, user),
        }
    }
    out.push_char('"', false);
    Ok(())
}
