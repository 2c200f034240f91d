//! jinja2's tests: what may follow `is`.

use super::render::{Args, Renderer};
use super::value::{Eval, Value};
use super::{filters, letters};
use minijinja::machinery::ast::CompareOpKind;

/// Whether `value is name(args)`.
pub(super) fn test<'t>(ctx: &Renderer<'_>, name: &str, value: &Value<'t>, args: &Args<'t>) -> Eval<bool> {
    let operand = || args.positional.first().ok_or_else(|| format!("test '{name}' takes an argument"));
    let comparison = match name {
        "eq" | "equalto" | "==" => Some(CompareOpKind::Eq),
        "ne" | "!=" => Some(CompareOpKind::Ne),
        "lt" | "lessthan" | "<" => Some(CompareOpKind::Lt),
        "le" | "<=" => Some(CompareOpKind::Lte),
        "gt" | "greaterthan" | ">" => Some(CompareOpKind::Gt),
        "ge" | ">=" => Some(CompareOpKind::Gte),
        "in" => Some(CompareOpKind::In),
        _ => None,
    };
    if let Some(op) = comparison {
        return ctx.compare(op, value, operand()?);
    }
    let remainder = |by: &Value<'t>| match (value.int(), by.int()) {
        (Some(value), Some(by)) if by != 0 => Ok(value.rem_euclid(by)),
        _ => match (value.number(), by.number()) {
            (Some(value), Some(by)) if by != 0.0 => Ok(if value.rem_euclid(by) == 0.0 {
                0
            } else if value.rem_euclid(by) == 1.0 {
                1
            } else {
                -1
            }),
            _ => Err(format!("test '{name}' takes numbers")),
        },
    };
    Ok(match name {
        "defined" => !value.is_undefined(),
        "undefined" => value.is_undefined(),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
        "string" => matches!(value, Value::Str(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => match value {
            Value::List(list) => list.kind.is_indexed(),
            other => matches!(other, Value::Str(_) | Value::Dict(_) | Value::Undefined(_)),
        },
        "iterable" => matches!(value, Value::Str(_) | Value::Dict(_) | Value::List(_) | Value::Loop(_) | Value::Undefined(_)),
        "callable" => {
            matches!(value, Value::Macro(_) | Value::Function(_) | Value::Method(_) | Value::Undefined(_) | Value::Joiner(_))
        }
        "even" => remainder(&Value::Int(2))? == 0,
        "odd" => remainder(&Value::Int(2))? == 1,
        "divisibleby" => remainder(operand()?)? == 0,
        "lower" => letters::is_lower(value.to_text(&ctx.budget)?.as_str()),
        "upper" => {
            let text = value.to_text(&ctx.budget)?;
            text.as_str().chars().any(char::is_uppercase) && !text.as_str().chars().any(char::is_lowercase)
        }
        // What is undefined is made anew wherever it is named.
        "sameas" if value.is_undefined() => false,
        "sameas" => std::mem::discriminant(value) == std::mem::discriminant(operand()?) && value.equals(operand()?, &ctx.budget)?,
        "escaped" => false,
        "filter" => value.as_text().is_some_and(|name| filters::NAMES.contains(&name.as_str())),
        "test" => value.as_text().is_some_and(|name| NAMES.contains(&name.as_str())),
        _ => return Err(format!("no test named '{name}'")),
    })
}

const NAMES: [&str; 39] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];
