//! The header of a `.safetensors` file that is to be written, and the place of each tensor in it.

use serde_json::{Map, Value, json};

use super::safetensors::dtype_name;
use super::source::TensorInfo;
use crate::{Error, Result};

/// One tensor and its place in the data.
pub(super) struct Slot {
    /// The path of the parameter that it holds.
    pub path: String,
    pub info: TensorInfo,
    /// Where it begins, counted from the end of the header.
    pub begin: u64,
}

/// The header and where each tensor goes.
pub(super) struct Layout {
    pub header: Vec<u8>,
    pub slots: Vec<Slot>,
    pub data_bytes: u64,
}

impl Layout {
    /// Wider elements first, then by name, with the data at a multiple of 8: every tensor is aligned, as the format advises.
    ///
    /// `notes` are strings by name: the `__metadata__` of the file.
    ///
    /// # Errors
    ///
    /// Two tensors of one name, and a dtype that the format lacks.
    pub fn new(mut slots: Vec<Slot>, notes: Value) -> Result<Self> {
        slots.sort_by(|a, b| b.info.dtype.size().cmp(&a.info.dtype.size()).then_with(|| a.info.name.cmp(&b.info.name)));
        let mut entries = Map::new();
        entries.insert("__metadata__".to_owned(), notes);
        let mut end = 0;
        for Slot { info, begin, .. } in &mut slots {
            let field = format!("tensor `{}`", info.name);
            let Some(dtype) = dtype_name(info.dtype) else {
                return Err(Error::invalid(&info.file, field, format!("dtype {}", info.dtype.name()), "one that safetensors has"));
            };
            *begin = end;
            end += info.bytes;
            let entry = json!({"dtype": dtype, "shape": info.shape, "data_offsets": [*begin, end]});
            if entries.insert(info.name.clone(), entry).is_some() {
                return Err(Error::invalid(&info.file, field, "two parameters of that name", "one"));
            }
        }
        let mut text = Value::Object(entries).to_string();
        text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend(text.into_bytes());
        Ok(Self { header, slots, data_bytes: end })
    }
}
