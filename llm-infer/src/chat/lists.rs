//! The filters that work on sequences.

use super::filters::apply;
use super::render::{Args, Renderer};
use super::value::{Eval, Kind, Value};
use super::{letters, methods, tests};
use std::cmp::Ordering;
use std::rc::Rc;

pub(super) fn join<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
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

pub(super) fn map<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], mut args: Args<'t>) -> Eval<Value<'t>> {
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
pub(super) fn pick<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>, by_attribute: bool, keep: bool) -> Eval<Value<'t>> {
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
pub(super) struct Keys<'a, 't> {
    pub attribute: Option<&'a Value<'t>>,
    pub case_sensitive: bool,
}

impl<'t> Keys<'_, 't> {
    fn of(&self, ctx: &Renderer<'_>, item: &Value<'t>) -> Eval<Value<'t>> {
        let value = self.attribute.map_or_else(|| Ok(item.clone()), |attribute| by_path(ctx, item, attribute))?;
        Ok(match value {
            Value::Str(text) if !self.case_sensitive => {
                ctx.budget.grow(text.len())?;
                Value::text(letters::lower(&text))
            }
            other => other,
        })
    }
}

/// `sort(reverse=false, case_sensitive=false, attribute=none)`, where attributes may be several with commas between.
pub(super) fn sort<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let attributes: Vec<Option<Value<'t>>> = match args.some(2, "attribute") {
        Some(Value::Str(names)) => names.as_str().split(',').map(|name| Some(Value::str(name))).collect(),
        other => vec![other.cloned()],
    };
    // As lists the keys may be equal without having an order.
    let key = |item: &Value<'t>| {
        let case_sensitive = args.flag(1, "case_sensitive");
        let parts = attributes.iter().map(|attribute| Keys { attribute: attribute.as_ref(), case_sensitive }.of(ctx, item));
        Value::list(parts.collect::<Eval<_>>()?)
    };
    let keyed = items.iter().map(|item| Ok((key(item)?, item.clone()))).collect::<Eval<_>>()?;
    Value::list(by_keys(ctx, keyed, args.flag(0, "reverse"))?)
}

pub(super) fn sorted<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], keys: &Keys<'_, 't>, reverse: bool) -> Eval<Vec<Value<'t>>> {
    by_keys(ctx, items.iter().map(|item| Ok((keys.of(ctx, item)?, item.clone()))).collect::<Eval<_>>()?, reverse)
}

fn by_keys<'t>(ctx: &Renderer<'_>, mut keyed: Vec<(Value<'t>, Value<'t>)>, reverse: bool) -> Eval<Vec<Value<'t>>> {
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

pub(super) fn unique<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let keys = Keys { attribute: args.some(1, "attribute"), case_sensitive: args.flag(0, "case_sensitive") };
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    for item in items {
        let key = keys.of(ctx, item)?;
        if !key.is_hashable() {
            return Err(format!("unhashable type: '{}'", key.type_name()));
        }
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

pub(super) fn extreme<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>, least: bool) -> Eval<Value<'t>> {
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

pub(super) fn sum<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let mut total = args.get(1, "start").cloned().unwrap_or(Value::Int(0));
    for item in items {
        let value = args.some(0, "attribute").map_or_else(|| Ok(item.clone()), |attribute| by_path(ctx, item, attribute))?;
        total = ctx.binary(minijinja::machinery::ast::BinOpKind::Add, &total, &value)?;
    }
    Ok(total)
}

pub(super) fn group_by<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let attribute = args.get(0, "attribute").ok_or("groupby takes an attribute")?;
    let keys = Keys { attribute: Some(attribute), case_sensitive: args.flag(2, "case_sensitive") };
    let mut groups: Vec<(Value<'t>, Value<'t>, Vec<Value<'t>>)> = Vec::new();
    for item in sorted(ctx, items, &keys, false)? {
        let key = keys.of(ctx, &item)?;
        match groups.last_mut() {
            Some((other, _, group)) if other.equals(&key, &ctx.budget)? => group.push(item),
            _ => groups.push((key, by_path(ctx, &item, attribute)?, vec![item])),
        }
    }
    let pairs = groups.into_iter().map(|(_, grouper, group)| Value::seq(Kind::Tuple, vec![grouper, Value::list(group)?]));
    Value::list(pairs.collect::<Eval<_>>()?)
}

pub(super) fn batch<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    if items.is_empty() {
        return Value::seq(Kind::Generator, Vec::new());
    }
    let size = args.int(0, "linecount")?.ok_or("batch takes a size")?;
    // What jinja2 makes of sizes that are none: one row of all, which an empty one precedes where the size is 0.
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut rows: Vec<Vec<_>> = match size {
        0 => vec![Vec::new(), items.to_vec()],
        _ => items.chunks(size).map(<[_]>::to_vec).collect(),
    };
    let fills = (1..usize::MAX).contains(&size);
    if let (true, Some(fill), Some(last)) = (fills, args.some(1, "fill_with"), rows.last_mut()) {
        ctx.budget.spend(size)?;
        last.resize(size, fill.clone());
    }
    Value::seq(Kind::Generator, rows.into_iter().map(Value::list).collect::<Eval<_>>()?)
}

/// jinja2's `slice` filter: the items in `slices` columns.
pub(super) fn columns<'t>(ctx: &Renderer<'_>, items: &[Value<'t>], args: &Args<'t>) -> Eval<Value<'t>> {
    let slices = args.int(0, "slices")?.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let slices = slices.ok_or("slice takes a positive count")?;
    ctx.budget.spend(slices)?;
    let (per_column, extra) = (items.len() / slices, items.len() % slices);
    let (mut rest, mut columns) = (items, Vec::new());
    for column in 0..slices {
        let (now, later) = rest.split_at(per_column + usize::from(column < extra));
        rest = later;
        let mut now = now.to_vec();
        if let Some(fill) = args.some(1, "fill_with").filter(|_| column >= extra) {
            now.push(fill.clone());
        }
        columns.push(Value::list(now)?);
    }
    Value::seq(Kind::Generator, columns)
}

pub(super) fn dictsort<'t>(ctx: &Renderer<'_>, value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let Value::List(pairs) = methods::items(value, Kind::List)? else { return Err("dictsort takes a mapping".into()) };
    let position = match args.text(1, "by")?.as_ref().map(|by| by.as_str()) {
        None | Some("key") => Value::Int(0),
        Some("value") => Value::Int(1),
        Some(_) => return Err("you can only sort by either 'key' or 'value'".into()),
    };
    let keys = Keys { attribute: Some(&position), case_sensitive: args.flag(0, "case_sensitive") };
    Value::list(sorted(ctx, &pairs.items, &keys, args.flag(2, "reverse"))?)
}
