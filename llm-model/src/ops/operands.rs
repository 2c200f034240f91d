//! What operations take beside plain tensors: as kinds over a backend, and wrapped for whatever backend a tensor is on.

use burn::backend::{
    Backend, Dispatch, ExtensionType,
    tensor::{FloatTensor, IntTensor},
};
use burn::tensor::{Int, Tensor};

use super::{AttentionOptions, Handle, KvTensor, Maybe};
use crate::Activation;
use crate::quant::QuantShape;

/// A packed matrix: `values [strips, tiles, lines, 16]` and `factors [strips, tiles, factors, 16]`, see [`crate::quant::tiles`].
#[derive(Debug, Clone, ExtensionType)]
pub struct QuantParts<B: Backend> {
    /// Words of 32 bits.
    pub values: IntTensor<B>,
    /// f16, or f32 where the backend has no halves.
    pub factors: FloatTensor<B>,
    /// What it was before it was packed.
    pub shape: QuantShape,
}

/// A handle of a packed matrix.
pub type QuantTensor<B> = Handle<QuantParts<B>>;

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
    /// As [`LlmBackend::rms_norm`](super::LlmBackend::rms_norm) of its parts.
    Normed {
        /// `[.., in]`.
        x: FloatTensor<B>,
        /// `[in]`.
        gamma: FloatTensor<B>,
        /// ε.
        eps: f64,
    },
}

/// What an RMS norm multiplies with.
#[derive(Debug, Clone, ExtensionType)]
pub struct NormParts<B: Backend> {
    /// γ, `[d]`.
    pub gamma: FloatTensor<B>,
    /// ε.
    pub eps: f64,
}

/// A handle of a norm.
pub type NormTensor<B> = Handle<NormParts<B>>;

/// A norm, or none.
pub type MaybeNorm<B> = Maybe<NormTensor<B>>;

/// The angles of a rotary embedding.
#[derive(Debug, Clone, ExtensionType)]
pub struct AnglesParts<B: Backend> {
    /// Cosines, `[batch, seq, half]`.
    pub cos: FloatTensor<B>,
    /// Sines, `[batch, seq, half]`.
    pub sin: FloatTensor<B>,
}

/// A handle of angles.
pub type AnglesTensor<B> = Handle<AnglesParts<B>>;

/// The bias of an affine map.
#[derive(Debug, Clone, ExtensionType)]
pub struct BiasParts<B: Backend> {
    /// `[out]`.
    pub bias: FloatTensor<B>,
}

/// A handle of a bias.
pub type BiasTensor<B> = Handle<BiasParts<B>>;

/// A bias, or none.
pub type MaybeBias<B> = Maybe<BiasTensor<B>>;

/// What makes queries, keys or values: norm(x · weightᵀ + bias).
#[derive(Debug, Clone, ExtensionType)]
pub struct QuantHeads<B: Backend> {
    /// hidden → heads · head_dim.
    #[extension_type]
    pub weight: QuantTensor<B>,
    /// `[heads · head_dim]`.
    #[extension_type]
    pub bias: MaybeBias<B>,
    /// Over each head or all, as its γ is long.
    #[extension_type]
    pub norm: MaybeNorm<B>,
}

/// A layer of Llama's kind whose matrices are packed, see [`LlmBackend::quant_layer`](super::LlmBackend::quant_layer).
#[derive(Debug, Clone, ExtensionType)]
pub struct QuantLayerParts<B: Backend> {
    /// What attention reads passes through it.
    #[extension_type]
    pub attention_norm: NormTensor<B>,
    /// Queries.
    #[extension_type]
    pub q: QuantHeads<B>,
    /// Keys.
    #[extension_type]
    pub k: QuantHeads<B>,
    /// Values.
    #[extension_type]
    pub v: QuantHeads<B>,
    /// heads · head_dim → hidden.
    #[extension_type]
    pub o: QuantTensor<B>,
    /// Of attention.
    pub options: AttentionOptions,
    /// What the feed-forward layer reads passes through it.
    #[extension_type]
    pub feed_forward_norm: NormTensor<B>,
    /// hidden → intermediate, activated.
    #[extension_type]
    pub gate: QuantTensor<B>,
    /// hidden → intermediate.
    #[extension_type]
    pub up: QuantTensor<B>,
    /// intermediate → hidden.
    #[extension_type]
    pub down: QuantTensor<B>,
    /// Of the gate.
    pub activation: Activation,
}

/// What such a layer yields.
#[derive(Debug, Clone, ExtensionType)]
pub struct LayerOutput<B: Backend> {
    /// `[batch, seq, hidden]`.
    pub x: FloatTensor<B>,
    /// Keys with those of this call.
    #[extension_type]
    pub keys: KvTensor<B>,
    /// Values with those of this call.
    #[extension_type]
    pub values: KvTensor<B>,
}

/// The weight of a linear map on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyWeight(pub(super) WeightTensor<Dispatch>);

/// What linear maps read on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyInput(pub(super) InputTensor<Dispatch>);

/// A bias on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyBias(pub(super) BiasTensor<Dispatch>);

/// A [`QuantHeads`] on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyQuantHeads(pub(super) QuantHeads<Dispatch>);

/// A norm on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyNorm(pub(super) NormTensor<Dispatch>);

/// A packed matrix on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyQuant(pub(super) QuantTensor<Dispatch>);

/// The angles of a rotary embedding on whatever backend they are.
#[derive(Debug, Clone)]
pub struct AnyAngles(pub(super) AnglesTensor<Dispatch>);

/// A layer on whatever backend it is.
#[derive(Debug, Clone)]
pub struct AnyQuantLayer(pub(super) QuantLayerParts<Dispatch>);

impl AnyNorm {
    /// γ and ε.
    pub fn new(gamma: Tensor<1>, eps: f64) -> Self {
        Self(NormParts { gamma: gamma.into_dispatch(), eps }.into())
    }
}

impl AnyQuant {
    /// `values` and `factors` as [`QuantShape::dims`] says.
    pub fn new(values: Tensor<4, Int>, factors: Tensor<4>, shape: QuantShape) -> Self {
        Self(QuantParts { values: values.into_dispatch(), factors: factors.into_dispatch(), shape }.into())
    }
}

impl AnyAngles {
    /// `[batch, seq, half]` each.
    pub fn new(cos: Tensor<3>, sin: Tensor<3>) -> Self {
        Self(AnglesParts { cos: cos.into_dispatch(), sin: sin.into_dispatch() }.into())
    }
}

impl AnyBias {
    /// `[out]`.
    pub fn new(bias: Tensor<1>) -> Self {
        Self(BiasParts { bias: bias.into_dispatch() }.into())
    }
}

impl AnyQuantHeads {
    /// norm(x · weightᵀ + bias).
    pub fn new(weight: AnyQuant, bias: Option<AnyBias>, norm: Option<AnyNorm>) -> Self {
        Self(QuantHeads { weight: weight.0, bias: bias.map(|bias| bias.0).into(), norm: norm.map(|norm| norm.0).into() })
    }
}

/// Attention as a part of [`AnyQuantLayer`].
#[derive(Debug, Clone)]
pub struct AnyQuantAttention {
    /// Queries, keys and values.
    pub qkv: [AnyQuantHeads; 3],
    /// heads · head_dim → hidden.
    pub o: AnyQuant,
    /// How it attends.
    pub options: AttentionOptions,
}

/// A gated feed-forward layer as a part of [`AnyQuantLayer`].
#[derive(Debug, Clone)]
pub struct AnyQuantFeedForward {
    /// hidden → intermediate, activated.
    pub gate: AnyQuant,
    /// hidden → intermediate.
    pub up: AnyQuant,
    /// intermediate → hidden.
    pub down: AnyQuant,
    /// Of the gate.
    pub activation: Activation,
}

impl AnyQuantLayer {
    /// Two norms, each of them before what is beside it.
    pub fn new(attention: (AnyNorm, AnyQuantAttention), feed_forward: (AnyNorm, AnyQuantFeedForward)) -> Self {
        let (attention_norm, AnyQuantAttention { qkv: [q, k, v], o, options }) = attention;
        let (feed_forward_norm, AnyQuantFeedForward { gate, up, down, activation }) = feed_forward;
        Self(QuantLayerParts {
            attention_norm: attention_norm.0,
            q: q.0,
            k: k.0,
            v: v.0,
            o: o.0,
            options,
            feed_forward_norm: feed_forward_norm.0,
            gate: gate.0,
            up: up.0,
            down: down.0,
            activation,
        })
    }
}

impl AnyInput {
    /// x.
    pub fn plain<const D: usize>(x: Tensor<D>) -> Self {
        Self(InputTensor::Plain(x.into_dispatch()))
    }

    /// As [`super::rms_norm`] of the same.
    pub fn normed<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, eps: f64) -> Self {
        Self(InputTensor::Normed { x: x.into_dispatch(), gamma: gamma.into_dispatch(), eps })
    }
}

impl AnyWeight {
    /// Floats, `[out, in]`.
    pub fn dense(weight: Tensor<2>) -> Self {
        Self(WeightTensor::Dense(weight.into_dispatch()))
    }

    /// Packed.
    pub fn quantized(weight: AnyQuant) -> Self {
        Self(WeightTensor::Quantized(weight.0))
    }
}
