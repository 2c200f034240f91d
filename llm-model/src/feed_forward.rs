//! Feed-forward layers.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

use crate::ops::{self, AnyQuantFeedForward};
use crate::{Activation, ClippedGate, Experts, LayerConfig, Linear, LinearInput, MlpType, Weight};

/// y = down(act(gate(x)) · up(x)) (Shazeer, GLU Variants Improve Transformer).
///
/// A [`crate::TransformerBlock`] whose matrices are packed does the same in [`ops::LlmBackend::quant_layer`].
#[derive(Module, Debug)]
pub struct FeedForward {
    /// hidden → intermediate, activated.
    pub gate_proj: Linear,
    /// hidden → intermediate.
    pub up_proj: Linear,
    /// intermediate → hidden.
    pub down_proj: Linear,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    clipped: Option<ClippedGate>,
}

impl FeedForward {
    /// The feed-forward layer that `config` describes.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        Self::of_width(config, config.model.intermediate_size, device)
    }

    /// The same with another width inside.
    pub fn of_width(config: &LayerConfig, inner: usize, device: &Device) -> Self {
        let model = &config.model;
        let (hidden, bias) = (model.hidden_size, model.mlp_bias);
        Self {
            gate_proj: Linear::new(hidden, inner, bias, config.std(), device),
            up_proj: Linear::new(hidden, inner, bias, config.std(), device),
            down_proj: Linear::new(inner, hidden, bias, config.residual_std(), device),
            activation: model.hidden_act,
            clipped: model.clipped_gate,
        }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward(&self, x: impl Into<LinearInput>) -> Tensor<3> {
        self.down_proj.forward(self.inner(x.into()))
    }

    /// residual + y.
    ///
    /// # Shapes
    /// - `residual` and `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward_onto(&self, residual: Tensor<3>, x: impl Into<LinearInput>) -> Tensor<3> {
        self.down_proj.forward_onto(residual, self.inner(x.into()))
    }

    /// `[batch, seq, hidden]` → `[batch, seq, intermediate]`.
    fn inner(&self, x: LinearInput) -> Tensor<3> {
        let Some(ClippedGate { alpha, limit }) = self.clipped else {
            return Linear::forward_gated(&self.gate_proj, &self.up_proj, self.activation, x);
        };
        let x = x.tensor();
        let (gate, up) = (self.gate_proj.forward(x.clone()).clamp_max(limit), self.up_proj.forward(x).clamp(-limit, limit));
        gate.clone() * sigmoid(gate * alpha) * (up + 1.0)
    }

    /// What one operation for a whole layer takes, if all matrices are packed and it can compute what lies between them.
    pub(crate) fn packed(&self) -> Option<AnyQuantFeedForward> {
        if self.clipped.is_some() {
            return None;
        }
        let [gate, up, down] = [self.gate_proj.packed()?, self.up_proj.packed()?, self.down_proj.packed()?];
        Some(AnyQuantFeedForward { gate, up, down, activation: self.activation })
    }

    /// The matrices, by their paths within a layer that has this at `path`.
    pub fn weights_mut(&mut self, path: &str) -> Vec<(String, &mut Weight)> {
        vec![
            (format!("{path}.gate_proj.weight"), &mut self.gate_proj.weight),
            (format!("{path}.up_proj.weight"), &mut self.up_proj.weight),
            (format!("{path}.down_proj.weight"), &mut self.down_proj.weight),
        ]
    }
}

/// y = c_proj(act(c_fc(x))) (GPT-2).
#[derive(Module, Debug)]
pub struct PlainFeedForward {
    /// hidden → intermediate.
    pub c_fc: Linear,
    /// intermediate → hidden.
    pub c_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

impl PlainFeedForward {
    /// The feed-forward layer that `config` describes.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        let model = &config.model;
        let (hidden, inner, bias) = (model.hidden_size, model.intermediate_size, model.mlp_bias);
        Self {
            c_fc: Linear::new(hidden, inner, bias, config.std(), device),
            c_proj: Linear::new(inner, hidden, bias, config.residual_std(), device),
            activation: model.hidden_act,
        }
    }

    /// `[batch, seq, hidden]` → `[batch, seq, intermediate]`.
    fn inner(&self, x: LinearInput) -> Tensor<3> {
        ops::activation(self.c_fc.forward(x.tensor()), self.activation)
    }
}

/// The feed-forward layer that a model has.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a layer has one, beside which its size is nothing")]
pub enum Mlp {
    /// Two maps in, one of which opens and closes the other.
    Gated(FeedForward),
    /// One map in.
    Plain(PlainFeedForward),
    /// Several, of which a token passes a few.
    Experts(Experts),
}

impl Mlp {
    /// The feed-forward layer that `config` describes.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        let dense = config.model.experts.as_ref().is_some_and(|experts| experts.dense_layers.contains(&config.index));
        match config.model.mlp {
            MlpType::Experts if !dense => Self::Experts(Experts::new(config, device)),
            MlpType::Gated | MlpType::Experts => Self::Gated(FeedForward::new(config, device)),
            MlpType::Plain => Self::Plain(PlainFeedForward::new(config, device)),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward(&self, x: impl Into<LinearInput>) -> Tensor<3> {
        match self {
            Self::Gated(mlp) => mlp.forward(x),
            Self::Plain(mlp) => mlp.c_proj.forward(mlp.inner(x.into())),
            Self::Experts(mlp) => mlp.forward(x),
        }
    }

    /// residual + y.
    ///
    /// # Shapes
    /// - `residual` and `x`: `[batch, seq, hidden]`; the same out.
    pub fn forward_onto(&self, residual: Tensor<3>, x: impl Into<LinearInput>) -> Tensor<3> {
        match self {
            Self::Gated(mlp) => mlp.forward_onto(residual, x),
            Self::Plain(mlp) => mlp.c_proj.forward_onto(residual, mlp.inner(x.into())),
            Self::Experts(mlp) => residual + mlp.forward(x),
        }
    }

    /// The matrices, by their paths within a layer that calls this `mlp`.
    pub fn weights_mut(&mut self) -> Vec<(String, &mut Weight)> {
        match self {
            Self::Gated(mlp) => mlp.weights_mut("mlp"),
            Self::Experts(mlp) => mlp.weights_mut(),
            Self::Plain(mlp) => {
                vec![("mlp.c_fc.weight".to_owned(), &mut mlp.c_fc.weight), ("mlp.c_proj.weight".to_owned(), &mut mlp.c_proj.weight)]
            }
        }
    }
}
