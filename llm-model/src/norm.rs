//! Normalization: by the root mean square, or by mean and variance.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};

use crate::cached::Cached;
use crate::ops::{self, AnyInput, AnyNorm};
use crate::{ModelConfig, NormType};

/// y = γ · x / √(mean(x²) + ε) over the last dimension.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// γ, `[d]`, f32.
    weight: Param<Tensor<1>>,
    /// ε.
    eps: f64,
    handle: Cached<AnyNorm>,
}

impl RmsNorm {
    /// γ = 1 over `width` numbers.
    pub fn new(width: usize, eps: f64, device: &Device) -> Self {
        Self { weight: Initializer::Ones.init([width], device), eps, handle: Cached::default() }
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

    /// What an operation takes that norms on the way.
    fn any(&self) -> AnyNorm {
        self.handle.get(|| AnyNorm::new(self.weight.val(), self.eps))
    }
}

/// y = γ · (x − mean(x)) / √(var(x) + ε) + β over the last dimension.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// γ, `[d]`, or `[k · d]` where each of `k` heads has its own; f32.
    pub weight: Param<Tensor<1>>,
    /// β, `[d]`, f32.
    pub bias: Option<Param<Tensor<1>>>,
    /// ε.
    pub eps: f64,
}

impl LayerNorm {
    /// γ = 1 over `width` numbers, β = 0 if there is one.
    pub fn new(width: usize, bias: bool, eps: f64, device: &Device) -> Self {
        let bias = bias.then(|| Initializer::Zeros.init([width], device));
        Self { weight: Initializer::Ones.init([width], device), bias, eps }
    }

    /// # Shapes
    /// - `x`: `[.., d]`, or `[.., k, d]` where each head has its own γ; as `x` out.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let y = ops::layer_norm(x, self.weight.val(), self.eps);
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}

/// The norm that a model has.
#[derive(Module, Debug)]
pub enum Norm {
    /// By the root mean square.
    Rms(RmsNorm),
    /// By mean and variance.
    Layer(LayerNorm),
}

impl Norm {
    /// A norm of the residual stream of `config`.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let (width, eps) = (config.hidden_size, config.rms_norm_eps);
        match config.norm {
            NormType::Rms => Self::Rms(RmsNorm::new(width, eps, device)),
            NormType::Layer => Self::Layer(LayerNorm::new(width, false, eps, device)),
            NormType::LayerBias => Self::Layer(LayerNorm::new(width, true, eps, device)),
        }
    }

    /// # Shapes
    /// - `x`: `[.., d]`; as `x` out.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Rms(norm) => norm.forward(x),
            Self::Layer(norm) => norm.forward(x),
        }
    }

    /// The same for linear maps, which compute an RMS norm themselves.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, d]`.
    pub fn before(&self, x: Tensor<3>) -> LinearInput {
        match self {
            Self::Rms(norm) => norm.before(x),
            Self::Layer(norm) => norm.forward(x).into(),
        }
    }

    /// What an operation takes that norms by the root mean square on the way.
    pub(crate) fn rms(&self) -> Option<AnyNorm> {
        match self {
            Self::Rms(norm) => Some(norm.any()),
            Self::Layer(_) => None,
        }
    }

    /// γ.
    pub fn weight(&self) -> &Param<Tensor<1>> {
        match self {
            Self::Rms(norm) => &norm.weight,
            Self::Layer(norm) => &norm.weight,
        }
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
