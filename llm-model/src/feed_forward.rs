//! The gated feed-forward layer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::{Activation, LayerConfig, Linear, LinearInput};

/// y = down(act(gate(x)) · up(x)) (Shazeer, GLU Variants Improve Transformer).
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
}

impl FeedForward {
    /// The feed-forward layer that `config` describes.
    pub fn new(config: &LayerConfig, device: &Device) -> Self {
        let model = &config.model;
        let (hidden, inner, bias) = (model.hidden_size, model.intermediate_size, model.mlp_bias);
        Self {
            gate_proj: Linear::new(hidden, inner, bias, config.std(), device),
            up_proj: Linear::new(hidden, inner, bias, config.std(), device),
            down_proj: Linear::new(inner, hidden, bias, config.residual_std(), device),
            activation: model.hidden_act,
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
        Linear::forward_gated(&self.gate_proj, &self.up_proj, self.activation, x)
    }
}
