//! Post-training quantization: floats in, packed weights out.

pub mod awq;
pub mod budget;
mod calibration;
pub(crate) mod companions;
pub mod gptq;
mod job;
mod layers;
#[cfg(test)]
mod measured;
mod moments;
mod pack;
mod report;
pub mod rtn;
mod sensitivity;
mod strips;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use llm_model::quant::QuantFormat;

pub(crate) use job::refuse_overlap;
pub use job::{QuantizeOptions, quantize, quantize_with};
pub use moments::Moments;
pub(crate) use pack::{Room, pack, pack_rows};
pub use report::{MatrixReport, QuantizeReport, quality};

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
    /// 4 bits in the layers; embedding and head, which suffer most, have 6.
    pub const INT4: Self = Self { layers: QuantFormat::Int4, embedding: QuantFormat::Int6 };

    /// 4 bits everywhere.
    pub const INT4_PURE: Self = Self { layers: QuantFormat::Int4, embedding: QuantFormat::Int4 };

    /// `layers` in the layers, and at least 6 bits in embedding and head.
    pub fn new(layers: QuantFormat) -> Self {
        Self { layers, embedding: if layers.bits() < 6 { QuantFormat::Int6 } else { layers } }
    }

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
            "int4-pure" => Ok(Self::INT4_PURE),
            _ => Err(Error::request("quantize", format!("`{name}`"), "int8, int4 or int4-pure")),
        }
    }
}

/// How weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// To nearest, see [`rtn`].
    Rtn,
    /// Column after column, errors passed on, see [`gptq`].
    Gptq,
    /// To nearest, with large inputs made small before, see [`awq`].
    Awq,
}

impl Method {
    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rtn => "rtn",
            Self::Gptq => "gptq",
            Self::Awq => "awq",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name of the format of the layers; `-pure` if embedding and head have no more bits.
impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let pure = self.layers.bits() < 8 && self.embedding == self.layers;
        write!(formatter, "{}{}", self.layers, if pure { "-pure" } else { "" })
    }
}
