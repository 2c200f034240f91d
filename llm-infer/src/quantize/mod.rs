//! Post-training quantization: floats in, packed weights out.

mod pack;
pub mod rtn;

use std::fmt;
use std::str::FromStr;

use llm_model::quant::QuantFormat;

pub(crate) use pack::pack;

use crate::{Error, Result};

/// Which matrices get which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// The matrices of the layers.
    pub layers: QuantFormat,
    /// The embedding and the head.
    pub embedding: QuantFormat,
}

impl Scheme {
    /// 8 bits everywhere.
    pub const INT8: Self = Self { layers: QuantFormat::Int8, embedding: QuantFormat::Int8 };
    /// 4 bits in the layers; embedding and head, which suffer most, have 8.
    pub const INT4: Self = Self { layers: QuantFormat::Int4, embedding: QuantFormat::Int8 };

    /// The format of the matrix at `path` in the model.
    pub fn format_of(&self, path: &str) -> QuantFormat {
        if path.starts_with("layers.") { self.layers } else { self.embedding }
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "int8" => Ok(Self::INT8),
            "int4" => Ok(Self::INT4),
            _ => Err(Error::request("quantize", format!("`{name}`"), "int8 or int4")),
        }
    }
}

/// The name of the format of the layers.
impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.layers.fmt(formatter)
    }
}
