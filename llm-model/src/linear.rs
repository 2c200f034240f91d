//! y = x · wᵀ + b.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::Weight;

/// An affine map.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Weight,
    /// `[out]`, f32.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Weights drawn from N(0, std²), biases 0; made when first used.
    pub fn new(inputs: usize, outputs: usize, bias: bool, std: f64, device: &Device) -> Self {
        Self { weight: Weight::normal(outputs, inputs, std, device), bias: bias.then(|| Initializer::Zeros.init([outputs], device)) }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, inputs] = x.dims();
        let y = self.weight.project(x.reshape([batch * seq, inputs]));
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        };
        let outputs = y.dims()[1];
        y.reshape([batch, seq, outputs])
    }
}
