//! When Python takes two values for the same.

use super::budget::Budget;
use super::value::{Eval, Kind, Value};
use std::rc::Rc;

impl Value<'_> {
    /// Python's `a == b`.
    pub fn equals(&self, other: &Self, budget: &Budget) -> Eval<bool> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => a.as_str() == b.as_str(),
            (Self::List(a), Self::List(b)) => {
                if Rc::ptr_eq(a, b) {
                    return Ok(true);
                }
                if a.kind != b.kind || a.items.len() != b.items.len() || matches!(a.kind, Kind::Generator | Kind::Values) {
                    return Ok(false);
                }
                if !a.kind.is_indexed() {
                    return Ok(a.items.iter().all(|a| b.items.iter().any(|b| same_key(a, b))));
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Dict(a), Self::Dict(b)) => {
                if Rc::ptr_eq(a, b) {
                    return Ok(true);
                }
                if a.entries.len() != b.entries.len() {
                    return Ok(false);
                }
                for (key, a) in &a.entries {
                    match b.get(key) {
                        Some(b) if a.equals(b, budget)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (Self::Namespace(a), Self::Namespace(b)) => Rc::ptr_eq(a, b),
            (Self::Macro(a), Self::Macro(b)) => Rc::ptr_eq(a, b),
            (Self::Function(a), Self::Function(b)) => a == b,
            _ => match (self.int(), other.int()) {
                (Some(a), Some(b)) => a == b,
                _ => matches!((self.number(), other.number()), (Some(a), Some(b)) if a == b),
            },
        })
    }
}

/// Equality of dictionary keys: `1`, `1.0` and `true` are one key in Python.
pub(super) fn same_key(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::None, Value::None) => true,
        (Value::Str(a), Value::Str(b)) => a.as_str() == b.as_str(),
        (Value::List(a), Value::List(b)) => {
            a.kind == b.kind && a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| same_key(a, b))
        }
        _ => matches!((a.number(), b.number()), (Some(a), Some(b)) if a == b),
    }
}
