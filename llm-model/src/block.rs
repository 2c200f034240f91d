//! One decoder layer, and the trait by which another one takes its place.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};

use crate::ops::{AnyAngles, AnyQuantLayer};
use crate::{Attention, LayerCache, LayerConfig, Mlp, Norm, RopeConfig, Rotation, Weight};

/// What all layers of one forward pass share.
#[derive(Debug, Clone)]
pub struct Step {
    /// For each row of the batch, the positions that its cache holds already.
    pub starts: Vec<usize>,
    /// Angles of the rotary embedding.
    pub angles: AnyAngles,
    /// Angles of the layers with [`Rotation::Local`].
    pub local: Option<AnyAngles>,
}

impl Step {
    /// The next `seq` positions of sequences that stand at `starts`; `lengths` as in [`crate::Transformer::forward_step`].
    pub fn new(rope: &RopeConfig, local: Option<&RopeConfig>, starts: Vec<usize>, lengths: &[usize], seq: usize, device: &Device) -> Self {
        let angles = rope.angles(&starts, lengths, seq, device);
        let local = local.map(|rope| rope.angles(&starts, lengths, seq, device));
        Self { starts, angles, local }
    }

    /// Angles for a layer.
    pub fn angles(&self, rotation: Rotation) -> Option<&AnyAngles> {
        match rotation {
            Rotation::Global => Some(&self.angles),
            Rotation::Local => self.local.as_ref(),
            Rotation::None => None,
        }
    }
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
    fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        Vec::new()
    }

    /// Where factors can be moved between weights, by the paths of [`DecoderLayer::weights_mut`]; none where nothing is known, and
    /// one whose parts a layer lacks is passed over.
    fn foldings() -> &'static [Folding] {
        &[]
    }
}

/// The layer of Llama and its relatives: x + attention(norm(x)), then x + feed_forward(norm(x)).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    /// Norm before attention.
    pub input_layernorm: Norm,
    /// Attention.
    pub self_attn: Attention,
    /// Norm before the feed-forward layer.
    pub post_attention_layernorm: Norm,
    /// Feed-forward layer.
    pub mlp: Mlp,
    /// Factor on what is added to x (Granite).
    residual_multiplier: Option<f64>,
}

impl TransformerBlock {
    /// The layer for one operation, with the angles of its rotation: if all matrices are packed, and it is of the plain kind.
    fn packed<'a>(&self, step: &'a Step) -> Option<(AnyQuantLayer, &'a AnyAngles)> {
        let (Mlp::Gated(mlp), None) = (&self.mlp, self.residual_multiplier) else { return None };
        let (attention, angles) = self.self_attn.packed(step)?;
        let (before, between) = (self.input_layernorm.rms()?, self.post_attention_layernorm.rms()?);
        Some((AnyQuantLayer::new((before, attention), (between, mlp.packed()?)), angles))
    }
}

impl DecoderLayer for TransformerBlock {
    fn init(config: &LayerConfig, device: &Device) -> Self {
        Self {
            input_layernorm: Norm::new(&config.model, device),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: Norm::new(&config.model, device),
            mlp: Mlp::new(config, device),
            residual_multiplier: config.model.residual_multiplier,
        }
    }

    fn forward(&self, x: Tensor<3>, step: &Step, mut cache: Option<&mut LayerCache>) -> Tensor<3> {
        if let Some(cache) = cache.as_deref_mut()
            && let Some((layer, angles)) = self.packed(step)
        {
            return cache.pass(x, layer, angles, &step.starts);
        }
        if let Some(factor) = self.residual_multiplier {
            let x = x.clone() + self.self_attn.forward(self.input_layernorm.before(x), step, cache) * factor;
            return x.clone() + self.mlp.forward(self.post_attention_layernorm.before(x)) * factor;
        }
        let x = self.self_attn.forward_onto(x.clone(), self.input_layernorm.before(x), step, cache);
        self.mlp.forward_onto(x.clone(), self.post_attention_layernorm.before(x))
    }

    fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        self.self_attn.weights_mut().into_iter().chain(self.mlp.weights_mut()).collect()
    }

    fn foldings() -> &'static [Folding] {
        &[
            Folding { producer: "input_layernorm.weight", consumers: QKV },
            VALUES,
            Folding { producer: "post_attention_layernorm.weight", consumers: GATED },
            Folding { producer: "post_attention_layernorm.weight", consumers: PLAIN },
            UP,
        ]
    }
}

/// What reads the input of attention.
pub(crate) const QKV: &[&str] = &["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"];
/// What reads the input of a gated feed-forward layer.
pub(crate) const GATED: &[&str] = &["mlp.gate_proj.weight", "mlp.up_proj.weight"];
/// What reads the input of a plain feed-forward layer.
pub(crate) const PLAIN: &[&str] = &["mlp.c_fc.weight"];
/// From values to attention's output; only where each head has values of its own: the shapes tell.
pub(crate) const VALUES: Folding = Folding { producer: "self_attn.v_proj.weight", consumers: &["self_attn.o_proj.weight"] };
/// Through a gated feed-forward layer.
pub(crate) const UP: Folding = Folding { producer: "mlp.up_proj.weight", consumers: &["mlp.down_proj.weight"] };
