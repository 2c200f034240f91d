//! The operations as functions of [`Tensor`]s, whatever backend these are on.

use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor};

use super::LlmBackend;
use super::{AnyAngles, AnyInput, AnyQuantLayer, AnyWeight, AttentionOptions, Kv, WeightTensor};
use crate::Activation;

/// See [`LlmBackend::rms_norm`].
///
/// # Shapes
/// - `x`: `[.., d]`, `gamma`: `[d]`; as `x` out.
pub fn rms_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, eps: f64) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), gamma.into_dispatch(), eps))
}

/// See [`LlmBackend::layer_norm`].
///
/// # Shapes
/// - `x`: `[.., d]`, `gamma`: `[k · d]`; as `x` out.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, eps: f64) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::layer_norm(x.into_dispatch(), gamma.into_dispatch(), eps))
}

/// See [`LlmBackend::activation`].
///
/// # Shapes
/// - `x`: any; the same out.
pub fn activation<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::activation(x.into_dispatch(), activation))
}

/// See [`LlmBackend::softcap`].
///
/// # Shapes
/// - `x`: any; the same out.
pub fn softcap<const D: usize>(x: Tensor<D>, cap: f64) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::softcap(x.into_dispatch(), cap))
}

/// See [`LlmBackend::linear`] and [`LlmBackend::quant_linear`].
///
/// # Shapes
/// - `x`: `[rows, in]` f32; `[rows, out]` f32 out.
pub fn linear(x: Tensor<2>, weight: AnyWeight) -> Tensor<2> {
    let x = x.into_dispatch();
    Tensor::from_dispatch(match weight.0 {
        WeightTensor::Dense(weight) => Dispatch::linear(x, weight),
        WeightTensor::Quantized(weight) => Dispatch::quant_linear(x, weight),
    })
}

/// See [`LlmBackend::linear_onto`].
///
/// # Shapes
/// - `residual`: `[.., out]` f32, `x`: `[.., in]` f32; as `residual` out.
pub fn linear_onto<const D: usize>(residual: Tensor<D>, x: Tensor<D>, weight: AnyWeight) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::linear_onto(residual.into_dispatch(), x.into_dispatch(), weight.0))
}

/// See [`LlmBackend::linear_three`].
///
/// # Shapes
/// - `x`: `D` dimensions, `[.., in]`; `[.., out]` f32 out for each.
pub fn linear_three<const D: usize>(x: AnyInput, [a, b, c]: [AnyWeight; 3]) -> [Tensor<D>; 3] {
    let (a, b, c) = Dispatch::linear_three(x.0, a.0, b.0, c.0);
    [a, b, c].map(Tensor::from_dispatch)
}

/// See [`LlmBackend::gated_linear`].
///
/// # Shapes
/// - `x`: `D` dimensions, `[.., in]`; `[.., out]` f32 out.
pub fn gated_linear<const D: usize>(x: AnyInput, gate: AnyWeight, up: AnyWeight, activation: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::gated_linear(x.0, gate.0, up.0, activation))
}

/// The rows `ids` of a weight: see [`LlmBackend::quant_rows`].
///
/// # Shapes
/// - `ids`: `[n]`; `[n, in]` f32 out.
pub fn rows(ids: Tensor<1, Int>, weight: AnyWeight) -> Tensor<2> {
    match weight.0 {
        WeightTensor::Dense(weight) => {
            let rows = Tensor::<2>::from_dispatch(weight).select(0, ids);
            if rows.dtype() == DType::F32 { rows } else { rows.cast(DType::F32) }
        }
        WeightTensor::Quantized(weight) => Tensor::from_dispatch(Dispatch::quant_rows(ids.into_dispatch(), weight)),
    }
}

/// See [`LlmBackend::rope`].
///
/// # Shapes
/// - `x`: `[batch, seq, heads, head_dim]`, `angles`: `[batch, seq, half]`; as `x` out.
pub fn rope(x: Tensor<4>, angles: &AnyAngles) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::rope(x.into_dispatch(), angles.0.cos.clone(), angles.0.sin.clone()))
}

/// See [`LlmBackend::append`].
///
/// # Shapes
/// - `x`: `[batch, seq, kv_heads, head_dim]`, `kv`: `[batch, kv_heads, capacity, head_dim]`; as `kv` out.
///
/// # Panics
/// When `kv` has no room for them.
pub fn append(x: Tensor<4>, kv: Kv, starts: &[usize]) -> Kv {
    Kv::from_dispatch(Dispatch::append(x.into_dispatch(), kv.into_dispatch(), starts.to_vec()))
}

/// See [`LlmBackend::attention`].
///
/// # Shapes
/// - `q`: `[batch, seq, heads, head_dim]`, `k` and `v`: `[batch, kv_heads, capacity, head_dim]`; as `q` out.
pub fn attention(q: Tensor<4>, k: Kv, v: Kv, starts: &[usize], options: AttentionOptions) -> Tensor<4> {
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attention(q, k, v, starts.to_vec(), options))
}

/// See [`LlmBackend::attention_with_sinks`].
///
/// # Shapes
/// - As of [`attention`]; `sinks`: `[heads]`.
pub fn attention_with_sinks(q: Tensor<4>, k: Kv, v: Kv, sinks: Tensor<1>, starts: &[usize], options: AttentionOptions) -> Tensor<4> {
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attention_with_sinks(q, k, v, sinks.into_dispatch(), starts.to_vec(), options))
}

/// See [`LlmBackend::quant_layer`].
///
/// # Shapes
/// - `x`: `[batch, seq, hidden]`, `angles`: `[batch, seq, half]`, `keys` and `values`: `[batch, kv_heads, capacity, head_dim]`; all but
///   the angles the same out.
///
/// # Panics
/// When `keys` and `values` have no room.
pub fn quant_layer(
    x: Tensor<3>,
    layer: AnyQuantLayer,
    angles: &AnyAngles,
    [keys, values]: [Kv; 2],
    starts: &[usize],
) -> (Tensor<3>, [Kv; 2]) {
    let (keys, values) = (keys.into_dispatch(), values.into_dispatch());
    let out = Dispatch::quant_layer(x.into_dispatch(), layer.0, angles.0.clone(), keys, values, starts.to_vec());
    (Tensor::from_dispatch(out.x), [out.keys, out.values].map(Kv::from_dispatch))
}

/// See [`LlmBackend::gated`].
///
/// # Shapes
/// - `gate` and `up`: the same; that shape out.
pub fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>, activation: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), activation))
}
