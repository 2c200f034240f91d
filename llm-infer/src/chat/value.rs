//! The values of a template, with Python's equality, truth and spelling, as jinja2 has them.

use super::budget::Budget;
use super::equality::same_key;
use super::scope::{Loop, Macro};
use super::text::Text;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Why a rendering ended: the message of the template or of the engine.
pub(super) type Eval<T> = Result<T, String>;

/// How deep lists and dictionaries may nest, so that dropping and printing them cannot exhaust the stack.
const MAX_NESTING: u16 = 200;

/// The values that templates compute with.
#[derive(Clone)]
pub(super) enum Value<'t> {
    /// jinja2's `Undefined`, with the message it raises when it is used.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(Rc<Text>),
    List(Rc<List<'t>>),
    Dict(Rc<Dict<'t>>),
    Namespace(Rc<RefCell<HashMap<String, Value<'t>>>>),
    Loop(Rc<Loop<'t>>),
    Macro(Rc<Macro<'t>>),
    Function(&'static str),
    Method(Rc<(Value<'t>, String)>),
    Joiner(Rc<(Value<'t>, Cell<bool>)>),
    Cycler(Rc<(Rc<List<'t>>, Cell<usize>)>),
}

/// Python's kinds of sequence that differ in spelling or truth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    Tuple,
    /// What lazy filters return: true even where empty, without a length, and empty once it was gone through.
    Generator,
    /// `dict.keys()`.
    Keys,
    /// `dict.values()`.
    Values,
    /// `dict.items()`.
    Items,
}

impl Kind {
    /// Whether positions and slices of it can be taken.
    pub fn is_indexed(self) -> bool {
        matches!(self, Self::List | Self::Tuple)
    }

    /// The name of the Python type.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Generator => "generator",
            Self::Keys => "dict_keys",
            Self::Values => "dict_values",
            Self::Items => "dict_items",
        }
    }
}

pub(super) struct List<'t> {
    pub kind: Kind,
    pub items: Vec<Value<'t>>,
    /// How many items of a generator were taken.
    taken: Cell<usize>,
    nesting: u16,
}

impl<'t> List<'t> {
    /// The next item of a generator, the first of anything else.
    pub fn first(&self) -> Option<Value<'t>> {
        let at = self.taken.get();
        if self.kind == Kind::Generator {
            self.taken.set((at + 1).min(self.items.len()));
        }
        self.items.get(at).cloned()
    }
}

/// An insertion-ordered dictionary.
pub(super) struct Dict<'t> {
    pub entries: Vec<(Value<'t>, Value<'t>)>,
    index: HashMap<String, usize>,
    nesting: u16,
}

impl<'t> Dict<'t> {
    pub fn get(&self, key: &Value<'t>) -> Option<&Value<'t>> {
        let at = match key {
            Value::Str(name) => self.index.get(name.as_str()).copied(),
            _ => self.entries.iter().position(|(other, _)| same_key(other, key)),
        };
        at.map(|at| &self.entries[at].1)
    }

    pub fn get_str(&self, name: &str) -> Option<&Value<'t>> {
        self.index.get(name).map(|at| &self.entries[*at].1)
    }
}

fn nested<'a, 't: 'a>(items: impl Iterator<Item = &'a Value<'t>>) -> Eval<u16> {
    let deepest = items.map(Value::nesting).max().unwrap_or(0);
    if deepest >= MAX_NESTING { Err(format!("values nest deeper than {MAX_NESTING} levels")) } else { Ok(deepest + 1) }
}

impl<'t> Value<'t> {
    pub fn str(text: impl Into<String>) -> Self {
        Self::Str(Rc::new(Text::template(text)))
    }

    pub fn text(text: Text) -> Self {
        Self::Str(Rc::new(text))
    }

    pub fn undefined(message: impl Into<Rc<str>>) -> Self {
        Self::Undefined(message.into())
    }

    /// # Errors
    /// When the items nest too deep.
    pub fn seq(kind: Kind, items: Vec<Self>) -> Eval<Self> {
        Ok(Self::List(Rc::new(List { kind, nesting: nested(items.iter())?, items, taken: Cell::new(0) })))
    }

    pub fn list(items: Vec<Self>) -> Eval<Self> {
        Self::seq(Kind::List, items)
    }

    /// A dictionary; a later entry of the same key replaces the value of the earlier one.
    pub fn dict(pairs: Vec<(Self, Self)>) -> Eval<Self> {
        let mut dict = Dict { entries: Vec::with_capacity(pairs.len()), index: HashMap::new(), nesting: 0 };
        for (key, value) in pairs {
            let at = match &key {
                Self::Str(name) => dict.index.get(name.as_str()).copied(),
                _ => dict.entries.iter().position(|(other, _)| same_key(other, &key)),
            };
            match (at, &key) {
                (Some(at), _) => dict.entries[at].1 = value,
                (None, Self::Str(name)) => {
                    dict.index.insert(name.as_str().to_owned(), dict.entries.len());
                    dict.entries.push((key, value));
                }
                (None, key) if !key.is_hashable() => return Err(format!("unhashable type: '{}'", key.type_name())),
                (None, _) => dict.entries.push((key, value)),
            }
        }
        dict.nesting = nested(dict.entries.iter().map(|(_, value)| value))?;
        Ok(Self::Dict(Rc::new(dict)))
    }

    /// A JSON value in the hands of a template: every string of it, keys included, came from the user.
    pub fn from_json(json: &serde_json::Value) -> Eval<Self> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int.into()),
                (_, Some(int)) => Self::Int(int.into()),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(Text::user(text.as_str())),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json).collect::<Eval<_>>()?)?,
            Json::Object(map) => {
                let pairs = map.iter().map(|(key, value)| Ok((Self::text(Text::user(key.as_str())), Self::from_json(value)?)));
                Self::dict(pairs.collect::<Eval<_>>()?)?
            }
        })
    }

    /// Whether Python lets this value be a key: tuples only of plain values, so that comparing keys stays cheap.
    pub fn is_hashable(&self) -> bool {
        match self {
            Self::List(list) => list.kind == Kind::Tuple && list.items.iter().all(|item| !matches!(item, Self::List(_) | Self::Dict(_))),
            Self::Dict(_) => false,
            _ => true,
        }
    }

    fn nesting(&self) -> u16 {
        match self {
            Self::List(list) => list.nesting,
            Self::Dict(dict) => dict.nesting,
            Self::Loop(state) => state.items.nesting,
            // A namespace, or what may hold one, never goes into another container: it could contain itself.
            Self::Namespace(_) => MAX_NESTING,
            Self::Method(method) => method.0.nesting().max(1),
            Self::Joiner(joiner) => joiner.0.nesting(),
            Self::Cycler(cycler) => cycler.0.nesting,
            _ => 0,
        }
    }

    /// Whether this value may be stored in a namespace.
    pub fn fits_namespace(&self) -> bool {
        self.nesting() < MAX_NESTING
    }

    /// Python's `bool(value)`.
    pub fn truth(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => list.kind == Kind::Generator || !list.items.is_empty(),
            Self::Dict(dict) => !dict.entries.is_empty(),
            _ => true,
        }
    }

    /// The name of the value's Python type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(list) => list.kind.type_name(),
            Self::Dict(_) => "dict",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(_) => "Macro",
            Self::Function(_) => "function",
            Self::Method(_) => "builtin_function_or_method",
            Self::Joiner(_) => "Joiner",
            Self::Cycler(_) => "Cycler",
        }
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// The value as a number for comparing: Python counts `True` as 1.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => self.int().map(|value| value as f64),
        }
    }

    /// The value as an integer, where its type is `int` or `bool`.
    pub fn int(&self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some((*value).into()),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&Rc<Text>> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// What Python's `iter(value)` yields.
    ///
    /// # Errors
    /// When the value is not iterable.
    pub fn iterate(&self, budget: &Budget) -> Eval<Rc<List<'t>>> {
        let items = match self {
            Self::List(list) if list.kind == Kind::Generator => {
                let taken = list.taken.replace(list.items.len());
                if taken == 0 {
                    return Ok(list.clone());
                }
                list.items[taken..].to_vec()
            }
            Self::List(list) => return Ok(list.clone()),
            Self::Loop(state) => return Ok(state.items.clone()),
            Self::Undefined(_) => Vec::new(),
            Self::Dict(dict) => dict.entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Str(text) => {
                budget.spend(text.len())?;
                let chars = text.as_str().char_indices();
                chars.map(|(at, c)| Self::text(text.slice(at..at + c.len_utf8()))).collect()
            }
            _ => return Err(format!("'{}' object is not iterable", self.type_name())),
        };
        budget.spend(items.len())?;
        match Self::list(items)? {
            Self::List(list) => Ok(list),
            _ => Err("not a list".into()),
        }
    }
}
