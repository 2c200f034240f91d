//! Python's two ways of formatting a string: `%` and `str.format`.

use super::render::{Args, Renderer};
use super::repr::float_repr;
use super::text::Text;
use super::value::{Eval, Kind, Value};
use std::rc::Rc;

/// Python's `format % operand` for `%s %r %d %i %f %x %%`, with widths and precisions, and `%(name)s` of a dictionary.
pub(super) fn percent_format<'t>(ctx: &Renderer<'_>, format: &Rc<Text>, operand: &Value<'t>) -> Eval<Value<'t>> {
    let source = format.as_str();
    let values = match operand {
        Value::List(list) if list.kind == Kind::Tuple => list.items.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut args = values.iter();
    let mut out = Text::default();
    let mut rest = 0;
    while let Some(found) = source[rest..].find('%') {
        let start = rest + found;
        out.push_slice(format, rest..start);
        let name =
            source[start + 1..].strip_prefix('(').map(|rest| rest.split_once(')').map(|(name, _)| name).ok_or("incomplete format key"));
        let name = name.transpose()?;
        let start = start + name.map_or(0, |name| name.len() + 2);
        let spec_end = source[start + 1..].find(|c: char| c.is_alphabetic() || c == '%').ok_or("incomplete format")? + start + 1;
        let (spec, directive) = (&source[start + 1..spec_end], source[spec_end..].chars().next().unwrap_or('%'));
        rest = spec_end + directive.len_utf8();
        if directive == '%' {
            out.push_str("%", false);
            continue;
        }
        let value = match (name, operand) {
            (None, _) => args.next().ok_or("not enough arguments for format string")?,
            (Some(name), Value::Dict(dict)) => dict.get_str(name).ok_or_else(|| format!("no `{name}` to format"))?,
            (Some(_), _) => return Err("format requires a mapping".into()),
        };
        out.push(&formatted(ctx, value, spec, directive)?);
        ctx.budget.grow(out.len() / 16)?;
    }
    // What has keys may be left, as Python takes it for a mapping.
    let has_keys = match operand {
        Value::Dict(_) | Value::Undefined(_) => true,
        Value::List(list) => list.kind == Kind::List,
        _ => false,
    };
    if args.next().is_some() && !has_keys {
        return Err("not all arguments converted during string formatting".into());
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
        'x' | 'X' => {
            let int = value.int().ok_or_else(|| format!("%{directive} format: an integer is required, not {}", value.type_name()))?;
            let digits = format!("{}{:x}", if int < 0 { "-" } else { "" }, int.unsigned_abs());
            Text::template(if directive == 'X' { digits.to_uppercase() } else { digits })
        }
        'g' => Text::template(float_repr(number()?).trim_end_matches(".0")),
        other => return Err(format!("unsupported format character '{other}'")),
    };
    let plain = if flags.contains(',') { Text::template(with_thousands(plain.as_str())) } else { plain };
    let missing = width.saturating_sub(plain.as_str().chars().count());
    let fill = if flags.contains('0') && !flags.contains('-') { "0" } else { " " };
    let before = match flags {
        _ if flags.contains('^') => missing / 2,
        _ if flags.contains(['-', '<']) => 0,
        _ => missing,
    };
    // Zeros go behind the sign.
    let sign = usize::from(fill == "0" && plain.as_str().starts_with('-'));
    let mut out = plain.slice(0..sign);
    out.push_str(&fill.repeat(before), false);
    out.push_slice(&plain, sign..plain.len());
    out.push_str(&fill.repeat(missing - before), false);
    Ok(out)
}

/// The digits before the point in groups of three.
fn with_thousands(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut out = String::new();
    for (at, c) in number.char_indices() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(3) && number[..at].ends_with(|c: char| c.is_ascii_digit()) {
            out.push(',');
        }
        out.push(c);
    }
    out
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
