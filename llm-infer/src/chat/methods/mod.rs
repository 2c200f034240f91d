//! Python's methods of strings, dictionaries and lists, as far as jinja2's immutable sandbox lets templates call them.

mod strings;

use super::numbers;
use super::render::{Args, Renderer};
use super::value::{Eval, Kind, Value};
pub(super) use strings::{join, replaced};

const STR: [&str; 46] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
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
    "title",
    "translate",
    "upper",
    "zfill",
];
const DICT: [&str; 6] = ["copy", "fromkeys", "get", "items", "keys", "values"];
const LIST: [&str; 3] = ["copy", "count", "index"];

/// Whether `value` has a method of this name.
pub(super) fn exists(value: &Value<'_>, name: &str) -> bool {
    match value {
        Value::Str(_) => STR.contains(&name),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => numbers::has_method(value, name),
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
            strings::call(ctx, text, name, args)
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
                "fromkeys" => {
                    let keys = args.get(0, "iterable").ok_or("fromkeys expected at least 1 argument, got 0")?.iterate(&ctx.budget)?;
                    let value = args.get(1, "value").cloned().unwrap_or(Value::None);
                    Value::dict(keys.items.iter().map(|key| (key.clone(), value.clone())).collect())
                }
                _ => items(object, Kind::Items),
            }
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => numbers::call(object, name),
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
