//! How keys and values are kept, and `append`: see [`super::LlmBackend::append`].

mod cpu;
mod reference;

use burn::backend::{Backend, Dispatch, ExtensionType, TensorMetadata, tensor::FloatTensor, tensor::IntTensor};
use burn::tensor::{DType, Device, Int, Shape, Tensor};

pub(super) use cpu::{Stored, cpu, with_stored, write};
pub(super) use reference::{dequantize, reference};

/// Keys or values of all positions, `[batch, kv_heads, capacity, head_dim]`.
#[derive(Debug, Clone, ExtensionType)]
pub enum KvTensor<B: Backend> {
    /// f32, f16 or bf16.
    Floats(FloatTensor<B>),
    /// `values[b, h, p, i] · scales[b, h, p]`.
    Int8 {
        /// Whole numbers from -127 to 127.
        values: IntTensor<B>,
        /// f32, `[batch, kv_heads, capacity]`: the largest number of each vector is 127 times this.
        scales: FloatTensor<B>,
    },
}

impl<B: Backend> KvTensor<B> {
    /// `[batch, kv_heads, capacity, head_dim]`.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Floats(all) => all.shape(),
            Self::Int8 { values, .. } => values.shape(),
        }
    }
}

/// A [`KvTensor`] on whatever backend it is.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one lives for each layer, and a box would be an allocation in each step")]
pub enum Kv {
    /// f32, f16 or bf16.
    Floats(Tensor<4>),
    /// `values[b, h, p, i] · scales[b, h, p]`.
    Int8 {
        /// Whole numbers from -127 to 127.
        values: Tensor<4, Int>,
        /// f32, `[batch, kv_heads, capacity]`.
        scales: Tensor<3>,
    },
}

impl Kv {
    /// Room for vectors of `shape`, in f32, f16, bf16 or i8 (with scales).
    pub fn zeros(shape: [usize; 4], dtype: DType, device: &Device) -> Self {
        match dtype {
            DType::I8 => Self::Int8 {
                values: Tensor::zeros(shape, (device, DType::I8)),
                scales: Tensor::zeros([shape[0], shape[1], shape[2]], (device, DType::F32)),
            },
            dtype => Self::Floats(Tensor::zeros(shape, (device, dtype))),
        }
    }

    /// `[batch, kv_heads, capacity, head_dim]`.
    pub fn dims(&self) -> [usize; 4] {
        match self {
            Self::Floats(all) => all.dims(),
            Self::Int8 { values, .. } => values.dims(),
        }
    }

    /// The same with room for `capacity` positions, which is more.
    pub fn grown(self, capacity: usize) -> Self {
        let [batch, heads, length, dim] = self.dims();
        match self {
            Self::Floats(old) => {
                let new = Tensor::zeros([batch, heads, capacity, dim], (&old.device(), old.dtype()));
                Self::Floats(new.slice_assign([0..batch, 0..heads, 0..length, 0..dim], old))
            }
            Self::Int8 { values: old, scales } => {
                let values = Tensor::zeros([batch, heads, capacity, dim], (&old.device(), old.dtype()));
                let wide = Tensor::zeros([batch, heads, capacity], (&scales.device(), scales.dtype()));
                Self::Int8 {
                    values: values.slice_assign([0..batch, 0..heads, 0..length, 0..dim], old),
                    scales: wide.slice_assign([0..batch, 0..heads, 0..length], scales),
                }
            }
        }
    }

    pub(super) fn into_dispatch(self) -> KvTensor<Dispatch> {
        match self {
            Self::Floats(all) => KvTensor::Floats(all.into_dispatch()),
            Self::Int8 { values, scales } => KvTensor::Int8 { values: values.into_dispatch(), scales: scales.into_dispatch() },
        }
    }

    pub(super) fn from_dispatch(kv: KvTensor<Dispatch>) -> Self {
        match kv {
            KvTensor::Floats(all) => Self::Floats(Tensor::from_dispatch(all)),
            KvTensor::Int8 { values, scales } => {
                Self::Int8 { values: Tensor::from_dispatch(values), scales: Tensor::from_dispatch(scales) }
            }
        }
    }
}
