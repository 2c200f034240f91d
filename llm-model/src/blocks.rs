//! The layers of other families, made of the same parts as [`TransformerBlock`], and the choice among all of them.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::block::{GATED, PLAIN, QKV, UP, VALUES};
use crate::{Attention, DecoderLayer, Folding, LayerCache, LayerConfig, LayerType, Mlp, ModelConfig, Norm, Step, TransformerBlock, Weight};

/// What is done with the layer type of a model.
pub trait LayerVisitor {
    /// What comes of it.
    type Output;

    /// Called with the type of the layers.
    fn visit<L: DecoderLayer>(self) -> Self::Output;
}

/// Calls `visitor` with the type of the layers that `config` asks for: the one place where it is chosen.
pub fn visit_layer<V: LayerVisitor>(config: &ModelConfig, visitor: V) -> V::Output {
    match config.layer {
        LayerType::PreNorm => visitor.visit::<TransformerBlock>(),
        LayerType::Sandwich => visitor.visit::<SandwichBlock>(),
        LayerType::PostNorm => visitor.visit::<PostNormBlock>(),
        LayerType::Parallel | LayerType::ParallelTwoNorms => visitor.visit::<ParallelBlock>(),
    }
}

/// Norms before and after (Gemma 2 and 3, GLM 4): x + norm(attention(norm(x))), then x + norm(feed_forward(norm(x))).
#[derive(Module, Debug)]
pub struct SandwichBlock {
    /// Norm before attention.
    pub input_layernorm: Norm,
    /// Attention.
    pub self_attn: Attention,
    /// Norm after attention.
    pub post_attention_layernorm: Norm,
    /// Norm before the feed-forward layer.
    pub pre_feedforward_layernorm: Norm,
    /// Feed-forward layer.
    pub mlp: Mlp,
    /// Norm after the feed-forward layer.
    pub post_feedforward_layernorm: Norm,
}

impl DecoderLayer for SandwichBlock {
    fn init(config: &LayerConfig, device: &Device) -> Self {
        let norm = || Norm::new(&config.model, device);
        Self {
            input_layernorm: norm(),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: norm(),
            pre_feedforward_layernorm: norm(),
            mlp: Mlp::new(config, device),
            post_feedforward_layernorm: norm(),
        }
    }

    fn forward(&self, x: Tensor<3>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let y = self.self_attn.forward(self.input_layernorm.before(x.clone()), step, cache); // [b, s, hidden]
        let x = x + self.post_attention_layernorm.forward(y);
        let y = self.mlp.forward(self.pre_feedforward_layernorm.before(x.clone()));
        x + self.post_feedforward_layernorm.forward(y)
    }

    fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        self.self_attn.weights_mut().into_iter().chain(self.mlp.weights_mut()).collect()
    }

    fn foldings() -> &'static [Folding] {
        &[
            Folding { producer: "input_layernorm.weight", consumers: QKV },
            VALUES,
            Folding { producer: "pre_feedforward_layernorm.weight", consumers: GATED },
            UP,
        ]
    }
}

/// Norms after (OLMo 2): x + norm(attention(x)), then x + norm(feed_forward(x)).
#[derive(Module, Debug)]
pub struct PostNormBlock {
    /// Attention.
    pub self_attn: Attention,
    /// Norm after attention.
    pub post_attention_layernorm: Norm,
    /// Feed-forward layer.
    pub mlp: Mlp,
    /// Norm after the feed-forward layer.
    pub post_feedforward_layernorm: Norm,
}

impl DecoderLayer for PostNormBlock {
    fn init(config: &LayerConfig, device: &Device) -> Self {
        Self {
            self_attn: Attention::new(config, device),
            post_attention_layernorm: Norm::new(&config.model, device),
            mlp: Mlp::new(config, device),
            post_feedforward_layernorm: Norm::new(&config.model, device),
        }
    }

    fn forward(&self, x: Tensor<3>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let x = x.clone() + self.post_attention_layernorm.forward(self.self_attn.forward(x, step, cache)); // [b, s, hidden]
        x.clone() + self.post_feedforward_layernorm.forward(self.mlp.forward(x))
    }

    fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        self.self_attn.weights_mut().into_iter().chain(self.mlp.weights_mut()).collect()
    }

    fn foldings() -> &'static [Folding] {
        &[VALUES, UP]
    }
}

/// Attention and feed-forward side by side (Cohere, GPT-NeoX): x + attention(norm(x)) + feed_forward(norm(x)).
#[derive(Module, Debug)]
pub struct ParallelBlock {
    /// Norm before attention, and before the feed-forward layer unless that has its own.
    pub input_layernorm: Norm,
    /// Attention.
    pub self_attn: Attention,
    /// Norm before the feed-forward layer.
    pub post_attention_layernorm: Option<Norm>,
    /// Feed-forward layer.
    pub mlp: Mlp,
}

impl DecoderLayer for ParallelBlock {
    fn init(config: &LayerConfig, device: &Device) -> Self {
        let second = config.model.layer == LayerType::ParallelTwoNorms;
        Self {
            input_layernorm: Norm::new(&config.model, device),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: second.then(|| Norm::new(&config.model, device)),
            mlp: Mlp::new(config, device),
        }
    }

    fn forward(&self, x: Tensor<3>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let first = self.input_layernorm.before(x.clone()); // [b, s, hidden]
        let second = self.post_attention_layernorm.as_ref().map_or_else(|| first.clone(), |norm| norm.before(x.clone()));
        let x = self.self_attn.forward_onto(x, first, step, cache);
        self.mlp.forward_onto(x, second)
    }

    fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        self.self_attn.weights_mut().into_iter().chain(self.mlp.weights_mut()).collect()
    }

    // With one norm nothing may move out of it: attention and feed-forward read it both.
    fn foldings() -> &'static [Folding] {
        &[
            VALUES,
            Folding { producer: "post_attention_layernorm.weight", consumers: GATED },
            Folding { producer: "post_attention_layernorm.weight", consumers: PLAIN },
            UP,
        ]
    }
}
