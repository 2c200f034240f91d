//! The statements of a template: output, scopes, loops, macros.
//!
//! Scoping is jinja2's: a loop iteration, a macro, `with`, `call` and capturing blocks open a scope, `if` does not, and
//! `set` writes the innermost one.

use super::budget::Budget;
use super::scope::{Frame, Loop, Macro};
use super::text::Text;
use super::value::{Eval, Kind, List, Value};
use minijinja::machinery::ast::{self, Expr, Spanned, Stmt};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// How deep statements, expressions and macro calls may nest while rendering.
const MAX_DEPTH: usize = 600;

/// What follows after a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// One rendering of a template.
pub(super) struct Renderer<'s> {
    /// The template, where the parser's positions point into.
    pub source: &'s str,
    pub budget: Budget,
    /// The time `strftime_now` tells, in seconds since 1970.
    pub now: i64,
    /// Where `caller`, `varargs` and `kwargs` are named.
    specials: &'s [(u32, String)],
    depth: Cell<usize>,
}

/// The arguments of a call.
#[derive(Default)]
pub(super) struct Args<'t> {
    pub positional: Vec<Value<'t>>,
    pub named: Vec<(String, Value<'t>)>,
}

impl<'t> Args<'t> {
    /// The argument at `position`, or the one called `name`.
    pub fn get(&self, position: usize, name: &str) -> Option<&Value<'t>> {
        self.positional.get(position).or_else(|| self.named(name))
    }

    pub fn named(&self, name: &str) -> Option<&Value<'t>> {
        self.named.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The argument, where it is given and not `none`.
    pub fn some(&self, position: usize, name: &str) -> Option<&Value<'t>> {
        self.get(position, name).filter(|value| !matches!(value, Value::None))
    }

    pub fn text(&self, position: usize, name: &str) -> Eval<Option<Rc<Text>>> {
        match self.some(position, name) {
            None => Ok(None),
            Some(Value::Str(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("{name} must be a string, not {}", other.type_name())),
        }
    }

    pub fn int(&self, position: usize, name: &str) -> Eval<Option<i128>> {
        match self.some(position, name) {
            None => Ok(None),
            Some(value) => value.int().map(Some).ok_or_else(|| format!("{name} must be an integer, not {}", value.type_name())),
        }
    }

    pub fn flag(&self, position: usize, name: &str) -> bool {
        self.get(position, name).is_some_and(Value::truth)
    }
}

impl<'s> Renderer<'s> {
    pub fn new(source: &'s str, specials: &'s [(u32, String)], budget: Budget, now: i64) -> Self {
        Self { source, budget, now, specials, depth: Cell::new(0) }
    }

    /// Renders a parsed template with the variables of `root`.
    pub fn template<'t>(&self, template: &'t Stmt<'t>, root: &Rc<Frame<'t>>) -> Eval<Text> {
        let mut out = Text::default();
        if let Stmt::Template(template) = template {
            self.body(&template.children, root, &mut out)?;
        }
        Ok(out)
    }

    /// Runs `work` one level deeper.
    pub fn nested<T>(&self, work: impl FnOnce() -> Eval<T>) -> Eval<T> {
        if self.depth.get() >= MAX_DEPTH {
            return Err("maximum recursion depth exceeded".into());
        }
        self.depth.set(self.depth.get() + 1);
        let result = work();
        self.depth.set(self.depth.get() - 1);
        result
    }

    fn body<'t>(&self, body: &'t [Stmt<'t>], frame: &Rc<Frame<'t>>, out: &mut Text) -> Eval<Flow> {
        for statement in body {
            self.budget.spend(1)?;
            let flow = self.nested(|| self.statement(statement, frame, out))?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement<'t>(&self, statement: &'t Stmt<'t>, frame: &Rc<Frame<'t>>, out: &mut Text) -> Eval<Flow> {
        match statement {
            Stmt::Template(template) => return self.body(&template.children, frame, out),
            Stmt::EmitRaw(raw) => self.emit(&Text::template(raw.raw), out)?,
            Stmt::EmitExpr(emit) => self.emit(&*self.expr(&emit.expr, frame)?.to_text(&self.budget)?, out)?,
            Stmt::IfCond(cond) => {
                let holds = self.expr(&cond.expr, frame)?.truth();
                return self.body(if holds { &cond.true_body } else { &cond.false_body }, frame, out);
            }
            Stmt::ForLoop(node) => {
                let iter = self.expr(&node.iter, frame)?;
                self.for_loop(node, &iter, frame, 0, out)?;
            }
            Stmt::Set(set) => {
                let value = self.expr(&set.expr, frame)?;
                self.assign(&set.target, value, frame, frame)?;
            }
            Stmt::SetBlock(set) => {
                let text = self.capture(&set.body, frame)?;
                let value = self.filtered(set.filter.as_ref(), Value::text(text), frame)?;
                self.assign(&set.target, value, frame, frame)?;
            }
            Stmt::FilterBlock(block) => {
                let text = self.capture(&block.body, frame)?;
                match self.filtered(Some(&block.filter), Value::text(text), frame)? {
                    Value::Str(text) => self.emit(&text, out)?,
                    other => return Err(format!("sequence item: expected str instance, {} found", other.type_name())),
                }
            }
            Stmt::WithBlock(with) => {
                let inner = Frame::new(Some(frame.clone()));
                for (target, expr) in &with.assignments {
                    let value = self.expr(expr, frame)?;
                    self.assign(target, value, &inner, frame)?;
                }
                return self.body(&with.body, &inner, out);
            }
            Stmt::Macro(decl) => frame.set(decl.name, Value::Macro(Rc::new(Macro { decl, scope: Rc::downgrade(frame) }))),
            Stmt::CallBlock(block) => {
                let caller = Value::Macro(Rc::new(Macro { decl: &block.macro_decl, scope: Rc::downgrade(frame) }));
                let callee = self.expr(&block.call.expr, frame)?;
                let mut args = self.args(&block.call.args, frame)?;
                args.named.push(("caller".into(), caller));
                let text = self.call(&callee, args)?.to_text(&self.budget)?;
                self.emit(&text, out)?;
            }
            Stmt::AutoEscape(block) => return self.body(&block.body, &Frame::new(Some(frame.clone())), out),
            Stmt::Block(block) => return self.body(&block.body, &Frame::new(Some(frame.clone())), out),
            Stmt::Break(_) => return Ok(Flow::Break),
            Stmt::Continue(_) => return Ok(Flow::Continue),
            Stmt::Do(_) => return Err("encountered unknown tag 'do'".into()),
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {
                return Err("a chat template cannot include, import or extend other files".into());
            }
        }
        Ok(Flow::Next)
    }

    fn emit(&self, text: &Text, out: &mut Text) -> Eval<()> {
        self.budget.grow(text.len())?;
        self.budget.check(out.len() + text.len())?;
        out.push(text);
        Ok(())
    }

    fn capture<'t>(&self, body: &'t [Stmt<'t>], frame: &Rc<Frame<'t>>) -> Eval<Text> {
        let mut out = Text::default();
        self.body(body, &Frame::new(Some(frame.clone())), &mut out)?;
        Ok(out)
    }

    /// Binds `target`, a name, a tuple of names or an attribute of a namespace found from `scope`, in `frame`.
    fn assign<'t>(&self, target: &'t Expr<'t>, value: Value<'t>, frame: &Rc<Frame<'t>>, scope: &Rc<Frame<'t>>) -> Eval<()> {
        match target {
            Expr::Var(var) => frame.set(var.id, value),
            Expr::List(targets) => {
                let values = value.iterate(&self.budget)?;
                if values.items.len() != targets.items.len() {
                    return Err(format!("cannot unpack {} values into {} names", values.items.len(), targets.items.len()));
                }
                for (target, value) in targets.items.iter().zip(&values.items) {
                    self.assign(target, value.clone(), frame, scope)?;
                }
            }
            Expr::GetAttr(attr) => match self.expr(&attr.expr, scope)? {
                Value::Namespace(_) if attr.name.starts_with('_') => {
                    return Err(format!("cannot store the underscore-prefixed attribute `{}` on a namespace", attr.name));
                }
                Value::Namespace(namespace) if value.fits_namespace() => {
                    namespace.borrow_mut().insert(attr.name.to_owned(), value);
                }
                Value::Namespace(_) => return Err("a namespace cannot hold a namespace".into()),
                _ => return Err("cannot assign attribute on non-namespace object".into()),
            },
            _ => return Err(format!("cannot assign to {}", target.description())),
        }
        Ok(())
    }

    /// Runs a loop over `iter`; `depth0` counts the levels of a recursive one.
    fn for_loop<'t>(&self, node: &'t ast::ForLoop<'t>, iter: &Value<'t>, frame: &Rc<Frame<'t>>, depth0: usize, out: &mut Text) -> Eval<()> {
        let items = self.loop_items(node, iter, frame)?;
        if items.items.is_empty() {
            self.body(&node.else_body, &Frame::new(Some(frame.clone())), out)?;
            return Ok(());
        }
        let state = Rc::new(Loop {
            items: items.clone(),
            index0: Cell::new(0),
            depth0,
            last_changed: RefCell::default(),
            recursive: node.recursive.then(|| (node, Rc::downgrade(frame))),
        });
        let mut completed = false;
        for (index, item) in items.items.iter().enumerate() {
            self.budget.spend(1)?;
            state.index0.set(index);
            let inner = Frame::new(Some(frame.clone()));
            inner.set("loop", Value::Loop(state.clone()));
            self.assign(&node.target, item.clone(), &inner, frame)?;
            match self.body(&node.body, &inner, out)? {
                Flow::Break => break,
                Flow::Continue => {}
                Flow::Next => completed = true,
            }
        }
        // jinja2 counts an iteration only at its end.
        if !completed {
            self.body(&node.else_body, &Frame::new(Some(frame.clone())), out)?;
        }
        Ok(())
    }

    /// The items that pass the `if` of a loop.
    fn loop_items<'t>(&self, node: &'t ast::ForLoop<'t>, iter: &Value<'t>, frame: &Rc<Frame<'t>>) -> Eval<Rc<List<'t>>> {
        let all = iter.iterate(&self.budget)?;
        let Some(filter) = &node.filter_expr else { return Ok(all) };
        let mut kept = Vec::new();
        for item in &all.items {
            let inner = Frame::new(Some(frame.clone()));
            self.assign(&node.target, item.clone(), &inner, frame)?;
            if self.expr(filter, &inner)?.truth() {
                kept.push(item.clone());
            }
        }
        Value::seq(Kind::Generator, kept)?.iterate(&self.budget)
    }

    /// `loop(items)` inside a recursive loop.
    pub fn recurse<'t>(&self, state: &Loop<'t>, args: &Args<'t>) -> Eval<Value<'t>> {
        let (Some((node, scope)), Some(iter)) = (&state.recursive, args.get(0, "iterable")) else {
            return Err("the loop must have the 'recursive' marker and an iterable to be called".into());
        };
        let scope = scope_of(scope)?;
        let mut out = Text::default();
        self.nested(|| self.for_loop(node, iter, &scope, state.depth0 + 1, &mut out))?;
        Ok(Value::text(out))
    }

    /// Calls a macro: the arguments by position or name, the defaults, then the body as a text.
    pub fn call_macro<'t>(&self, callee: &Macro<'t>, args: Args<'t>) -> Eval<Value<'t>> {
        let decl = callee.decl;
        let frame = Frame::new(Some(scope_of(&callee.scope)?));
        let first_default = decl.args.len() - decl.defaults.len().min(decl.args.len());
        for (at, target) in decl.args.iter().enumerate() {
            let Expr::Var(var) = target else { return Err("a macro argument must be a name".into()) };
            let value = match args.get(at, var.id) {
                Some(value) => value.clone(),
                None if at >= first_default => self.expr(&decl.defaults[at - first_default], &frame)?,
                None => Value::undefined(format!("parameter '{}' was not provided", var.id)),
            };
            frame.set(var.id, value);
        }
        self.extra_arguments(decl, args, &frame)?;
        let mut out = Text::default();
        self.nested(|| self.body(&decl.body, &frame, &mut out))?;
        Ok(Value::text(out))
    }

    /// Binds `caller`, `varargs` and `kwargs`, each of which a macro takes only where its body names it.
    fn extra_arguments<'t>(&self, decl: &'t Spanned<ast::Macro<'t>>, args: Args<'t>, frame: &Rc<Frame<'t>>) -> Eval<()> {
        let body = decl.span().start_offset..decl.span().end_offset;
        let names = |special: &str| self.specials.iter().any(|(at, name)| body.contains(at) && name == special);
        let free = decl.args.get(args.positional.len()..).unwrap_or_default();
        let by_name = |name: &str| free.iter().any(|arg| matches!(arg, Expr::Var(var) if var.id == name));
        let (mut caller, mut kwargs) = (None, Vec::new());
        for (name, value) in args.named {
            match name.as_str() {
                _ if by_name(&name) => {}
                "caller" if names("caller") => caller = Some(value),
                _ if names("kwargs") => kwargs.push((Value::str(name), value)),
                _ => return Err(format!("macro '{}' takes no keyword argument '{name}'", decl.name)),
            }
        }
        if args.positional.len() > decl.args.len() && !names("varargs") {
            return Err(format!("macro '{}' takes not more than {} argument(s)", decl.name, decl.args.len()));
        }
        if names("caller") && !decl.args.iter().any(|arg| matches!(arg, Expr::Var(var) if var.id == "caller")) {
            frame.set("caller", caller.unwrap_or_else(|| Value::undefined("No caller defined")));
        }
        frame.set("varargs", Value::seq(Kind::Tuple, args.positional.into_iter().skip(decl.args.len()).collect())?);
        frame.set("kwargs", Value::dict(kwargs)?);
        Ok(())
    }
}

fn scope_of<'t>(scope: &Weak<Frame<'t>>) -> Eval<Rc<Frame<'t>>> {
    scope.upgrade().ok_or_else(|| "the scope of this macro has ended".into())
}
