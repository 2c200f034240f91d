//! One decoder layer, and the trait by which another one takes its place.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};

use crate::{Attention, FeedForward, LayerCache, LayerConfig, RmsNorm, Weight};

/// What all layers of one forward pass share.
#[derive(Debug, Clone)]
pub struct Step {
    /// For each row of the batch, the positions that its cache holds already.
    pub starts: Vec<usize>,
    /// Cosines of the rotary embedding, `[batch, seq, half]`.
    pub cos: Tensor<3>,
    /// Sines of the rotary embedding, `[batch, seq, half]`.
    pub sin: Tensor<3>,
}

/// Matrices of a layer whose inputs all come from one place, so that a factor for each input can move from there into them.
///
/// Dividing the outputs of `producer` and multiplying the columns of all `consumers` by the same factors changes no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folding {
    /// The weight of a norm, or a matrix whose rows are these inputs; nothing else may read what it yields.
    pub producer: &'static str,
    /// Matrices.
    pub consumers: &'static [&'static str],
}

/// A layer of a [`crate::Transformer`]; implement it to change the architecture and keep loader, generator and server.
///
/// Parameters are loaded by their path: a field `self_attn` with a field `q_proj` reads `model.layers.N.self_attn.q_proj.weight`.
pub trait DecoderLayer: Module + ModuleDisplay + std::fmt::Debug + Send + Sync + 'static {
    /// A layer with fresh weights.
    fn init(config: &LayerConfig, device: &Device) -> Self;

    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`; the same out.
    fn forward(&self, x: Tensor<3>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3>;

    /// The matrices that can be quantized, by the path of their parameters within the layer; a layer that names none stays in floats.
    fn weights_mut(&mut self) -> Vec<(&'static str, &mut Weight)> {
        Vec::new()
    }

    /// Where factors can be moved between weights, by the paths of [`DecoderLayer::weights_mut`]; none where nothing is known.
    fn foldings() -> &'static [Folding] {
        &[]
    }
}

/// The layer of Llama and its relatives: x + attention(norm(x)), then x + feed_forward(norm(x)).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    /// Norm before attention.
    pub input_layernorm: RmsNorm,
    /// Attention.
    pub self_attn: Attention,
    /// Norm before the feed-forward layer.
    pub post_attention_layernorm: RmsNorm,
    /// Feed-forward layer.
    pub mlp: FeedForward,
}

impl DecoderLayer for TransformerBlock {
    fn init(config: &LayerConfig, device: &Device) -> Self {
        let norm = || RmsNorm::new(config.model.hidden_size, config.model.rms_norm_eps, device);
        Self {
            input_layernorm: norm(),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: norm(),
            mlp: FeedForward::new(config, device),
        }
    }

    fn forward(&self, x: Tensor<3>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let x = self.self_attn.forward_onto(x.clone(), self.input_layernorm.before(x), step, cache);
        self.mlp.forward_onto(x.clone(), self.post_attention_layernorm.before(x))
    }

    fn weights_mut(&mut self) -> Vec<(&'static str, &mut Weight)> {
        let (attention, mlp) = (&mut self.self_attn, &mut self.mlp);
        vec![
            ("self_attn.q_proj.weight", &mut attention.q_proj.weight),
            ("self_attn.k_proj.weight", &mut attention.k_proj.weight),
            ("self_attn.v_proj.weight", &mut attention.v_proj.weight),
            ("self_attn.o_proj.weight", &mut attention.o_proj.weight),
            ("mlp.gate_proj.weight", &mut mlp.gate_proj.weight),
            ("mlp.up_proj.weight", &mut mlp.up_proj.weight),
            ("mlp.down_proj.weight", &mut mlp.down_proj.weight),
        ]
    }

    fn foldings() -> &'static [Folding] {
        &[
            Folding {
                producer: "input_layernorm.weight",
                consumers: &["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"],
            },
            // Only where each head has values of its own: the shapes tell.
            Folding { producer: "self_attn.v_proj.weight", consumers: &["self_attn.o_proj.weight"] },
            Folding { producer: "post_attention_layernorm.weight", consumers: &["mlp.gate_proj.weight", "mlp.up_proj.weight"] },
            Folding { producer: "mlp.up_proj.weight", consumers: &["mlp.down_proj.weight"] },
        ]
    }
}
