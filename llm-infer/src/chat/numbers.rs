//! Numbers: the filters that make or show them, and their methods.

use super::render::Args;
use super::repr::float_repr;
use super::value::{Eval, Kind, Value};

pub(super) fn to_int<'t>(value: &Value<'t>, args: &Args<'t>) -> Value<'t> {
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

pub(super) fn to_float<'t>(value: &Value<'t>) -> Option<Value<'t>> {
    match value {
        Value::Str(text) => text.as_str().trim().parse().ok().map(Value::Float),
        other => other.number().map(Value::Float),
    }
}

/// `round(precision=0, method='common')`: halves go to the even neighbour, as Python's `round` does.
pub(super) fn round<'t>(value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
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

/// `filesizeformat(binary=False)`: `13 kB`, or `12.7 KiB`.
pub(super) fn file_size<'t>(value: &Value<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
    let Some(Value::Float(bytes)) = to_float(value) else {
        return Err(format!("float() argument must be a string or a real number, not '{}'", value.type_name()));
    };
    let binary = args.flag(0, "binary");
    let base = if binary { 1024_f64 } else { 1000.0 };
    if bytes == 1.0 {
        return Ok(Value::str("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::str(format!("{} Bytes", bytes.trunc() as i128)));
    }
    let powers = (2..).zip(if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    });
    // The largest prefix has whatever is above it.
    let fitting = powers.clone().find(|(power, _)| bytes < base.powi(*power)).or_else(|| powers.last());
    let Some((power, prefix)) = fitting else { return Err("no prefix".into()) };
    let shown = base * bytes / base.powi(power);
    let digits = if shown.is_finite() { format!("{shown:.1}") } else { float_repr(shown) };
    Ok(Value::str(format!("{digits} {prefix}")))
}

/// Python's attributes of whole numbers and floats that are numbers.
const FIELDS: [&str; 4] = ["denominator", "imag", "numerator", "real"];
const INT: [&str; 4] = ["as_integer_ratio", "bit_count", "bit_length", "conjugate"];
const FLOAT: [&str; 2] = ["conjugate", "is_integer"];

/// Whether a number has a method of this name.
pub(super) fn has_method(value: &Value<'_>, name: &str) -> bool {
    if value.int().is_some() { INT.contains(&name) } else { FLOAT.contains(&name) }
}

/// The attribute of a number that is no method.
pub(super) fn field<'t>(value: &Value<'t>, name: &str) -> Option<Value<'t>> {
    let whole = value.int();
    match name {
        _ if !FIELDS.contains(&name) => None,
        "imag" => Some(if whole.is_some() { Value::Int(0) } else { Value::Float(0.0) }),
        "denominator" => whole.map(|_| Value::Int(1)),
        "numerator" => whole.map(Value::Int),
        _ => Some(whole.map_or_else(|| value.clone(), Value::Int)),
    }
}

/// A method of a number.
pub(super) fn call<'t>(value: &Value<'t>, name: &str) -> Eval<Value<'t>> {
    match (name, value.int(), value) {
        ("conjugate", Some(whole), _) => Ok(Value::Int(whole)),
        ("conjugate", ..) => Ok(value.clone()),
        ("as_integer_ratio", Some(whole), _) => Value::seq(Kind::Tuple, vec![Value::Int(whole), Value::Int(1)]),
        ("bit_count", Some(whole), _) => Ok(Value::Int(whole.unsigned_abs().count_ones().into())),
        ("bit_length", Some(whole), _) => Ok(Value::Int((128 - whole.unsigned_abs().leading_zeros()).into())),
        ("is_integer", _, Value::Float(number)) => Ok(Value::Bool(number.is_finite() && number.fract() == 0.0)),
        _ => Err(format!("'{}' method '{name}' is not available to chat templates", value.type_name())),
    }
}
