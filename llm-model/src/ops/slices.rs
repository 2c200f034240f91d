//! Tensors of the CPU backends as slices, so that one kernel serves Flex and NdArray.

use burn::backend::{
    Backend, TensorMetadata,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{DType, Shape, TensorData};
use burn_flex::{Flex, FlexTensor};
use half::{bf16, f16};

use super::simd::{Floats, FloatsMut};

/// A backend whose tensors lie in the memory of this process.
pub trait CpuBackend: Backend {
    /// Its name in traces.
    const NAME: &'static str;

    /// Whether the numbers are in row-major order and begin where their memory does.
    fn is_contiguous(tensor: &FloatTensor<Self>) -> bool;

    /// The same numbers in row-major order; copies only a strided view.
    fn contiguous(tensor: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// The numbers of a tensor that is [contiguous](CpuBackend::is_contiguous).
    fn floats(tensor: &FloatTensor<Self>) -> Floats<'_>;

    /// As [`CpuBackend::floats`] to write to; copied first where another tensor shares them.
    fn floats_mut(tensor: &mut FloatTensor<Self>) -> FloatsMut<'_>;

    /// The numbers of a tensor of 8-bit integers that was never anything but contiguous, as keys and values are.
    fn bytes(tensor: &IntTensor<Self>) -> &[i8];

    /// As [`CpuBackend::bytes`] to write to; copied first where another tensor shares them.
    fn bytes_mut(tensor: &mut IntTensor<Self>) -> &mut [i8];

    /// The words of a tensor of 32-bit integers in row-major order, as packed weights are.
    fn words(tensor: &IntTensor<Self>) -> &[i32];

    /// The numbers of a small tensor of integers.
    fn integers(tensor: &IntTensor<Self>) -> Vec<i64>;

    /// A tensor of `values` in row-major order.
    fn from_vec(values: Vec<f32>, shape: Shape) -> FloatTensor<Self>;

    /// Calls `read` with the numbers of `tensor` in row-major order; copies only a strided view.
    fn with_floats<R>(tensor: &FloatTensor<Self>, read: impl FnOnce(Floats) -> R) -> R {
        if Self::is_contiguous(tensor) { read(Self::floats(tensor)) } else { read(Self::floats(&Self::contiguous(tensor))) }
    }

    /// As [`CpuBackend::with_floats`] for activations, which are f32; other types are widened first.
    fn with_f32<R>(tensor: &FloatTensor<Self>, read: impl FnOnce(&[f32]) -> R) -> R {
        Self::with_floats(tensor, |floats| read(floats.widened(&mut Vec::new())))
    }

    /// A tensor shaped as `tensor` with the numbers that `map` makes.
    fn map_f32(tensor: FloatTensor<Self>, map: impl FnOnce(&[f32]) -> Vec<f32>) -> FloatTensor<Self> {
        let values = Self::with_f32(&tensor, map);
        Self::from_vec(values, tensor.shape())
    }
}

/// Tells a subscriber of target `llm::ops` which kernel ran where.
pub fn trace<B: CpuBackend>(op: &'static str, kernel: &'static str) {
    tracing::trace!(target: "llm::ops", op, backend = B::NAME, kernel);
}

impl CpuBackend for Flex {
    const NAME: &'static str = "flex";

    fn is_contiguous(tensor: &FlexTensor) -> bool {
        tensor.layout().start_offset() == 0 && tensor.layout().is_contiguous()
    }

    fn contiguous(tensor: &FlexTensor) -> FlexTensor {
        tensor.to_contiguous()
    }

    fn floats(tensor: &FlexTensor) -> Floats<'_> {
        let count = tensor.layout().num_elements();
        match tensor.dtype() {
            DType::F32 => Floats::F32(&tensor.storage::<f32>()[..count]),
            DType::F16 => Floats::F16(&tensor.storage::<f16>()[..count]),
            DType::BF16 => Floats::Bf16(&tensor.storage::<bf16>()[..count]),
            other => panic!("kernels read f32, f16 and bf16, got {other:?}"),
        }
    }

    fn floats_mut(tensor: &mut FlexTensor) -> FloatsMut<'_> {
        if !Self::is_contiguous(tensor) {
            *tensor = Self::contiguous(tensor);
        }
        let count = tensor.layout().num_elements();
        match tensor.dtype() {
            DType::F32 => FloatsMut::F32(&mut tensor.storage_mut::<f32>()[..count]),
            DType::F16 => FloatsMut::F16(&mut tensor.storage_mut::<f16>()[..count]),
            DType::BF16 => FloatsMut::Bf16(&mut tensor.storage_mut::<bf16>()[..count]),
            other => panic!("kernels write f32, f16 and bf16, got {other:?}"),
        }
    }

    fn bytes(tensor: &FlexTensor) -> &[i8] {
        &tensor.storage::<i8>()[..tensor.layout().num_elements()]
    }

    fn bytes_mut(tensor: &mut FlexTensor) -> &mut [i8] {
        let count = tensor.layout().num_elements();
        &mut tensor.storage_mut::<i8>()[..count]
    }

    fn words(tensor: &FlexTensor) -> &[i32] {
        &tensor.storage::<i32>()[..tensor.layout().num_elements()]
    }

    fn integers(tensor: &FlexTensor) -> Vec<i64> {
        tensor.clone().into_data().iter::<i64>().collect()
    }

    fn from_vec(values: Vec<f32>, shape: Shape) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values, shape))
    }
}

#[cfg(feature = "ndarray")]
impl CpuBackend for burn_ndarray::NdArray {
    const NAME: &'static str = "ndarray";

    fn is_contiguous(tensor: &burn_ndarray::NdArrayTensor) -> bool {
        !matches!(tensor, burn_ndarray::NdArrayTensor::F32(storage) if !storage.view().is_standard_layout())
    }

    fn contiguous(tensor: &burn_ndarray::NdArrayTensor) -> burn_ndarray::NdArrayTensor {
        match tensor {
            burn_ndarray::NdArrayTensor::F32(storage) if !storage.view().is_standard_layout() => {
                Self::from_vec(storage.view().iter().copied().collect(), tensor.shape())
            }
            other => other.clone(),
        }
    }

    fn floats(tensor: &burn_ndarray::NdArrayTensor) -> Floats<'_> {
        let burn_ndarray::NdArrayTensor::F32(storage) = tensor else {
            panic!("ndarray holds floats in f32, got {:?}", tensor.dtype());
        };
        Floats::F32(storage.view().to_slice().unwrap_or_default())
    }

    fn floats_mut(tensor: &mut burn_ndarray::NdArrayTensor) -> FloatsMut<'_> {
        if !Self::is_contiguous(tensor) {
            *tensor = Self::contiguous(tensor);
        }
        let burn_ndarray::NdArrayTensor::F32(storage) = tensor else {
            panic!("ndarray holds floats in f32, got {:?}", tensor.dtype());
        };
        FloatsMut::F32(storage.ensure_owned().as_slice_mut().unwrap_or_default())
    }

    fn bytes(tensor: &burn_ndarray::NdArrayTensor) -> &[i8] {
        let burn_ndarray::NdArrayTensor::I8(storage) = tensor else {
            panic!("keys and values of 8 bits are integers of 8 bits, got {:?}", tensor.dtype());
        };
        storage.view().to_slice().unwrap_or_default()
    }

    fn bytes_mut(tensor: &mut burn_ndarray::NdArrayTensor) -> &mut [i8] {
        let burn_ndarray::NdArrayTensor::I8(storage) = tensor else {
            panic!("keys and values of 8 bits are integers of 8 bits, got {:?}", tensor.dtype());
        };
        storage.ensure_owned().as_slice_mut().unwrap_or_default()
    }

    fn words(tensor: &burn_ndarray::NdArrayTensor) -> &[i32] {
        let burn_ndarray::NdArrayTensor::I32(storage) = tensor else {
            panic!("packed words are 32-bit integers, got {:?}", tensor.dtype());
        };
        storage.view().to_slice().unwrap_or_default()
    }

    fn integers(tensor: &burn_ndarray::NdArrayTensor) -> Vec<i64> {
        match tensor {
            burn_ndarray::NdArrayTensor::I64(storage) => storage.view().iter().copied().collect(),
            burn_ndarray::NdArrayTensor::I32(storage) => storage.view().iter().map(|id| i64::from(*id)).collect(),
            other => panic!("ids are integers of 32 or 64 bits, got {:?}", other.dtype()),
        }
    }

    fn from_vec(values: Vec<f32>, shape: Shape) -> burn_ndarray::NdArrayTensor {
        burn_ndarray::NdArrayTensor::from_data(TensorData::new(values, shape))
    }
}
