//! Launches the decode kernel; long prompts go through the reference, whose copies their matrix products repay.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{CubeCount, CubeDim};

use super::{AttentionOptions, kernel::attention_kernel, reference};
use crate::ops::kv::{KvTensor, dequantize};

/// Units of a cube.
const UNITS: usize = 64;
/// Up to this many queries a sequence the kernel runs.
const FEW_QUERIES: usize = 16;

pub fn cube(q: CubeTensor, k: KvTensor<CubeBackend>, v: KvTensor<CubeBackend>, starts: &[usize], options: &AttentionOptions) -> CubeTensor {
    let shape = q.shape();
    let [batch, seq, heads, dim] = [shape[0], shape[1], shape[2], shape[3]];
    if seq > FEW_QUERIES {
        return reference::<CubeBackend>(q, k, v, starts, options);
    }
    // The kernel reads floats: whole numbers are multiplied out as far as they are seen.
    let length = starts.iter().max().map_or(0, |start| start + seq);
    let floats = |kv: KvTensor<CubeBackend>| match kv {
        KvTensor::Floats(all) => all,
        kv => dequantize::<CubeBackend>(kv, length),
    };
    let (k, v) = (floats(k), floats(v));
    tracing::trace!(target: "llm::ops", op = "attention", backend = q.client.name(), kernel = "online");
    let (q, k, v) = (into_contiguous(q), into_contiguous(k), into_contiguous(v));
    let starts: Vec<u8> = starts.iter().flat_map(|start| (*start as i32).to_ne_bytes()).collect();
    let new = |handle, shape: &[usize], dtype| {
        CubeTensor::new_contiguous(q.client.clone(), q.device.clone(), burn::tensor::Shape::from(shape.to_vec()), handle, dtype)
    };
    let starts = new(q.client.create_from_slice(&starts), &[batch], burn::tensor::DType::I32);
    let out = new(q.client.empty(batch * seq * heads * dim * q.dtype.size()), &[batch, seq, heads, dim], q.dtype);
    let (float, cache) = (dtype_to_storage_type(q.dtype), dtype_to_storage_type(k.dtype));
    let client = q.client.clone();
    attention_kernel::launch(
        &client,
        CubeCount::Static(heads as u32, seq as u32, batch as u32),
        CubeDim::new_1d(UNITS as u32),
        q.into_tensor_arg(),
        k.into_tensor_arg(),
        v.into_tensor_arg(),
        starts.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        options.scale as f32,
        options.softcap.unwrap_or_default() as f32,
        options.window.map_or(u32::MAX, |window| window as u32),
        UNITS,
        dim,
        dim.div_ceil(UNITS),
        options.softcap.is_some(),
        float,
        cache,
    );
    out
}
