//! How GPTQ and AWQ pack whole numbers of a few bits into words of 32.
//!
//! GPTQ (AutoGPTQ, GPTQModel) has `qweight` `[inputs · bits / 32, outputs]`, a word holding neighbouring inputs, and `qzeros`
//! `[groups, outputs · bits / 32]`, a word holding neighbouring outputs, which are 1 too small but in `gptq_v2`; `g_idx` `[inputs]` says
//! which group an input is of. AWQ (AutoAWQ, GEMM) has `qweight` `[inputs, outputs / 8]` and `qzeros` `[groups, outputs / 8]`, the
//! outputs of a word in an order of their own. `scales` are `[groups, outputs]` in both.

use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// Whose layout it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GPTQ; whether a stored zero point is 1 too small.
    Gptq { less_one: bool },
    /// AWQ.
    Awq,
}

impl Method {
    /// As in `quant_method`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gptq { .. } => "gptq",
            Self::Awq => "awq",
        }
    }
}

/// What `quantization_config` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    pub method: Method,
    /// Of a number: 2, 4 or 8.
    pub bits: usize,
    /// Inputs of a group; `None` is all of them.
    pub group: Option<usize>,
}

/// Where a word of AWQ has the first of its outputs, the next one, and so on; its numbers are those of the outputs 0, 2, 4, 6, 1, 3, 5, 7.
const AWQ_PLACES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

impl Packing {
    /// What `config`, the content of the file `path`, says; `None` where it names neither GPTQ nor AWQ.
    ///
    /// # Errors
    /// Fields that are missing, or that ask for something that is not known here.
    pub fn of(path: &Path, config: &Value) -> Result<Option<Self>> {
        let Some(fields) = config.get("quantization_config").filter(|fields| fields.is_object()) else { return Ok(None) };
        let fields = Fields { path, fields };
        let method = match fields.text("quant_method", "")? {
            "gptq" => {
                let format = fields.text("checkpoint_format", "gptq")?;
                fields.one_of("checkpoint_format", format, &["gptq", "gptq_v2"])?;
                Method::Gptq { less_one: format == "gptq" }
            }
            "awq" => {
                let version = fields.text("version", "gemm")?;
                fields.one_of("version", &version.to_lowercase(), &["gemm"])?;
                Method::Awq
            }
            _ => return Ok(None),
        };
        let bits = match (fields.whole("bits")?, fields.whole("w_bit")?) {
            (Some(bits), _) | (None, Some(bits)) => bits,
            (None, None) => return Err(fields.wrong("bits", "nothing", "a whole number")),
        };
        let known: &[&str] = if method == Method::Awq { &["4"] } else { &["2", "4", "8"] };
        fields.one_of("bits", &bits.to_string(), known)?;
        let group = match fields.whole("group_size")?.or(fields.whole("q_group_size")?) {
            None => return Err(fields.wrong("group_size", "nothing", "a whole number")),
            Some(-1) => None,
            Some(group @ 1..=0x100_0000) => Some(group as usize),
            Some(other) => return Err(fields.wrong("group_size", other, "-1, or the inputs of a group")),
        };
        if let Some(dynamic) = fields.get("dynamic").filter(|dynamic| dynamic.as_object().is_none_or(|rules| !rules.is_empty())) {
            return Err(fields.wrong("dynamic", dynamic, "the same numbers of bits and inputs for all matrices"));
        }
        Ok(Some(Self { method, bits: bits as usize, group }))
    }

    /// Numbers of a word.
    pub fn per_word(self) -> usize {
        32 / self.bits
    }

    /// The `place`-th number of a word.
    pub fn number(self, word: u32, place: usize) -> u16 {
        (word >> (place * self.bits) & ((1 << self.bits) - 1)) as u16
    }

    /// The zero points of a word of `qzeros`, in the order of the outputs.
    pub fn zeros(self, word: u32) -> impl Iterator<Item = u16> {
        let mask = (1_u16 << self.bits) - 1;
        (0..self.per_word()).map(move |output| match self.method {
            Method::Gptq { less_one } => (self.number(word, output) + u16::from(less_one)) & mask,
            Method::Awq => self.number(word, awq_place(output)),
        })
    }
}

/// Where a word of AWQ has that one of its outputs.
pub fn awq_place(output: usize) -> usize {
    AWQ_PLACES[output % AWQ_PLACES.len()]
}

/// `quantization_config`, by key and type.
struct Fields<'a> {
    path: &'a Path,
    fields: &'a Value,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, got: impl ToString, expected: impl ToString) -> Error {
        let got: String = got.to_string().chars().take(80).flat_map(char::escape_debug).collect();
        Error::invalid(self.path, format!("quantization_config.{key}"), got, expected)
    }

    fn text(&self, key: &str, absent: &'a str) -> Result<&'a str> {
        match self.get(key) {
            None => Ok(absent),
            Some(value) => value.as_str().ok_or_else(|| self.wrong(key, value, "a text")),
        }
    }

    fn whole(&self, key: &str) -> Result<Option<i64>> {
        self.get(key).map(|value| value.as_i64().ok_or_else(|| self.wrong(key, value, "a whole number"))).transpose()
    }

    fn one_of(&self, key: &str, got: &str, known: &[&str]) -> Result<()> {
        if known.contains(&got) {
            return Ok(());
        }
        Err(self
            .wrong(key, format!("`{got}`"), known.join(" or "))
            .with_hint("save the model again in that form, or fetch it in floats and quantize it with `llm quantize`"))
    }
}
