//! y = x · wᵀ + b.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{DType, Device, Tensor};

use crate::ops;

/// An affine map with its weight as checkpoints store it, `[out, in]`, in f32, f16 or bf16.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`, f32.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Weights drawn from N(0, std²), biases 0; made when first used.
    pub fn new(inputs: usize, outputs: usize, bias: bool, std: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Normal { mean: 0.0, std }.init([outputs, inputs], device),
            bias: bias.then(|| Initializer::Zeros.init([outputs], device)),
        }
    }

    /// # Shapes
    /// - `x`: `[batch, seq, in]`; `[batch, seq, out]` out.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, inputs] = x.dims();
        let y = project(x.reshape([batch * seq, inputs]), self.weight.val());
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        };
        let outputs = y.dims()[1];
        y.reshape([batch, seq, outputs])
    }
}

/// x · wᵀ; also the head of a model whose head is its embedding.
///
/// # Shapes
/// - `x`: `[rows, in]`, `weight`: `[out, in]`; `[rows, out]` out.
pub(crate) fn project(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    debug_assert_eq!(x.dtype(), DType::F32, "activations are f32");
    ops::linear(x, weight)
}
