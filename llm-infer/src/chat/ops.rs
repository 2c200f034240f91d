//! Python's operators: slices, comparisons, membership, concatenation, arithmetic.

use super::format::percent_format;
use super::render::Renderer;
use super::text::Text;
use super::value::{Eval, Value};
use minijinja::machinery::ast::{BinOpKind, CompareOpKind};
use std::cmp::Ordering;
use std::rc::Rc;

impl Renderer<'_> {
    pub fn slice<'t>(&self, value: &Value<'t>, start: Option<i128>, stop: Option<i128>, step: Option<i128>) -> Eval<Value<'t>> {
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err("slice step cannot be zero".into());
        }
        match value {
            Value::List(list) if list.kind.is_indexed() => {
                self.budget.spend(list.items.len())?;
                let picked = slice_indices(list.items.len(), start, stop, step);
                Value::seq(list.kind, picked.into_iter().map(|at| list.items[at].clone()).collect())
            }
            Value::Str(text) => {
                self.budget.spend(text.len())?;
                let mut bounds: Vec<usize> = text.as_str().char_indices().map(|(at, _)| at).collect();
                let chars = bounds.len();
                bounds.push(text.len());
                let mut out = Text::default();
                for at in slice_indices(chars, start, stop, step) {
                    out.push_slice(text, bounds[at]..bounds[at + 1]);
                }
                Ok(Value::text(out))
            }
            Value::Undefined(message) => Err(message.to_string()),
            // What a value has no item for is undefined.
            other => Ok(Value::undefined(format!("'{}' object is not subscriptable", other.type_name()))),
        }
    }

    pub fn compare<'t>(&self, op: CompareOpKind, left: &Value<'t>, right: &Value<'t>) -> Eval<bool> {
        Ok(match op {
            CompareOpKind::Eq => left.equals(right, &self.budget)?,
            CompareOpKind::Ne => !left.equals(right, &self.budget)?,
            CompareOpKind::Lt => self.order(left, right)? == Some(Ordering::Less),
            CompareOpKind::Lte => matches!(self.order(left, right)?, Some(Ordering::Less | Ordering::Equal)),
            CompareOpKind::Gt => self.order(left, right)? == Some(Ordering::Greater),
            CompareOpKind::Gte => matches!(self.order(left, right)?, Some(Ordering::Greater | Ordering::Equal)),
            CompareOpKind::In => self.contains(right, left)?,
            CompareOpKind::NotIn => !self.contains(right, left)?,
        })
    }

    /// Python's order of numbers, texts and sequences; `None` where a NaN is compared.
    pub fn order<'t>(&self, left: &Value<'t>, right: &Value<'t>) -> Eval<Option<Ordering>> {
        self.budget.spend(1)?;
        match (left, right) {
            (Value::Undefined(message), _) | (_, Value::Undefined(message)) => return Err(message.to_string()),
            (Value::Str(a), Value::Str(b)) => return Ok(Some(a.as_str().cmp(b.as_str()))),
            (Value::List(a), Value::List(b)) if a.kind == b.kind && a.kind.is_indexed() => {
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, &self.budget)? {
                        return self.nested(|| self.order(a, b));
                    }
                }
                return Ok(Some(a.items.len().cmp(&b.items.len())));
            }
            _ => {}
        }
        match (left.int(), right.int(), left.number(), right.number()) {
            (Some(a), Some(b), ..) => Ok(Some(a.cmp(&b))),
            (.., Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
            _ => Err(format!("'<' not supported between instances of '{}' and '{}'", left.type_name(), right.type_name())),
        }
    }

    /// Python's `item in container`.
    pub fn contains<'t>(&self, container: &Value<'t>, item: &Value<'t>) -> Eval<bool> {
        match (container, item) {
            (Value::Str(text), Value::Str(item)) => {
                self.budget.spend(text.len() / 64)?;
                Ok(text.as_str().contains(item.as_str()))
            }
            (Value::Str(_), other) => Err(format!("'in <string>' requires string as left operand, not {}", other.type_name())),
            (Value::Dict(_), _) if !item.is_hashable() => Err(format!("unhashable type: '{}'", item.type_name())),
            (Value::Dict(dict), _) => Ok(dict.get(item).is_some()),
            (Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_), _) => {
                Err(format!("argument of type '{}' is not iterable", container.type_name()))
            }
            _ => {
                for other in &container.iterate(&self.budget)?.items {
                    if other.equals(item, &self.budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    pub fn binary<'t>(&self, op: BinOpKind, left: &Value<'t>, right: &Value<'t>) -> Eval<Value<'t>> {
        let comparison = match op {
            BinOpKind::Eq => Some(CompareOpKind::Eq),
            BinOpKind::Ne => Some(CompareOpKind::Ne),
            BinOpKind::Lt => Some(CompareOpKind::Lt),
            BinOpKind::Lte => Some(CompareOpKind::Lte),
            BinOpKind::Gt => Some(CompareOpKind::Gt),
            BinOpKind::Gte => Some(CompareOpKind::Gte),
            BinOpKind::In => Some(CompareOpKind::In),
            _ => None,
        };
        if let Some(op) = comparison {
            return Ok(Value::Bool(self.compare(op, left, right)?));
        }
        if matches!(op, BinOpKind::Concat) {
            return self.concat(&left.to_text(&self.budget)?, &right.to_text(&self.budget)?);
        }
        match (op, left, right) {
            (BinOpKind::Rem, Value::Str(format), _) => percent_format(self, format, right),
            (_, Value::Undefined(message), _) | (_, _, Value::Undefined(message)) => Err(message.to_string()),
            (BinOpKind::Add, Value::Str(a), Value::Str(b)) => self.concat(a, b),
            (BinOpKind::Add, Value::List(a), Value::List(b)) if a.kind == b.kind && a.kind.is_indexed() => {
                self.budget.spend(a.items.len() + b.items.len())?;
                Value::seq(a.kind, a.items.iter().chain(&b.items).cloned().collect())
            }
            (BinOpKind::Mul, Value::Str(_) | Value::List(_), times) | (BinOpKind::Mul, times, Value::Str(_) | Value::List(_))
                if times.int().is_some() =>
            {
                let sequence = if left.int().is_some() { right } else { left };
                self.repeat(sequence, times.int().unwrap_or(0))
            }
            _ => arithmetic(op, left, right),
        }
    }

    fn concat<'t>(&self, left: &Rc<Text>, right: &Rc<Text>) -> Eval<Value<'t>> {
        self.budget.grow(left.len() + right.len())?;
        let mut out = Text::default();
        out.push(left);
        out.push(right);
        Ok(Value::text(out))
    }

    fn repeat<'t>(&self, sequence: &Value<'t>, times: i128) -> Eval<Value<'t>> {
        let times = usize::try_from(times.max(0)).map_err(|_| "repeat count too large".to_owned())?;
        match sequence {
            Value::Str(text) => {
                self.budget.grow(text.len().saturating_mul(times))?;
                Ok(Value::text(text.repeat(if text.is_empty() { 0 } else { times })))
            }
            Value::List(list) if list.kind.is_indexed() => {
                self.budget.spend(list.items.len().saturating_mul(times))?;
                let times = if list.items.is_empty() { 0 } else { times };
                Value::seq(list.kind, (0..times).flat_map(|_| list.items.iter().cloned()).collect())
            }
            other => Err(format!("can't multiply '{}' by an integer", other.type_name())),
        }
    }
}

/// The positions of Python's `[start:stop:step]`.
fn slice_indices(length: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> Vec<usize> {
    let length = length as i128;
    let clamp = |at: i128, low: i128, high: i128| (if at < 0 { at.saturating_add(length) } else { at }).clamp(low, high);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let mut at = start.map_or(if step > 0 { low } else { high }, |at| clamp(at, low, high));
    let stop = stop.map_or(if step > 0 { high } else { low }, |at| clamp(at, low, high));
    let mut out = Vec::new();
    while if step > 0 { at < stop } else { at > stop } {
        out.push(at as usize);
        at = at.saturating_add(step);
    }
    out
}

pub(super) fn negate<'t>(value: &Value<'t>) -> Eval<Value<'t>> {
    match value {
        Value::Float(value) => Ok(Value::Float(-value)),
        Value::Undefined(message) => Err(message.to_string()),
        other => match other.int() {
            Some(value) => Ok(Value::Int(-value)),
            None => Err(format!("bad operand type for unary -: '{}'", other.type_name())),
        },
    }
}

/// Python's `x % y`, which has the sign of `y`.
fn modulo(x: f64, y: f64) -> f64 {
    let rest = x % y;
    if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest.abs().copysign(y) }
}

/// Python's arithmetic on numbers: floor division and modulo towards minus infinity, `/` always a float.
fn arithmetic<'t>(op: BinOpKind, left: &Value<'t>, right: &Value<'t>) -> Eval<Value<'t>> {
    let (Some(x), Some(y)) = (left.number(), right.number()) else {
        return Err(format!("unsupported operand types: '{}' and '{}'", left.type_name(), right.type_name()));
    };
    if y == 0.0 && matches!(op, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem) {
        return Err("division by zero".into());
    }
    if let (Some(a), Some(b)) = (left.int(), right.int()) {
        let exact = match op {
            BinOpKind::Add => Some(a.checked_add(b)),
            BinOpKind::Sub => Some(a.checked_sub(b)),
            BinOpKind::Mul => Some(a.checked_mul(b)),
            BinOpKind::FloorDiv => Some(a.checked_div_euclid(b).map(|q| if b < 0 && a.rem_euclid(b) != 0 { q - 1 } else { q })),
            BinOpKind::Rem => Some(a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r })),
            BinOpKind::Pow if b >= 0 => Some(u32::try_from(b).ok().and_then(|b| a.checked_pow(b))),
            _ => None,
        };
        if let Some(exact) = exact {
            return exact.map(Value::Int).ok_or_else(|| "integer too large".into());
        }
    }
    if x == 0.0 && y < 0.0 && matches!(op, BinOpKind::Pow) {
        return Err("0.0 cannot be raised to a negative power".into());
    }
    Ok(Value::Float(match op {
        BinOpKind::Add => x + y,
        BinOpKind::Sub => x - y,
        BinOpKind::Mul => x * y,
        BinOpKind::Div => x / y,
        BinOpKind::FloorDiv => match ((x - modulo(x, y)) / y).round() {
            0.0 => 0.0_f64.copysign(x / y),
            whole => whole,
        },
        BinOpKind::Rem => modulo(x, y),
        BinOpKind::Pow => x.powf(y),
        _ => return Err("not an arithmetic operator".into()),
    }))
}
