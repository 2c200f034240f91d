//! The expressions of a template: variables, calls, attributes, items.

use super::ops::negate;
use super::render::{Args, Renderer};
use super::scope::{Frame, Loop};
use super::value::{Eval, Kind, Value};
use super::{filters, methods, numbers, tests};
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, UnaryOpKind};
use std::rc::Rc;

/// The global functions of a chat template.
const FUNCTIONS: [&str; 8] = ["range", "namespace", "dict", "raise_exception", "strftime_now", "joiner", "cycler", "lipsum"];

/// jinja2's sandbox allows no longer range.
const MAX_RANGE: i128 = 100_000;

impl Renderer<'_> {
    pub fn expr<'t>(&self, expr: &'t Expr<'t>, frame: &Rc<Frame<'t>>) -> Eval<Value<'t>> {
        self.budget.spend(1)?;
        self.nested(|| self.evaluate(expr, frame))
    }

    fn evaluate<'t>(&self, expr: &'t Expr<'t>, frame: &Rc<Frame<'t>>) -> Eval<Value<'t>> {
        if let Some(operand) = self.negated(expr, frame)? {
            return negate(&operand);
        }
        match expr {
            Expr::Var(var) => Ok(frame.get(var.id).unwrap_or_else(|| global(var.id))),
            Expr::Const(constant) => self.constant(&constant.value),
            Expr::List(list) => {
                // The parser makes one node of `[a, b]` and `(a, b)`; Python spells and compares them differently.
                let bracket = self.source.as_bytes().get(list.span().start_offset as usize) == Some(&b'[');
                let kind = if bracket { Kind::List } else { Kind::Tuple };
                Value::seq(kind, list.items.iter().map(|item| self.expr(item, frame)).collect::<Eval<_>>()?)
            }
            Expr::Map(map) => {
                let pairs = map.keys.iter().zip(&map.values);
                Value::dict(pairs.map(|(key, value)| Ok((self.expr(key, frame)?, self.expr(value, frame)?))).collect::<Eval<_>>()?)
            }
            Expr::UnaryOp(unary) => {
                let value = self.expr(&unary.expr, frame)?;
                match unary.op {
                    UnaryOpKind::Not => Ok(Value::Bool(!value.truth())),
                    UnaryOpKind::Neg => negate(&value),
                }
            }
            Expr::BinOp(binary) => match binary.op {
                BinOpKind::ScAnd | BinOpKind::ScOr => {
                    let left = self.expr(&binary.left, frame)?;
                    let decided = left.truth() == matches!(binary.op, BinOpKind::ScOr);
                    if decided { Ok(left) } else { self.expr(&binary.right, frame) }
                }
                op => self.binary(op, &self.expr(&binary.left, frame)?, &self.expr(&binary.right, frame)?),
            },
            Expr::Compare(compare) => {
                let mut left = self.expr(&compare.expr, frame)?;
                for operand in &compare.ops {
                    let right = self.expr(&operand.expr, frame)?;
                    if !self.compare(operand.op, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Expr::IfExpr(cond) => match (self.expr(&cond.test_expr, frame)?.truth(), &cond.false_expr) {
                (true, _) => self.expr(&cond.true_expr, frame),
                (false, Some(other)) => self.expr(other, frame),
                (false, None) => Ok(Value::undefined("the inline if-expression evaluated to false and no else section was defined")),
            },
            Expr::Filter(_) => self.filtered(Some(expr), Value::None, frame),
            Expr::Test(test) => {
                let value = self.expr(&test.expr, frame)?;
                let args = self.args(&test.args, frame)?;
                Ok(Value::Bool(tests::test(self, test.name, &value, &args)?))
            }
            Expr::GetAttr(attr) => self.attribute(&self.expr(&attr.expr, frame)?, attr.name),
            Expr::GetItem(item) => self.item(&self.expr(&item.expr, frame)?, &self.expr(&item.subscript_expr, frame)?),
            Expr::Slice(slice) => {
                let value = self.expr(&slice.expr, frame)?;
                let mut bounds = [None; 3];
                for (place, bound) in bounds.iter_mut().zip([&slice.start, &slice.stop, &slice.step]) {
                    *place = match bound.as_ref().map(|bound| self.expr(bound, frame)).transpose()? {
                        None | Some(Value::None) => None,
                        Some(bound) => match (bound.int(), &value) {
                            (Some(bound), _) => Some(bound),
                            (None, Value::Undefined(message)) => return Err(message.to_string()),
                            // What is no key of a value is undefined.
                            (None, _) => return Ok(Value::undefined("slice indices must be integers or None")),
                        },
                    };
                }
                self.slice(&value, bounds[0], bounds[1], bounds[2])
            }
            Expr::Call(call) => {
                let callee = self.expr(&call.expr, frame)?;
                let args = self.args(&call.args, frame)?;
                self.call(&callee, args)
            }
        }
    }

    /// The operand of a minus that minijinja's parser bound tighter than the `.x`, `[x]`, `[x:y]` or `(x)` after it.
    fn negated<'t>(&self, expr: &'t Expr<'t>, frame: &Rc<Frame<'t>>) -> Eval<Option<Value<'t>>> {
        let object = |expr: &'t Expr<'t>| -> Eval<Option<Value<'t>>> {
            match expr {
                _ if self.is_enclosed(expr) => Ok(None),
                Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Neg) => self.expr(&unary.expr, frame).map(Some),
                _ => self.nested(|| self.negated(expr, frame)),
            }
        };
        Ok(match expr {
            Expr::GetAttr(attr) => object(&attr.expr)?.map(|value| self.attribute(&value, attr.name)).transpose()?,
            Expr::GetItem(item) => match object(&item.expr)? {
                Some(value) => Some(self.item(&value, &self.expr(&item.subscript_expr, frame)?)?),
                None => None,
            },
            Expr::Call(call) => match object(&call.expr)? {
                Some(callee) => Some(self.call(&callee, self.args(&call.args, frame)?)?),
                None => None,
            },
            _ => None,
        })
    }

    /// Whether parentheses end behind an expression, of which the parser keeps nothing.
    fn is_enclosed(&self, expr: &Expr<'_>) -> bool {
        let rest = self.source.get(expr.span().end_offset as usize..).unwrap_or_default();
        rest.trim_start().starts_with(')')
    }

    fn constant<'t>(&self, value: &minijinja::Value) -> Eval<Value<'t>> {
        use minijinja::value::ValueKind;
        Ok(match value.kind() {
            ValueKind::Undefined => Value::undefined("undefined"),
            ValueKind::Bool => Value::Bool(value.is_true()),
            ValueKind::Number if value.is_integer() => {
                Value::Int(i128::try_from(value.clone()).map_err(|_| "integer literal too large".to_owned())?)
            }
            ValueKind::Number => Value::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
            ValueKind::String => Value::str(value.as_str().unwrap_or_default()),
            ValueKind::Seq => {
                let items = value.try_iter().map_err(|error| error.to_string())?;
                Value::list(items.map(|item| self.constant(&item)).collect::<Eval<_>>()?)?
            }
            _ => Value::None,
        })
    }

    pub fn args<'t>(&self, args: &'t [CallArg<'t>], frame: &Rc<Frame<'t>>) -> Eval<Args<'t>> {
        let mut out = Args::default();
        for arg in args {
            match arg {
                CallArg::Pos(expr) => out.positional.push(self.expr(expr, frame)?),
                CallArg::Kwarg(name, expr) => out.named.push(((*name).to_owned(), self.expr(expr, frame)?)),
                CallArg::PosSplat(expr) => {
                    out.positional.extend(self.expr(expr, frame)?.iterate(&self.budget)?.items.iter().cloned());
                }
                CallArg::KwargSplat(expr) => {
                    let Value::Dict(dict) = self.expr(expr, frame)? else { return Err("argument after ** must be a mapping".into()) };
                    for (key, value) in &dict.entries {
                        out.named.push((key.to_text(&self.budget)?.as_str().to_owned(), value.clone()));
                    }
                }
            }
        }
        Ok(out)
    }

    /// Applies a filter expression; one without an operand (of a block) takes `value`.
    pub fn filtered<'t>(&self, filter: Option<&'t Expr<'t>>, value: Value<'t>, frame: &Rc<Frame<'t>>) -> Eval<Value<'t>> {
        match filter {
            None => Ok(value),
            Some(Expr::Filter(filter)) => {
                let operand = match &filter.expr {
                    Some(Expr::Filter(_)) => self.nested(|| self.filtered(filter.expr.as_ref(), value, frame))?,
                    Some(operand) => self.expr(operand, frame)?,
                    None => value,
                };
                let args = self.args(&filter.args, frame)?;
                filters::apply(self, filter.name, operand, args)
            }
            Some(other) => Err(format!("expected a filter, got {}", other.description())),
        }
    }

    /// Calls a function, macro, method or recursive loop.
    pub fn call<'t>(&self, callee: &Value<'t>, args: Args<'t>) -> Eval<Value<'t>> {
        match callee {
            Value::Macro(callee) => self.call_macro(callee, args),
            Value::Method(method) => methods::call(self, &method.0, &method.1, &args),
            Value::Loop(state) => self.recurse(state, &args),
            Value::Function(name) => self.call_function(name, args),
            Value::Joiner(joiner) => Ok(if joiner.1.replace(true) { joiner.0.clone() } else { Value::str("") }),
            Value::Undefined(message) => Err(message.to_string()),
            other => Err(format!("'{}' object is not callable", other.type_name())),
        }
    }

    fn call_function<'t>(&self, name: &str, args: Args<'t>) -> Eval<Value<'t>> {
        match name {
            "range" => self.range(&args),
            "namespace" | "dict" => {
                let mut pairs = Vec::new();
                match args.positional.first() {
                    Some(Value::Dict(dict)) => pairs.extend(dict.entries.iter().cloned()),
                    Some(Value::Undefined(message)) => return Err(message.to_string()),
                    Some(other) => {
                        for pair in &other.iterate(&self.budget)?.items {
                            let pair = pair.iterate(&self.budget)?;
                            let [key, value] = pair.items.as_slice() else { return Err(format!("{name}() takes pairs")) };
                            pairs.push((key.clone(), value.clone()));
                        }
                    }
                    None => {}
                }
                pairs.extend(args.named.into_iter().map(|(name, value)| (Value::str(name), value)));
                if name == "dict" { Value::dict(pairs) } else { self.namespace(pairs) }
            }
            "raise_exception" => match args.get(0, "message") {
                Some(message) => Err(message.to_text(&self.budget)?.as_str().to_owned()),
                None => Err("raise_exception() missing 1 required argument: 'message'".into()),
            },
            "strftime_now" => {
                let format = args.text(0, "format")?.ok_or("strftime_now() takes a format")?;
                self.budget.grow(16 * format.len())?;
                Ok(Value::str(super::clock::strftime(self.now, format.as_str())))
            }
            "joiner" => Ok(Value::Joiner(Rc::new((args.get(0, "sep").cloned().unwrap_or_else(|| Value::str(", ")), false.into())))),
            "cycler" => Ok(Value::Cycler(Rc::new((Value::list(args.positional)?.iterate(&self.budget)?, 0.into())))),
            _ => Err(format!("{name}() is not available to chat templates")),
        }
    }

    fn namespace<'t>(&self, pairs: Vec<(Value<'t>, Value<'t>)>) -> Eval<Value<'t>> {
        let mut vars = std::collections::HashMap::new();
        for (key, value) in pairs {
            let key = key.to_text(&self.budget)?.as_str().to_owned();
            if key.starts_with('_') || !value.fits_namespace() {
                return Err(format!("a namespace cannot hold `{key}`"));
            }
            vars.insert(key, value);
        }
        Ok(Value::Namespace(Rc::new(vars.into())))
    }

    fn range<'t>(&self, args: &Args<'t>) -> Eval<Value<'t>> {
        let ints = args.positional.iter().map(|value| value.int().ok_or_else(|| "range() takes integers".to_owned()));
        let (start, stop, step) = match ints.collect::<Eval<Vec<_>>>()?[..] {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] if step != 0 => (start, stop, step),
            _ => return Err("range() takes one to three integers and a step that is not zero".into()),
        };
        let span = stop.checked_sub(start).ok_or("range too large")?;
        let count = if (span > 0) == (step > 0) { span.unsigned_abs().div_ceil(step.unsigned_abs()) as i128 } else { 0 };
        if count > MAX_RANGE {
            return Err(format!("range too big: the sandbox blocks ranges larger than {MAX_RANGE}"));
        }
        self.budget.spend(count as usize)?;
        Value::list((0..count).map(|i| Value::Int(start + i * step)).collect())
    }

    /// jinja2's `value.name`: an attribute or method of the object, else its item, else undefined.
    pub fn attribute<'t>(&self, value: &Value<'t>, name: &str) -> Eval<Value<'t>> {
        let found = match value {
            Value::Undefined(message) => return Err(message.to_string()),
            _ if methods::is_mutator(value, name) => {
                return Err(format!("access to attribute '{name}' of '{}' object is unsafe", value.type_name()));
            }
            _ if methods::exists(value, name) => Some(Value::Method(Rc::new((value.clone(), name.to_owned())))),
            Value::Dict(dict) => dict.get_str(name).cloned(),
            Value::Namespace(vars) => vars.borrow().get(name).cloned(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => numbers::field(value, name),
            // The pairs of `groupby` have names.
            Value::List(pair) if pair.kind == Kind::Tuple && pair.items.len() == 2 => match name {
                "grouper" => Some(pair.items[0].clone()),
                "list" => Some(pair.items[1].clone()),
                _ => None,
            },
            Value::Loop(state) => loop_attribute(state, name),
            Value::Macro(callee) if name == "name" => Some(Value::str(callee.decl.name)),
            Value::Cycler(cycler) if name == "current" => cycler.0.items.get(cycler.1.get()).cloned(),
            _ => None,
        };
        Ok(found.unwrap_or_else(|| missing(value, name)))
    }

    /// jinja2's `value[key]`: the item, else the attribute of that name, else undefined.
    pub fn item<'t>(&self, value: &Value<'t>, key: &Value<'t>) -> Eval<Value<'t>> {
        let found = match (value, key) {
            (Value::Undefined(message), _) => return Err(message.to_string()),
            (Value::Dict(dict), _) => dict.get(key).cloned(),
            (Value::List(list), _) if list.kind.is_indexed() => {
                key.int().and_then(|at| index(list.items.len(), at)).map(|at| list.items[at].clone())
            }
            (Value::Str(text), _) => {
                self.budget.spend(text.len() / 16)?;
                let chars = text.as_str().chars().count();
                let at = key.int().and_then(|at| index(chars, at));
                at.and_then(|at| text.as_str().char_indices().nth(at)).map(|(at, c)| Value::text(text.slice(at..at + c.len_utf8())))
            }
            _ => None,
        };
        match (found, key) {
            (Some(found), _) => Ok(found),
            (None, Value::Str(name)) => self.attribute(value, name.as_str()),
            (None, _) => Ok(missing(value, key.to_text(&self.budget)?.as_str())),
        }
    }
}

fn global<'t>(name: &str) -> Value<'t> {
    match FUNCTIONS.iter().find(|function| **function == name) {
        Some(function) => Value::Function(function),
        None => Value::undefined(format!("'{name}' is undefined")),
    }
}

fn missing<'t>(value: &Value<'t>, name: &str) -> Value<'t> {
    match value {
        Value::Dict(_) => Value::undefined(format!("'dict object' has no attribute '{name}'")),
        Value::List(_) => Value::undefined(format!("'list object' has no attribute '{name}'")),
        other => Value::undefined(format!("'{} object' has no attribute '{name}'", other.type_name())),
    }
}

fn loop_attribute<'t>(state: &Loop<'t>, name: &str) -> Option<Value<'t>> {
    let (at, length) = (state.index0.get(), state.items.items.len());
    let int = |value: usize| Some(Value::Int(value as i128));
    match name {
        "index" => int(at + 1),
        "index0" => int(at),
        "revindex" => int(length - at),
        "revindex0" => int(length - at - 1),
        "first" => Some(Value::Bool(at == 0)),
        "last" => Some(Value::Bool(at + 1 == length)),
        "length" => int(length),
        "depth" => int(state.depth0 + 1),
        "depth0" => int(state.depth0),
        "previtem" => {
            Some(at.checked_sub(1).map_or_else(|| Value::undefined("there is no previous item"), |at| state.items.items[at].clone()))
        }
        "nextitem" => Some(state.items.items.get(at + 1).cloned().unwrap_or_else(|| Value::undefined("there is no next item"))),
        _ => None,
    }
}

/// The position that a possibly negative index names.
fn index(length: usize, at: i128) -> Option<usize> {
    let at = if at < 0 { at.checked_add(length as i128)? } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}
