//! How to load and save, and how far it is.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;

use super::packed::PackedCache;
use crate::quantize::Scheme;
use crate::{Error, Result};

/// How to load a checkpoint.
#[derive(Clone)]
pub struct LoadOptions<'a> {
    /// Where the weights go.
    pub device: Device,
    /// The dtype of the matrices; vectors (norms, biases) are always f32. Packed ones stay as they are under [`WeightDtype::Auto`], and
    /// are widened to any other, so that activations are not rounded either.
    pub dtype: WeightDtype,
    /// Packs the matrices as they are read.
    pub quantize: Option<Scheme>,
    /// Where packed weights are kept for the next load; used on [`Device::flex`] only.
    pub cache: Option<PackedCache>,
    /// Whether tensors that the model has no place for are an error.
    pub strict: bool,
    /// Called after each tensor, and while one lasts.
    pub progress: Option<&'a dyn Fn(&Progress)>,
    /// Ends the load with [`Error::Cancelled`] once it is true.
    pub cancel: Option<&'a AtomicBool>,
}

impl LoadOptions<'_> {
    /// Weights on `device` as they are stored; unexpected tensors are reported only.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), dtype: WeightDtype::Auto, quantize: None, cache: None, strict: false, progress: None, cancel: None }
    }
}

/// How to save a model.
#[derive(Clone, Default)]
pub struct SaveOptions<'a> {
    /// The dtype of all floats in the file; `Auto` keeps what is in memory.
    pub dtype: WeightDtype,
    /// Whether files that are there already are replaced.
    pub overwrite: bool,
    /// Called after each tensor.
    pub progress: Option<&'a dyn Fn(&Progress)>,
    /// Ends the save with [`Error::Cancelled`] once it is true; nothing is left behind then.
    pub cancel: Option<&'a AtomicBool>,
}

/// The dtype of the matrices in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WeightDtype {
    /// As most of the matrices are stored where the device computes in that, else f32.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats with 5 bits of exponent.
    F16,
    /// 16-bit floats with 8 bits of exponent.
    Bf16,
}

impl FromStr for WeightDtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::request("dtype", format!("`{name}`"), "one of auto, f32, f16, bf16")),
        }
    }
}

impl fmt::Display for WeightDtype {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// What a load does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// Reads the weight files for the name of their packed form.
    Hashing,
    /// Reads the tensors, and packs those that are quantized; checks and saves have this stage only.
    #[default]
    Tensors,
    /// Waits for the packed form to be on the disk.
    Writing,
}

/// How far a load, check or save is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is done now; each stage counts its bytes from 0 on.
    pub stage: Stage,
    /// The tensor that was just done, or is being packed.
    pub tensor: &'a str,
    /// Tensors done.
    pub tensors: usize,
    /// Tensors in all.
    pub total_tensors: usize,
    /// Bytes done, as stored.
    pub bytes: u64,
    /// Bytes in all, as stored.
    pub total_bytes: u64,
}

/// [`Error::Cancelled`] once `cancel` is true.
pub(crate) fn require_uncancelled(cancel: Option<&AtomicBool>) -> Result<()> {
    if cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) { Err(Error::Cancelled) } else { Ok(()) }
}
