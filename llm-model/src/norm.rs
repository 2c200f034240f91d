//! Root mean square layer normalization.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::ops::{self, AnyInput};

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

    /// The same, to be computed by the linear maps that read it, in one operation with theirs.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, d]`.
    pub fn before(&self, x: Tensor<3>) -> LinearInput {
        LinearInput { x, norm: Some((self.weight.val(), self.eps)) }
    }
}

/// What linear maps read: a tensor, or a tensor and the norm that it passes through on the way.
#[derive(Debug, Clone)]
pub struct LinearInput {
    x: Tensor<3>,
    norm: Option<(Tensor<1>, f64)>,
}

impl From<Tensor<3>> for LinearInput {
    fn from(x: Tensor<3>) -> Self {
        Self { x, norm: None }
    }
}

impl LinearInput {
    /// `[batch, seq, d]`.
    pub fn dims(&self) -> [usize; 3] {
        self.x.dims()
    }

    /// The numbers that are read.
    ///
    /// # Shapes
    /// - `[batch, seq, d]`.
    pub fn tensor(self) -> Tensor<3> {
        match self.norm {
            Some((gamma, eps)) => ops::rms_norm(self.x, gamma, eps),
            None => self.x,
        }
    }

    /// For an operation.
    pub(crate) fn any(self) -> AnyInput {
        match self.norm {
            Some((gamma, eps)) => AnyInput::normed(self.x, gamma, eps),
            None => AnyInput::plain(self.x),
        }
    }
}
