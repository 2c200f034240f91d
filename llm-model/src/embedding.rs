//! Rows of a table by token id.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::Weight;

/// The token embedding, which is also the head of a model with tied weights.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub weight: Weight,
}

impl Embedding {
    /// Rows drawn from N(0, std²); made when first used.
    pub fn new(rows: usize, width: usize, std: f64, device: &Device) -> Self {
        Self { weight: Weight::normal(rows, width, std, device) }
    }

    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, seq, hidden]` in f32 out.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let rows = self.weight.rows(tokens.reshape([batch * seq]));
        let width = rows.dims()[1];
        rows.reshape([batch, seq, width])
    }
}
