//! How Python spells values: `str`, `repr` and the digits of floats.

use super::budget::Budget;
use super::letters::is_printable;
use super::text::Text;
use super::value::{Eval, Kind, List, Value};
use std::rc::Rc;

/// What the parser calls the body of a `call` block, which has no name in Python.
const CALLER: &str = "caller";

impl Value<'_> {
    /// Python's `str(value)`.
    pub fn to_text(&self, budget: &Budget) -> Eval<Rc<Text>> {
        Ok(match self {
            Self::Str(text) => text.clone(),
            Self::Undefined(_) => Rc::default(),
            _ => {
                let mut out = Text::default();
                self.write_repr(&mut out, budget)?;
                Rc::new(out)
            }
        })
    }

    /// Python's `repr(value)`.
    pub fn write_repr(&self, out: &mut Text, budget: &Budget) -> Eval<()> {
        budget.spend(1)?;
        match self {
            Self::Undefined(_) => out.push_str("Undefined", false),
            Self::None => out.push_str("None", false),
            Self::Bool(value) => out.push_str(if *value { "True" } else { "False" }, false),
            Self::Int(value) => out.push_str(&value.to_string(), false),
            Self::Float(value) => out.push_str(&float_repr(*value), false),
            Self::Str(text) => {
                budget.grow(text.len())?;
                write_str_repr(text, out);
            }
            Self::List(list) => write_list_repr(list, out, budget)?,
            Self::Dict(dict) => {
                for (i, (key, value)) in dict.entries.iter().enumerate() {
                    out.push_str(if i == 0 { "{" } else { ", " }, false);
                    key.write_repr(out, budget)?;
                    out.push_str(": ", false);
                    value.write_repr(out, budget)?;
                }
                out.push_str(if dict.entries.is_empty() { "{}" } else { "}" }, false);
            }
            Self::Macro(callee) if callee.decl.name == CALLER => out.push_str("<Macro anonymous>", false),
            Self::Macro(callee) => out.push_str(&format!("<Macro '{}'>", callee.decl.name), false),
            _ => out.push_str(&format!("<{}>", self.type_name()), false),
        }
        Ok(())
    }
}

fn write_list_repr(list: &List<'_>, out: &mut Text, budget: &Budget) -> Eval<()> {
    let (open, close) = match list.kind {
        Kind::List => ("[", "]"),
        Kind::Tuple if list.items.len() == 1 => ("(", ",)"),
        Kind::Tuple => ("(", ")"),
        Kind::Generator => {
            out.push_str("<generator object>", false);
            return Ok(());
        }
        Kind::Keys => ("dict_keys([", "])"),
        Kind::Values => ("dict_values([", "])"),
        Kind::Items => ("dict_items([", "])"),
    };
    out.push_str(open, false);
    for (i, item) in list.items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ", false);
        }
        item.write_repr(out, budget)?;
    }
    out.push_str(close, false);
    Ok(())
}

/// Python quotes with `'` unless only `'` occurs in the text.
fn write_str_repr(text: &Text, out: &mut Text) {
    let quote = if text.as_str().contains('\'') && !text.as_str().contains('"') { '"' } else { '\'' };
    out.push_char(quote, false);
    for (at, c) in text.as_str().char_indices() {
        let user = text.is_user(at);
        match c {
            '\n' => out.push_str("\\n", user),
            '\r' => out.push_str("\\r", user),
            '\t' => out.push_str("\\t", user),
            '\\' => out.push_str("\\\\", user),
            c if c == quote => out.push_str(&format!("\\{c}"), user),
            c if !is_printable(c) => out.push_str(
                &match u32::from(c) {
                    code @ ..0x100 => format!("\\x{code:02x}"),
                    code @ ..0x1_0000 => format!("\\u{code:04x}"),
                    code => format!("\\U{code:08x}"),
                },
                user,
            ),
            c => out.push_char(c, user),
        }
    }
    out.push_char(quote, false);
}

/// Python's `repr(float)`: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = value.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_python_does() {
        let cases = [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
        ];
        for (value, expected) in cases {
            assert_eq!(float_repr(value), expected);
        }
    }
}
