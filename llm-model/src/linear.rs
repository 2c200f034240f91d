//! y = x · wᵀ + b.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::{Activation, Weight, ops};

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
        self.finish(self.weight.project(x.reshape([batch * seq, inputs])), [batch, seq])
    }

    /// Three maps of the same `x`, which read it once.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out for each.
    pub fn forward_three(all: [&Self; 3], x: Tensor<3>) -> [Tensor<3>; 3] {
        let [batch, seq, inputs] = x.dims();
        let x = x.reshape([batch * seq, inputs]);
        let weights = all.map(|linear| linear.weight.before(&x));
        let [a, b, c] = ops::linear_three(x, weights);
        [all[0].finish(a, [batch, seq]), all[1].finish(b, [batch, seq]), all[2].finish(c, [batch, seq])]
    }

    /// act(gate(x)) · up(x).
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out.
    pub fn forward_gated(gate: &Self, up: &Self, activation: Activation, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, inputs] = x.dims();
        if gate.bias.is_some() || up.bias.is_some() {
            return ops::gated(gate.forward(x.clone()), up.forward(x), activation);
        }
        let x = x.reshape([batch * seq, inputs]);
        let (gate, up) = (gate.weight.before(&x), up.weight.before(&x));
        let y = ops::gated_linear(x, gate, up, activation);
        let outputs = y.dims()[1];
        y.reshape([batch, seq, outputs])
    }

    /// `[batch · seq, out]` with the bias as `[batch, seq, out]`.
    fn finish(&self, y: Tensor<2>, [batch, seq]: [usize; 2]) -> Tensor<3> {
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        };
        let outputs = y.dims()[1];
        y.reshape([batch, seq, outputs])
    }
}
