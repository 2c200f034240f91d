//! y = x · wᵀ + b.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::cached::Cached;
use crate::ops::{self, AnyBias, AnyQuant};
use crate::{Activation, LinearInput, Weight};

/// An affine map.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Weight,
    /// `[out]`, f32.
    bias: Option<Param<Tensor<1>>>,
    bias_handle: Cached<AnyBias>,
}

impl Linear {
    /// Weights drawn from N(0, std²), biases 0; made when first used.
    pub fn new(inputs: usize, outputs: usize, bias: bool, std: f64, device: &Device) -> Self {
        Self {
            weight: Weight::normal(outputs, inputs, std, device),
            bias: bias.then(|| Initializer::Zeros.init([outputs], device)),
            bias_handle: Cached::default(),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, inputs] = x.dims();
        let y = self.weight.project(x.reshape([batch * seq, inputs]));
        let outputs = y.dims()[1];
        self.finish(y.reshape([batch, seq, outputs]))
    }

    /// residual + x · wᵀ + b.
    ///
    /// # Shapes
    /// - `residual`: `[batch, seq, out]`, `x`: `[batch, seq, in]`; as `residual` out.
    pub fn forward_onto(&self, residual: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        let weight = self.weight.reading(|| x.clone());
        self.finish(ops::linear_onto(residual, x, weight))
    }

    /// Three maps of the same `x`, which read it once.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out for each.
    pub fn forward_three(all: [&Self; 3], x: LinearInput) -> [Tensor<3>; 3] {
        let weights = all.map(|linear| linear.weight.reading(|| x.clone().tensor()));
        let [a, b, c] = ops::linear_three(x.any(), weights);
        [all[0].finish(a), all[1].finish(b), all[2].finish(c)]
    }

    /// act(gate(x)) · up(x).
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out.
    pub fn forward_gated(gate: &Self, up: &Self, activation: Activation, x: LinearInput) -> Tensor<3> {
        if gate.bias.is_some() || up.bias.is_some() {
            let x = x.tensor();
            return ops::gated(gate.forward(x.clone()), up.forward(x), activation);
        }
        let [left, right] = [gate, up].map(|linear| linear.weight.reading(|| x.clone().tensor()));
        ops::gated_linear(x.any(), left, right, activation)
    }

    /// The matrix, if it is packed, and the bias.
    pub(crate) fn affine(&self) -> Option<(AnyQuant, Option<AnyBias>)> {
        let Weight::Quantized(weight) = &self.weight else { return None };
        let bias = self.bias.as_ref().map(|bias| self.bias_handle.get(|| AnyBias::new(bias.val())));
        Some((weight.any(), bias))
    }

    /// The matrix, if it is packed and there is no bias.
    pub(crate) fn packed(&self) -> Option<AnyQuant> {
        self.affine().and_then(|(matrix, bias)| bias.is_none().then_some(matrix))
    }

    /// With the bias.
    fn finish(&self, y: Tensor<3>) -> Tensor<3> {
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}
