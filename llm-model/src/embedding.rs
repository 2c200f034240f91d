//! Rows of a table by token id.

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{ModelConfig, Weight};

/// Standard deviation of fresh weights (`initializer_range`).
const STD: f64 = 0.02;

/// The token embedding, which is also the head of a model with tied weights.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub weight: Weight,
    /// What is added by position, `[positions, hidden]`.
    pub positions: Option<Param<Tensor<2>>>,
    #[module(skip)]
    multiplier: Option<f64>,
}

impl Embedding {
    /// The embedding that `config` describes, drawn from N(0, 0.02²); made when first used.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let (width, normal) = (config.hidden_size, Initializer::Normal { mean: 0.0, std: STD });
        Self {
            weight: Weight::normal(config.vocab_size, width, STD, device),
            positions: config.learned_positions.map(|rows| normal.init([rows, width], device)),
            multiplier: config.embedding_multiplier,
        }
    }

    /// The rows of `tokens`, of which those of sequence `b` stand at `starts[b] ..`.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`; `[batch, seq, hidden]` in f32 out.
    pub fn forward(&self, tokens: Tensor<2, Int>, starts: &[usize]) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let device = tokens.device();
        let mut rows = self.weight.rows(tokens.reshape([batch * seq])); // [b · s, hidden]
        if let Some(multiplier) = self.multiplier {
            rows = rows * multiplier;
        }
        if let Some(positions) = &self.positions {
            let places: Vec<i32> = starts.iter().flat_map(|start| (*start..start + seq).map(|place| place as i32)).collect();
            let places = Tensor::<1, Int>::from_data(TensorData::new(places, [batch * seq]), &device);
            let added = positions.val().select(0, places);
            let dtype = rows.dtype();
            rows = rows + if added.dtype() == dtype { added } else { added.cast(dtype) };
        }
        let width = rows.dims()[1];
        rows.reshape([batch, seq, width])
    }
}
