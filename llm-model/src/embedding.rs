//! Rows of a table by token id.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{DType, Device, Int, Tensor};

/// The token embedding, which is also the head of a model with tied weights.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// Rows drawn from N(0, std²); made when first used.
    pub fn new(rows: usize, width: usize, std: f64, device: &Device) -> Self {
        Self { weight: Initializer::Normal { mean: 0.0, std }.init([rows, width], device) }
    }

    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, seq, hidden]` in f32 out.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let rows = self.weight.val().select(0, tokens.reshape([batch * seq]));
        let rows = if rows.dtype() == DType::F32 { rows } else { rows.cast(DType::F32) };
        let width = rows.dims()[1];
        rows.reshape([batch, seq, width])
    }
}
