//! What a pickle of tensors is made of, and the few names that make it.

use burn::tensor::{BoolStore, DType};

use super::pickle::Flaw;

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// `None`, and what is of no use here.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float, of which none is of use.
    Float,
    /// A place in the list of objects.
    Object(usize),
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A text.
    Text(String),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A list.
    List(Vec<Value>),
    /// A dictionary, ordered or not, by its items.
    Dict(Vec<(Value, Value)>),
    /// A function or class.
    Global(Global),
    /// Numbers in the file.
    Storage(Storage),
    /// A view of them.
    Tensor(Tensor),
}

/// The names that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// A class of storages.
    Storage(DType),
}

/// Numbers in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Its key in the file.
    pub key: String,
    /// The type of its numbers.
    pub dtype: DType,
    /// How many there are.
    pub count: u64,
    /// How many stand before it, where it is a part of another.
    pub begin: u64,
}

/// A view of numbers in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The place of its [`Object::Storage`].
    pub storage: usize,
    /// Its first number.
    pub offset: u64,
    /// Its dimensions, outermost first.
    pub shape: Vec<u64>,
    /// Numbers from one place of a dimension to the next.
    pub stride: Vec<u64>,
}

/// The names of storages and what they hold.
const STORAGES: [(&str, DType); 10] = [
    ("FloatStorage", DType::F32),
    ("HalfStorage", DType::F16),
    ("BFloat16Storage", DType::BF16),
    ("DoubleStorage", DType::F64),
    ("LongStorage", DType::I64),
    ("IntStorage", DType::I32),
    ("ShortStorage", DType::I16),
    ("CharStorage", DType::I8),
    ("ByteStorage", DType::U8),
    ("BoolStorage", DType::Bool(BoolStore::U8)),
];

/// The place of the object that `value` is.
pub fn place(value: Value) -> Option<usize> {
    if let Value::Object(place) = value { Some(place) } else { None }
}

/// The text that `value` is.
pub fn text(objects: &[Object], value: Value) -> Option<&str> {
    if let Object::Text(text) = objects.get(place(value)?)? { Some(text) } else { None }
}

/// The items of the tuple or list that `value` is.
pub fn items(objects: &[Object], value: Value) -> Option<&[Value]> {
    match objects.get(place(value)?)? {
        Object::Tuple(items) | Object::List(items) => Some(items),
        _ => None,
    }
}

/// What the name is.
///
/// # Errors
/// Names that are not known.
pub fn known(module: &str, name: &str) -> Result<Global, Flaw> {
    let storage = STORAGES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| Global::Storage(*dtype));
    let global = match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Some(Global::RebuildParameter),
        ("torch" | "torch.storage", _) => storage,
        _ => None,
    };
    global.ok_or_else(|| {
        let shown: String = format!("{module}.{name}").chars().take(80).flat_map(char::escape_debug).collect();
        (format!("`{shown}`"), "tensors in dictionaries, which need no code of others".to_owned())
    })
}
