//! The operations of the transformer that have fast kernels.
//!
//! [`LlmBackend`] extends Burn's `Backend`: each method has a portable default body, generic over `B: Backend` and kept short
//! in `<op>/reference.rs`, so that the transformer runs and trains on every Burn backend. Flex and NdArray override it with
//! SIMD on slices (`<op>/cpu.rs`), CubeCL's backends with GPU kernels (`<op>/cube.rs`) where the portable body copies or is slow.
//! The functions of this module are the safe wrappers on [`Tensor`] that modules call.
#![cfg_attr(feature = "ndarray", expect(deprecated, reason = "burn-ndarray is deprecated upstream, but users may still ask for it"))]

mod attention;
mod gated;
mod gradient;
mod kv;
mod linear;
mod matmul;
pub mod memory;
mod quant_linear;
mod rms_norm;
mod rope;
pub(crate) mod simd;
mod slices;
#[cfg(test)]
mod tests;
pub mod threads;

use burn::backend::{
    Autodiff, Backend, Dispatch, ExtensionType,
    autodiff::checkpoint::strategy::CheckpointStrategy,
    backend_extension,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{Int, Tensor};

use crate::Activation;
use crate::quant::QuantShape;
pub use attention::AttentionOptions;
pub use kv::{Kv, KvTensor};

/// A packed matrix: `values [strips, blocks, lines, 16]` and `factors [strips, blocks, factors, 16]`, see [`crate::quant::tiles`].
#[derive(Debug, Clone, ExtensionType)]
pub struct QuantTensor<B: Backend> {
    /// Words of 32 bits.
    pub values: IntTensor<B>,
    /// f16, or f32 where the backend has no halves.
    pub factors: FloatTensor<B>,
    /// What it was before it was packed.
    pub shape: QuantShape,
}

/// The weight of a linear map, `[out, in]`.
#[derive(Debug, Clone, ExtensionType)]
pub enum WeightTensor<B: Backend> {
    /// f32, f16 or bf16.
    Dense(FloatTensor<B>),
    /// Packed.
    Quantized(#[extension_type] QuantTensor<B>),
}

/// What linear maps read: `x [.., in]` in f32, as it is or normed on the way in.
#[derive(Debug, Clone, ExtensionType)]
pub enum InputTensor<B: Backend> {
    /// x.
    Plain(FloatTensor<B>),
    /// As [`LlmBackend::rms_norm`] of its parts.
    Normed {
        /// `[.., in]`.
        x: FloatTensor<B>,
        /// `[in]`.
        gamma: FloatTensor<B>,
        /// ε.
        eps: f64,
    },
}

/// The weight of a linear map on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyWeight(WeightTensor<Dispatch>);

/// What linear maps read on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyInput(InputTensor<Dispatch>);

impl AnyInput {
    /// x.
    pub fn plain<const D: usize>(x: Tensor<D>) -> Self {
        Self(InputTensor::Plain(x.into_dispatch()))
    }

    /// As [`rms_norm`] of the same.
    pub fn normed<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, eps: f64) -> Self {
        Self(InputTensor::Normed { x: x.into_dispatch(), gamma: gamma.into_dispatch(), eps })
    }
}

impl AnyWeight {
    /// Floats, `[out, in]`.
    pub fn dense(weight: Tensor<2>) -> Self {
        Self(WeightTensor::Dense(weight.into_dispatch()))
    }

    /// `values` and `factors` as [`QuantShape::dims`] says.
    pub fn quantized(values: Tensor<4, Int>, factors: Tensor<4>, shape: QuantShape) -> Self {
        Self(WeightTensor::Quantized(QuantTensor { values: values.into_dispatch(), factors: factors.into_dispatch(), shape }))
    }
}

/// What a transformer needs of a backend, beyond Burn's own operations.
#[backend_extension(
    Flex,
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff
)]
pub trait LlmBackend: Backend {
    /// y = γ · x / √(mean(x²) + ε) over the last dimension (Zhang and Sennrich, Root Mean Square Layer Normalization).
    fn rms_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        rms_norm::reference::<Self>(x, gamma, eps)
    }

    /// y = x · wᵀ, `x [rows, in]` in f32, `w [out, in]` in any float type; f32 out. The other linear maps take `x [.., in]`.
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::reference::<Self>(x, weight)
    }

    /// y = x · wᵀ, `x [rows, in]` in f32, `w [out, in]` quantized; f32 out. The kernels of the CPU quantize `x` to 8 bits by blocks.
    fn quant_linear(x: FloatTensor<Self>, #[extension_type] weight: QuantTensor<Self>) -> FloatTensor<Self> {
        quant_linear::reference::<Self>(x, weight)
    }

    /// y = residual + x · wᵀ, `x [.., in]` and `residual [.., out]` in f32.
    fn linear_onto(residual: FloatTensor<Self>, x: FloatTensor<Self>, #[extension_type] weight: WeightTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(residual, linear::of_weight::<Self>(x, weight))
    }

    /// Three linear maps of the same `x`: the queries, keys and values of an attention.
    fn linear_three(
        #[extension_type] x: InputTensor<Self>,
        #[extension_type] a: WeightTensor<Self>,
        #[extension_type] b: WeightTensor<Self>,
        #[extension_type] c: WeightTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, linear) = (linear::read::<Self>(x), linear::of_weight::<Self>);
        (linear(x.clone(), a), linear(x.clone(), b), linear(x, c))
    }

    /// act(x · gateᵀ) · (x · upᵀ): see [`LlmBackend::gated`].
    fn gated_linear(
        #[extension_type] x: InputTensor<Self>,
        #[extension_type] gate: WeightTensor<Self>,
        #[extension_type] up: WeightTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::gated_reference::<Self>(x, gate, up, activation)
    }

    /// The rows `ids [n]` of a quantized `w [out, in]`; `[n, in]` in f32 out.
    fn quant_rows(ids: IntTensor<Self>, #[extension_type] weight: QuantTensor<Self>) -> FloatTensor<Self> {
        quant_linear::rows_reference::<Self>(ids, weight)
    }

    /// Rotates the first `2 · half` numbers of each head: `x [b, s, h, d]`, `cos` and `sin [b, s, half]`.
    fn rope(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        rope::reference::<Self>(x, cos, sin)
    }

    /// Writes `x [b, s, kv, d]` into `kv [b, kv, capacity, d]` at positions `starts[b] ..`: in place where no other tensor shares it,
    /// and rounded to its type.
    fn append(x: FloatTensor<Self>, #[extension_type] kv: KvTensor<Self>, starts: Vec<usize>) -> KvTensor<Self> {
        kv::reference::<Self>(x, kv, &starts)
    }

    /// Attention of `q [b, s, h, d]` over `k` and `v [b, kv, capacity, d]`; row `b` of `q` stands at `starts[b] ..`.
    fn attention(
        q: FloatTensor<Self>,
        #[extension_type] k: KvTensor<Self>,
        #[extension_type] v: KvTensor<Self>,
        starts: Vec<usize>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        attention::reference::<Self>(q, k, v, &starts, &options)
    }

    /// act(gate) · up, element by element.
    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        gated::reference::<Self>(gate, up, activation)
    }

    /// Gradients of [`LlmBackend::rms_norm`] by x and γ, for training.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        rms_norm::backward_reference::<Self>(x, gamma, grad, eps)
    }

    /// Gradients of [`LlmBackend::linear`] with a weight in f32 by x and weight, for training.
    fn linear_backward(x: FloatTensor<Self>, weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        linear::backward_reference::<Self>(x, weight, grad)
    }

    /// Gradients of [`LlmBackend::attention`], which gave `out`, by q, k and v in f32, for training.
    fn attention_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        out: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        starts: Vec<usize>,
        options: AttentionOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        attention::backward_reference::<Self>([q, k, v, out, grad], &starts, &options)
    }

    /// Gradients of [`LlmBackend::gated`] with SiLU by gate and up, for training.
    fn silu_backward(gate: FloatTensor<Self>, up: FloatTensor<Self>, grad: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gated::silu_backward_reference::<Self>(gate, up, grad)
    }
}

/// Implements the trait for a CPU backend through the kernels on slices.
macro_rules! cpu_backend {
    ($backend:ty) => {
        impl LlmBackend for $backend {
            fn rms_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
                rms_norm::cpu::<Self>(x, gamma, eps)
            }
            fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
                linear::cpu::<Self>(x, weight)
            }
            fn quant_linear(x: FloatTensor<Self>, weight: QuantTensor<Self>) -> FloatTensor<Self> {
                linear::quant_cpu::<Self>(x, weight)
            }
            fn linear_onto(residual: FloatTensor<Self>, x: FloatTensor<Self>, weight: WeightTensor<Self>) -> FloatTensor<Self> {
                linear::onto_cpu::<Self>(residual, x, weight)
            }
            fn linear_three(
                x: InputTensor<Self>,
                a: WeightTensor<Self>,
                b: WeightTensor<Self>,
                c: WeightTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                linear::three_cpu::<Self>(x, [a, b, c])
            }
            fn gated_linear(
                x: InputTensor<Self>,
                gate: WeightTensor<Self>,
                up: WeightTensor<Self>,
                activation: Activation,
            ) -> FloatTensor<Self> {
                linear::gated_cpu::<Self>(x, [gate, up], activation)
            }
            fn quant_rows(ids: IntTensor<Self>, weight: QuantTensor<Self>) -> FloatTensor<Self> {
                quant_linear::rows_cpu::<Self>(ids, weight)
            }
            fn rope(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
                rope::cpu::<Self>(x, cos, sin)
            }
            fn append(x: FloatTensor<Self>, kv: KvTensor<Self>, starts: Vec<usize>) -> KvTensor<Self> {
                kv::cpu::<Self>(x, kv, &starts)
            }
            fn attention(
                q: FloatTensor<Self>,
                k: KvTensor<Self>,
                v: KvTensor<Self>,
                starts: Vec<usize>,
                options: AttentionOptions,
            ) -> FloatTensor<Self> {
                attention::cpu::<Self>(q, k, v, &starts, &options)
            }
            fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
                gated::cpu::<Self>(gate, up, activation)
            }
            fn rms_norm_backward(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                eps: f64,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                rms_norm::backward_cpu::<Self>(x, gamma, grad, eps)
            }
            fn linear_backward(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                grad: FloatTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                linear::backward_cpu::<Self>(x, weight, grad)
            }
            fn attention_backward(
                q: FloatTensor<Self>,
                k: FloatTensor<Self>,
                v: FloatTensor<Self>,
                out: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                starts: Vec<usize>,
                options: AttentionOptions,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                attention::backward_cpu::<Self>([q, k, v, out, grad], &starts, &options)
            }
            fn silu_backward(
                gate: FloatTensor<Self>,
                up: FloatTensor<Self>,
                grad: FloatTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                gated::silu_backward_cpu::<Self>(gate, up, grad)
            }
        }
    };
}

cpu_backend!(burn_flex::Flex);
#[cfg(feature = "ndarray")]
cpu_backend!(burn_ndarray::NdArray);

/// Each gradient is one operation, too, save for GELU and for half precision, which go through the references.
impl<B: LlmBackend, C: CheckpointStrategy> LlmBackend for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        rms_norm::autodiff::<B, C>(x, gamma, eps)
    }

    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::autodiff::<B, C>(x, weight)
    }

    fn rope(x: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self> {
        rope::autodiff::<B, C>(x, cos, sin)
    }

    fn attention(
        q: FloatTensor<Self>,
        k: KvTensor<Self>,
        v: KvTensor<Self>,
        starts: Vec<usize>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        attention::autodiff::<B, C>(q, k, v, starts, options)
    }

    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        gated::autodiff::<B, C>(gate, up, activation)
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl LlmBackend for burn_cubecl::CubeBackend {
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::cube(x, weight)
    }

    fn attention(
        q: FloatTensor<Self>,
        k: KvTensor<Self>,
        v: KvTensor<Self>,
        starts: Vec<usize>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        attention::cube(q, k, v, &starts, &options)
    }
}

/// See [`LlmBackend::rms_norm`].
///
/// # Shapes
/// - `x`: `[.., d]`, `gamma`: `[d]`; as `x` out.
pub fn rms_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, eps: f64) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::rms_norm(x.into_dispatch(), gamma.into_dispatch(), eps))
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

/// See [`LlmBackend::quant_rows`].
///
/// # Shapes
/// - `ids`: `[n]`; `values` and `factors`: as [`QuantShape::dims`] says; `[n, in]` f32 out.
pub fn quant_rows(ids: Tensor<1, Int>, values: Tensor<4, Int>, factors: Tensor<4>, shape: QuantShape) -> Tensor<2> {
    let weight = QuantTensor { values: values.into_dispatch(), factors: factors.into_dispatch(), shape };
    Tensor::from_dispatch(Dispatch::quant_rows(ids.into_dispatch(), weight))
}

/// See [`LlmBackend::rope`].
///
/// # Shapes
/// - `x`: `[batch, seq, heads, head_dim]`, `cos` and `sin`: `[batch, seq, half]`; as `x` out.
pub fn rope(x: Tensor<4>, cos: Tensor<3>, sin: Tensor<3>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::rope(x.into_dispatch(), cos.into_dispatch(), sin.into_dispatch()))
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

/// See [`LlmBackend::gated`].
///
/// # Shapes
/// - `gate` and `up`: the same; that shape out.
pub fn gated<const D: usize>(gate: Tensor<D>, up: Tensor<D>, activation: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch(), activation))
}
