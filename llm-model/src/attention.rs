//! Multi-head attention with grouped key and value heads.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::ops::{self, AnyAngles, AnyQuantAttention, AnyQuantHeads, AttentionOptions, Kv};
use crate::{LayerCache, LayerConfig, LayerNorm, Linear, LinearInput, Norm, QkNorm, RmsNorm, Rotation, Step, Weight};

/// Attention of a decoder layer: project, norm the heads if asked, rotate, attend over the cache, project back.
///
/// A [`crate::TransformerBlock`] whose matrices are packed does the same in [`ops::LlmBackend::quant_layer`].
///
/// Query head `i` reads key and value head `i / (heads / kv_heads)` (Ainslie et al., GQA).
#[derive(Module, Debug)]
pub struct Attention {
    /// hidden → heads · head_dim.
    pub q_proj: Linear,
    /// hidden → kv_heads · head_dim.
    pub k_proj: Linear,
    /// hidden → kv_heads · head_dim.
    pub v_proj: Linear,
    /// heads · head_dim → hidden.
    pub o_proj: Linear,
    /// Norm of the queries.
    pub q_norm: Option<Norm>,
    /// Norm of the keys.
    pub k_norm: Option<Norm>,
    /// A score for each head that takes part in its softmax beside those of the keys, `[heads]`.
    pub sinks: Option<Param<Tensor<1>>>,
    head_dim: usize,
    #[module(skip)]
    qk_norm: QkNorm,
    #[module(skip)]
    rotation: Rotation,
    #[module(skip)]
    options: AttentionOptions,
}

impl Attention {
    /// The attention that `config` describes.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        let model = &config.model;
        let (hidden, dim, std) = (model.hidden_size, model.head_dim, config.std());
        let (q_width, kv_width) = (model.num_attention_heads * dim, model.num_key_value_heads * dim);
        let eps = model.rms_norm_eps;
        let norm = |width| match model.qk_norm {
            QkNorm::None => None,
            QkNorm::Head => Some(Norm::Rms(RmsNorm::new(dim, eps, device))),
            QkNorm::Width => Some(Norm::Rms(RmsNorm::new(width, eps, device))),
            QkNorm::LayerOfHead => Some(Norm::Layer(LayerNorm::new(width, false, eps, device))),
            QkNorm::Layer => Some(Norm::Layer(LayerNorm::new(dim, true, eps, device))),
        };
        let scale = model.attention_scale.unwrap_or_else(|| 1.0 / (dim as f64).sqrt());
        Self {
            q_proj: Linear::new(hidden, q_width, model.qkv_bias, std, device),
            k_proj: Linear::new(hidden, kv_width, model.qkv_bias, std, device),
            v_proj: Linear::new(hidden, kv_width, model.qkv_bias, std, device),
            o_proj: Linear::new(q_width, hidden, model.o_bias, config.residual_std(), device),
            q_norm: norm(q_width),
            k_norm: norm(kv_width),
            sinks: model.attention_sinks.then(|| Initializer::Zeros.init([model.num_attention_heads], device)),
            head_dim: dim,
            qk_norm: model.qk_norm,
            rotation: config.rotation,
            options: AttentionOptions { scale, softcap: model.attention_softcap, window: config.sliding_window },
        }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward(&self, x: impl Into<LinearInput>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        self.o_proj.forward(self.inner(x.into(), step, cache))
    }

    /// residual + y.
    ///
    /// # Shapes
    /// - `residual` and `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward_onto(&self, residual: Tensor<3>, x: impl Into<LinearInput>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        self.o_proj.forward_onto(residual, self.inner(x.into(), step, cache))
    }

    /// `[batch, seq, hidden]` → `[batch, seq, heads · d]`.
    fn inner(&self, x: LinearInput, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let [q, k, v] = Linear::forward_three([&self.q_proj, &self.k_proj, &self.v_proj], x);
        let q = self.heads(q, &self.q_norm); // [b, s, heads, d]
        let k = self.heads(k, &self.k_norm); // [b, s, kv, d]
        let v = self.heads(v, &None);
        let turned = |x: Tensor<4>| match step.angles(self.rotation) {
            Some(angles) => ops::rope(x, angles),
            None => x,
        };
        let (q, k) = (turned(q), turned(k));
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v, &step.starts), // [b, kv, capacity, d]
            None => (Kv::Floats(k.swap_dims(1, 2)), Kv::Floats(v.swap_dims(1, 2))),
        };
        let y = match &self.sinks {
            Some(sinks) => ops::attention_with_sinks(q, k, v, sinks.val(), &step.starts, self.options),
            None => ops::attention(q, k, v, &step.starts, self.options),
        };
        let [_, _, heads, dim] = y.dims();
        y.reshape([batch, seq, heads * dim])
    }

    /// `[batch, seq, heads · d]` → `[batch, seq, heads, d]`, normed.
    fn heads(&self, x: Tensor<3>, norm: &Option<Norm>) -> Tensor<4> {
        let [batch, seq, width] = x.dims();
        let dims = [batch, seq, width / self.head_dim, self.head_dim];
        match norm {
            None => x.reshape(dims),
            Some(norm) if self.qk_norm == QkNorm::Width => norm.forward(x).reshape(dims),
            Some(norm) => norm.forward(x.reshape(dims)),
        }
    }

    /// What one operation for a whole layer takes, if all matrices are packed and it can compute what lies between them; with the angles
    /// of the rotation.
    pub(crate) fn packed<'a>(&self, step: &'a Step) -> Option<(AnyQuantAttention, &'a AnyAngles)> {
        if self.sinks.is_some() {
            return None;
        }
        let heads = |linear: &Linear, norm: &Option<Norm>| {
            let (weight, bias) = linear.affine()?;
            let norm = match norm {
                Some(norm) => Some(norm.rms()?),
                None => None,
            };
            Some(AnyQuantHeads::new(weight, bias, norm))
        };
        let qkv = [heads(&self.q_proj, &self.q_norm)?, heads(&self.k_proj, &self.k_norm)?, heads(&self.v_proj, &None)?];
        let attention = AnyQuantAttention { qkv, o: self.o_proj.packed()?, options: self.options };
        Some((attention, step.angles(self.rotation)?))
    }

    /// The matrices, by their paths within a layer that calls this `self_attn`.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        vec![
            ("self_attn.q_proj.weight".to_owned(), &mut self.q_proj.weight),
            ("self_attn.k_proj.weight".to_owned(), &mut self.k_proj.weight),
            ("self_attn.v_proj.weight".to_owned(), &mut self.v_proj.weight),
            ("self_attn.o_proj.weight".to_owned(), &mut self.o_proj.weight),
        ]
    }
}
