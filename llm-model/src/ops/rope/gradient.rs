//! The gradient as one operation: a rotation is undone by the opposite one.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::{Autodiff, tensor::FloatTensor};

use crate::ops::LlmBackend;
use crate::ops::gradient::tracked;

/// The tracked operation; the angles are no parameters.
pub fn autodiff<B: LlmBackend, C: CheckpointStrategy>(
    x: FloatTensor<Autodiff<B, C>>,
    cos: FloatTensor<Autodiff<B, C>>,
    sin: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let inputs = [x.node()];
    let (x, cos, sin) = (x.into_primitive(), cos.into_primitive(), sin.into_primitive());
    tracked::<B, C, 1>(inputs, B::rope(x, cos.clone(), sin.clone()), move |grad| [B::rope(grad, cos.clone(), B::float_neg(sin.clone()))])
}
