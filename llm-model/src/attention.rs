//! Multi-head attention with grouped key and value heads.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::ops::{self, AttentionOptions, Kv};
use crate::{LayerCache, LayerConfig, Linear, LinearInput, RmsNorm, Step};

/// Attention of a decoder layer: project, norm the heads if asked, rotate, attend over the cache, project back.
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
    /// Norm of each query head.
    pub q_norm: Option<RmsNorm>,
    /// Norm of each key head.
    pub k_norm: Option<RmsNorm>,
    head_dim: usize,
    #[module(skip)]
    options: AttentionOptions,
}

impl Attention {
    /// The attention that `config` describes.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        let model = &config.model;
        let (hidden, dim, std) = (model.hidden_size, model.head_dim, config.std());
        let (q_width, kv_width) = (model.num_attention_heads * dim, model.num_key_value_heads * dim);
        let norm = || model.qk_norm.then(|| RmsNorm::new(dim, model.rms_norm_eps, device));
        Self {
            q_proj: Linear::new(hidden, q_width, model.qkv_bias, std, device),
            k_proj: Linear::new(hidden, kv_width, model.qkv_bias, std, device),
            v_proj: Linear::new(hidden, kv_width, model.qkv_bias, std, device),
            o_proj: Linear::new(q_width, hidden, model.o_bias, config.residual_std(), device),
            q_norm: norm(),
            k_norm: norm(),
            head_dim: dim,
            options: AttentionOptions { scale: 1.0 / (dim as f64).sqrt(), softcap: None, window: config.sliding_window },
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
        let q = ops::rope(q, step.cos.clone(), step.sin.clone());
        let k = ops::rope(k, step.cos.clone(), step.sin.clone());
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v, &step.starts), // [b, kv, capacity, d]
            None => (Kv::Floats(k.swap_dims(1, 2)), Kv::Floats(v.swap_dims(1, 2))),
        };
        let y = ops::attention(q, k, v, &step.starts, self.options);
        let [_, _, heads, dim] = y.dims();
        y.reshape([batch, seq, heads * dim])
    }

    /// `[batch, seq, heads · d]` → `[batch, seq, heads, d]`, each head normed.
    fn heads(&self, x: Tensor<3>, norm: &Option<RmsNorm>) -> Tensor<4> {
        let [batch, seq, width] = x.dims();
        let x = x.reshape([batch, seq, width / self.head_dim, self.head_dim]);
        match norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}
