//! The operations of the transformer that have fast kernels.
//!
//! [`LlmBackend`] extends Burn's `Backend`: each method has a portable default body, generic over `B: Backend` and kept short
//! in `<op>/reference.rs`, so that the transformer runs and trains on every Burn backend. Flex and NdArray override it with
//! SIMD on slices (`<op>/cpu.rs`), CubeCL's backends with GPU kernels (`<op>/cube.rs`) where the portable body copies or is slow.
//! The functions that modules call are safe wrappers on [`burn::tensor::Tensor`], in `tensors.rs`.
#![cfg_attr(feature = "ndarray", expect(deprecated, reason = "burn-ndarray is deprecated upstream, but users may still ask for it"))]

mod activation;
mod ahead;
mod attention;
mod gated;
mod gradient;
mod handle;
mod kv;
mod layer_norm;
mod linear;
mod matmul;
pub mod memory;
mod operands;
mod quant_layer;
mod quant_linear;
mod rms_norm;
mod rope;
pub(crate) mod simd;
mod slices;
mod tensors;
#[cfg(test)]
mod tests;
pub mod threads;

use burn::backend::{
    Autodiff, Backend,
    autodiff::checkpoint::strategy::CheckpointStrategy,
    backend_extension,
    tensor::{FloatTensor, IntTensor},
};

use crate::Activation;
pub use attention::AttentionOptions;
pub use handle::{Handle, Maybe};
pub use kv::{Kv, KvTensor};
pub use operands::{
    AnglesParts, AnglesTensor, AnyAngles, AnyBias, AnyInput, AnyNorm, AnyQuant, AnyQuantAttention, AnyQuantFeedForward, AnyQuantHeads,
    AnyQuantLayer, AnyWeight, BiasParts, BiasTensor, InputTensor, LayerOutput, NormParts, NormTensor, QuantHeads, QuantLayerParts,
    QuantParts, QuantTensor, WeightTensor,
};
pub use tensors::{
    activation, append, attention, attention_with_sinks, gated, gated_linear, layer_norm, linear, linear_onto, linear_three, quant_layer,
    rms_norm, rope, rows, softcap,
};

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

    /// y = γ · (x − mean(x)) / √(var(x) + ε) over the last dimension `d` (Ba et al., Layer Normalization); γ `[k · d]` has a part for
    /// each of `k` neighboring rows, as where each head has its own.
    fn layer_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        layer_norm::reference::<Self>(x, gamma, eps)
    }

    /// act(x), number by number.
    fn activation(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        activation::reference::<Self>(x, activation)
    }

    /// cap · tanh(x / cap), number by number (Gemma 2, `final_logit_softcapping`).
    fn softcap(x: FloatTensor<Self>, cap: f64) -> FloatTensor<Self> {
        activation::softcap_reference::<Self>(x, cap)
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

    /// The same where the softmax of each head has one more score, `sinks [h]`, whose weight goes to no value (gpt-oss). Its gradient is
    /// that of the portable body.
    fn attention_with_sinks(
        q: FloatTensor<Self>,
        #[extension_type] k: KvTensor<Self>,
        #[extension_type] v: KvTensor<Self>,
        sinks: FloatTensor<Self>,
        starts: Vec<usize>,
        options: AttentionOptions,
    ) -> FloatTensor<Self> {
        attention::reference_with_sinks::<Self>(q, k, v, sinks, &starts, &options)
    }

    /// A layer of Llama's kind, which is the operations of its parts one after the other: x + attention(norm(x)), then
    /// x + feed_forward(norm(x)), for `x [b, s, hidden]` at positions `starts[b] ..`; keys and values as in [`LlmBackend::append`].
    fn quant_layer(
        x: FloatTensor<Self>,
        #[extension_type] layer: QuantLayerParts<Self>,
        #[extension_type] angles: AnglesTensor<Self>,
        #[extension_type] keys: KvTensor<Self>,
        #[extension_type] values: KvTensor<Self>,
        starts: Vec<usize>,
    ) -> LayerOutput<Self> {
        quant_layer::reference::<Self>(x, layer, angles, [keys, values], starts)
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
            fn layer_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
                layer_norm::cpu::<Self>(x, gamma, eps)
            }
            fn activation(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
                activation::cpu::<Self>(x, activation)
            }
            fn softcap(x: FloatTensor<Self>, cap: f64) -> FloatTensor<Self> {
                activation::softcap_cpu::<Self>(x, cap)
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
            fn attention_with_sinks(
                q: FloatTensor<Self>,
                k: KvTensor<Self>,
                v: KvTensor<Self>,
                sinks: FloatTensor<Self>,
                starts: Vec<usize>,
                options: AttentionOptions,
            ) -> FloatTensor<Self> {
                attention::cpu_with_sinks::<Self>(q, k, v, sinks, &starts, &options)
            }
            fn quant_layer(
                x: FloatTensor<Self>,
                layer: QuantLayerParts<Self>,
                angles: AnglesTensor<Self>,
                keys: KvTensor<Self>,
                values: KvTensor<Self>,
                starts: Vec<usize>,
            ) -> LayerOutput<Self> {
                quant_layer::cpu::<Self>(x, layer, angles, [keys, values], &starts)
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
