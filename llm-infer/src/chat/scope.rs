//! What a template names while it runs: variables, loops and macros.

use super::value::{List, Value};
use minijinja::machinery::ast;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// The `loop` variable.
pub(super) struct Loop<'t> {
    pub items: Rc<List<'t>>,
    pub index0: Cell<usize>,
    pub depth0: usize,
    pub last_changed: RefCell<Option<Vec<Value<'t>>>>,
    pub recursive: Option<(&'t ast::ForLoop<'t>, Weak<Frame<'t>>)>,
}

/// A macro and the scope it was declared in.
pub(super) struct Macro<'t> {
    pub decl: &'t ast::Spanned<ast::Macro<'t>>,
    pub scope: Weak<Frame<'t>>,
}

/// The variables of one scope.
pub(super) struct Frame<'t> {
    pub vars: RefCell<HashMap<&'t str, Value<'t>>>,
    pub parent: Option<Rc<Frame<'t>>>,
}

impl<'t> Frame<'t> {
    pub fn new(parent: Option<Rc<Self>>) -> Rc<Self> {
        Rc::new(Self { vars: RefCell::default(), parent })
    }

    pub fn set(&self, name: &'t str, value: Value<'t>) {
        self.vars.borrow_mut().insert(name, value);
    }

    pub fn get(&self, name: &str) -> Option<Value<'t>> {
        let mut frame = self;
        loop {
            if let Some(value) = frame.vars.borrow().get(name) {
                return Some(value.clone());
            }
            frame = frame.parent.as_deref()?;
        }
    }
}
