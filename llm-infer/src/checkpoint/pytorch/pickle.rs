//! A reader of pickles that executes nothing: it knows the instructions that `torch.save` writes and the few names that make tensors.
//!
//! Values are numbers or places in one list of objects, so that nothing is copied, loops are harmless, and memory is bounded by the
//! length of the pickle. Format: Python's `pickletools`.

use std::collections::HashMap;

use super::objects::{Global, Object, Storage, Tensor, Value, items, known, place, text};

/// What is wrong with a pickle: what was found and what was expected.
pub type Flaw = (String, String);

/// What a pickle says.
#[derive(Debug)]
pub struct Pickle {
    /// All objects.
    pub objects: Vec<Object>,
    /// The value of the whole.
    pub value: Value,
    /// Bytes that it took.
    pub length: usize,
}

/// Reads the pickle at the beginning of `bytes`.
///
/// # Errors
/// Instructions or names that are not known, and instructions that do not fit each other.
pub fn read(bytes: &[u8]) -> Result<Pickle, Flaw> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), objects: Vec::new() };
    let value = machine.run()?;
    Ok(Pickle { objects: machine.objects, value, length: machine.at })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    objects: Vec<Object>,
}

fn flaw<T>(got: impl Into<String>, expected: &str) -> Result<T, Flaw> {
    Err((got.into(), expected.to_owned()))
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, Flaw> {
        loop {
            let at = self.at;
            match self.take(1)?[0] {
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'.' => return self.pop(),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'K' => self.int(1)?,
                b'M' => self.int(2)?,
                b'J' => {
                    let number = self.number(4)? as u32;
                    self.stack.push(Value::Int(i64::from(number as i32)));
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.stack.push(Value::Float);
                }
                b'U' | 0x8c => self.text(1)?,
                b'T' | b'X' => self.text(4)?,
                0x8d => self.text(8)?,
                b'c' => self.global()?,
                0x93 => self.stack_global()?,
                b'(' => self.marks.push(self.stack.len()),
                b')' => self.push(Object::Tuple(Vec::new())),
                b']' => self.push(Object::List(Vec::new())),
                b'}' => self.push(Object::Dict(Vec::new())),
                b't' => {
                    let items = self.marked()?;
                    self.push(Object::Tuple(items));
                }
                b'l' => {
                    let items = self.marked()?;
                    self.push(Object::List(items));
                }
                b'd' => {
                    let items = pairs(&self.marked()?)?;
                    self.push(Object::Dict(items));
                }
                count @ 0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(count - 0x84));
                    let items = from.filter(|from| *from >= self.floor()).map(|from| self.stack.split_off(from));
                    let items = items.ok_or_else(|| ("too few values".to_owned(), "those of a tuple".to_owned()))?;
                    self.push(Object::Tuple(items));
                }
                b'q' => self.memoize(1)?,
                b'r' => self.memoize(4)?,
                0x94 => {
                    let key = self.memo.len() as u32;
                    self.remember(key)?;
                }
                b'h' => self.recall(1)?,
                b'j' => self.recall(4)?,
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' => {
                    let items = self.marked()?;
                    self.extend(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.insert(&[key, value])?;
                }
                b'u' => {
                    let items = self.marked()?;
                    self.insert(&items)?;
                }
                b'Q' => self.persistent()?,
                b'R' => self.reduce()?,
                // The state of a dictionary: its attributes, such as versions of modules.
                b'b' => drop(self.pop()?),
                other => return flaw(format!("the instruction 0x{other:02x} at byte {at}"), "those that `torch.save` writes for tensors"),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Flaw> {
        match self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end)) {
            Some(part) => {
                self.at += count;
                Ok(part)
            }
            None => flaw("the end of the pickle", "more of it"),
        }
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Flaw> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn int(&mut self, bytes: usize) -> Result<(), Flaw> {
        let number = self.number(bytes)?;
        self.stack.push(Value::Int(number as i64));
        Ok(())
    }

    /// A whole number of any length; one that 64 bits do not hold is of no use.
    fn long(&mut self) -> Result<(), Flaw> {
        let length = self.number(1)? as usize;
        let bytes = self.take(length)?;
        let value = match length {
            0 => Value::Int(0),
            1..=8 => {
                let negative = bytes[length - 1] >= 0x80;
                let mut whole = if negative { [0xff; 8] } else { [0; 8] };
                whole[..length].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(whole))
            }
            _ => Value::Float,
        };
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, length_bytes: usize) -> Result<(), Flaw> {
        let length = usize::try_from(self.number(length_bytes)?).unwrap_or(usize::MAX);
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.push(Object::Text(text));
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.objects.push(object);
        self.stack.push(Value::Object(self.objects.len() - 1));
    }

    /// Values below the last mark are not taken.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value, Flaw> {
        if self.stack.len() <= self.floor() {
            return flaw("no value", "one to go on with");
        }
        self.stack.pop().map_or_else(|| flaw("no value", "one to go on with"), Ok)
    }

    /// The values above the last mark.
    fn marked(&mut self) -> Result<Vec<Value>, Flaw> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => flaw("no mark", "one before the values"),
        }
    }

    fn memoize(&mut self, bytes: usize) -> Result<(), Flaw> {
        let key = self.number(bytes)? as u32;
        self.remember(key)
    }

    fn remember(&mut self, key: u32) -> Result<(), Flaw> {
        let value = *self.stack.last().ok_or_else(|| ("no value".to_owned(), "one to remember".to_owned()))?;
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Result<(), Flaw> {
        let key = self.number(bytes)? as u32;
        match self.memo.get(&key) {
            Some(value) => self.stack.push(*value),
            None => return flaw(format!("the value {key}, which was not remembered"), "one that was"),
        }
        Ok(())
    }

    /// The object under the values that were taken.
    fn top(&mut self) -> Option<&mut Object> {
        match self.stack.last() {
            Some(Value::Object(place)) => self.objects.get_mut(*place),
            _ => None,
        }
    }

    fn extend(&mut self, items: Vec<Value>) -> Result<(), Flaw> {
        match self.top() {
            Some(Object::List(list)) => list.extend(items),
            _ => return flaw("no list", "a list to add to"),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Value]) -> Result<(), Flaw> {
        let items = pairs(items)?;
        match self.top() {
            Some(Object::Dict(dict)) => dict.extend(items),
            _ => return flaw("no dictionary", "a dictionary to add to"),
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String, Flaw> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().take(1000).position(|byte| *byte == b'\n') else { return flaw("a name without end", "a name") };
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn global(&mut self) -> Result<(), Flaw> {
        let (module, name) = (self.line()?, self.line()?);
        let global = known(&module, &name)?;
        self.push(Object::Global(global));
        Ok(())
    }

    fn stack_global(&mut self) -> Result<(), Flaw> {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Some(module), Some(name)) = (text(&self.objects, module), text(&self.objects, name)) else {
            return flaw("a name that is no text", "a text");
        };
        let global = known(module, name)?;
        self.push(Object::Global(global));
        Ok(())
    }

    /// `('storage', class, key, device, count)`, and in old files where it is a part of another.
    fn persistent(&mut self) -> Result<(), Flaw> {
        let id = self.pop()?;
        let items = items(&self.objects, id);
        let whole = |value: Value| if let Value::Int(number) = value { u64::try_from(number).ok() } else { None };
        let storage = (|| {
            let [tag, class, key, _, count, ..] = *items? else { return None };
            let Object::Global(Global::Storage(dtype)) = self.objects.get(place(class)?)? else { return None };
            let key = text(&self.objects, key).filter(|_| text(&self.objects, tag) == Some("storage"))?.to_owned();
            let part = items?.get(5).and_then(|part| self::items(&self.objects, *part)).and_then(|part| part.get(1..3));
            let (begin, count) = match part {
                Some([begin, count]) => (whole(*begin)?, whole(*count)?),
                _ => (0, whole(count)?),
            };
            Some(Storage { key, dtype: *dtype, count, begin })
        })();
        match storage {
            Some(storage) => self.push(Object::Storage(storage)),
            None => return flaw("a reference to something else", "a storage of numbers"),
        }
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), Flaw> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let global = place(function).and_then(|place| self.objects.get(place));
        let Some(Object::Global(global)) = global else { return flaw("a call of something else", "a call that makes a tensor") };
        let arguments = items(&self.objects, arguments).unwrap_or_default();
        let object = match (global, arguments) {
            (Global::OrderedDict, []) => Object::Dict(Vec::new()),
            (Global::RebuildParameter, [tensor, ..]) => {
                let tensor = *tensor;
                self.stack.push(tensor);
                return Ok(());
            }
            (Global::RebuildTensor, [storage, Value::Int(offset), shape, stride, ..]) => {
                let numbers = |value: Value| -> Option<Vec<u64>> {
                    let whole = |value: &Value| if let Value::Int(number) = value { u64::try_from(*number).ok() } else { None };
                    items(&self.objects, value)?.iter().map(whole).collect()
                };
                let found = place(*storage).filter(|place| matches!(self.objects.get(*place), Some(Object::Storage(_))));
                match (found, u64::try_from(*offset).ok(), numbers(*shape), numbers(*stride)) {
                    (Some(storage), Some(offset), Some(shape), Some(stride)) if shape.len() == stride.len() => {
                        Object::Tensor(Tensor { storage, offset, shape, stride })
                    }
                    _ => return flaw("a tensor of something else", "a storage with an offset, sizes and strides"),
                }
            }
            _ => return flaw("a call with other arguments", "a call that makes a tensor"),
        };
        self.push(object);
        Ok(())
    }
}

fn pairs(items: &[Value]) -> Result<Vec<(Value, Value)>, Flaw> {
    if !items.len().is_multiple_of(2) {
        return flaw("a key without a value", "pairs");
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
