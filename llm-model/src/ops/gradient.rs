//! Operations whose gradient is one operation, too: autodiff of a portable body keeps and passes over a tensor for each of its steps.

use std::fmt;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::{Autodiff, Backend, tensor::FloatTensor};

/// `out` as the result of an operation on `inputs`; `gradients` makes theirs from the one of `out`.
pub fn tracked<B: Backend, C: CheckpointStrategy, const N: usize>(
    inputs: [NodeGuard; N],
    out: FloatTensor<B>,
    gradients: impl Fn(FloatTensor<B>) -> [FloatTensor<B>; N] + Send + Sync + 'static,
) -> FloatTensor<Autodiff<B, C>> {
    match Operation.prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(Rule(Arc::new(gradients)), out),
        OpsKind::UnTracked(prep) => prep.finish(out),
    }
}

#[derive(Debug)]
struct Operation;

/// From the gradient of the result to those of the `N` inputs.
struct Rule<B: Backend, const N: usize>(Arc<dyn Fn(FloatTensor<B>) -> [FloatTensor<B>; N] + Send + Sync>);

impl<B: Backend, const N: usize> Clone for Rule<B, N> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Backend, const N: usize> fmt::Debug for Rule<B, N> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Rule")
    }
}

impl<B: Backend, const N: usize> Backward<B, N> for Operation {
    type State = Rule<B, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let inputs = (ops.state.0)(grads.consume::<B>(&ops.node));
        for (parent, gradient) in ops.parents.into_iter().zip(inputs) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}
