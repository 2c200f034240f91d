//! Half precision weights stay as they are: the activations, which are far smaller, take their type for the product.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, FloatDType};
use burn_cubecl::{CubeBackend, tensor::CubeTensor};

pub fn cube(x: CubeTensor, weight: CubeTensor) -> CubeTensor {
    tracing::trace!(target: "llm::ops", op = "linear", backend = x.client.name(), kernel = "matmul");
    let transposed = CubeBackend::float_transpose(weight);
    let narrow = match transposed.dtype() {
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        _ => return CubeBackend::float_matmul(x, transposed),
    };
    let product = CubeBackend::float_matmul(CubeBackend::float_cast(x, narrow), transposed);
    CubeBackend::float_cast(product, FloatDType::F32)
}
