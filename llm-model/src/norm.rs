//! Root mean square layer normalization.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::ops;

/// y = γ · x / √(mean(x²) + ε) over the last dimension.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// γ, `[d]`, f32.
    pub weight: Param<Tensor<1>>,
    /// ε.
    pub eps: f64,
}

impl RmsNorm {
    /// γ = 1 over `width` numbers.
    pub fn new(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: Initializer::Ones.init([width], device), eps }
    }

    /// # Shapes
    /// - `x`: `[.., d]`; as `x` out.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        ops::rms_norm(x, self.weight.val(), self.eps)
    }
}
