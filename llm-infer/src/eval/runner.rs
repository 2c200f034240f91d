//! A model on its way through a window.

use std::ops::Range;

use burn::tensor::{DType, Int, Tensor, TensorData};
use llm_model::KvCache;

use crate::model::Model;
use crate::{Error, Result};

/// A model, and the cache that its windows use one after the other.
pub(super) struct Runner<'a> {
    model: &'a Model,
    cache: KvCache,
    length: usize,
}

impl<'a> Runner<'a> {
    pub fn new(model: &'a Model, kv_dtype: DType, capacity: usize) -> Self {
        let cache = KvCache::new(model.config(), 1, capacity, kv_dtype, &model.device().device);
        Self { model, cache, length: 0 }
    }

    /// Starts a window of `length` tokens.
    pub fn begin(&mut self, length: usize) {
        self.cache.truncate(0, 0);
        self.length = length;
    }

    /// Reads the next tokens, of which no logits are wanted.
    pub fn fill(&mut self, tokens: &[u32]) {
        self.model.lm().fill(self.on_device(tokens), &[self.length], &mut self.cache);
    }

    /// Reads the next tokens: `[1, tokens, hidden]`, for [`Runner::logits`].
    pub fn hidden(&mut self, tokens: &[u32]) -> Tensor<3> {
        self.model.lm().hidden_step(self.on_device(tokens), &[self.length], &mut self.cache)
    }

    /// The logits of some positions of `hidden`, one row after the other.
    pub fn logits(&self, hidden: &Tensor<3>, positions: Range<usize>) -> Result<Vec<f32>> {
        let [batch, _, size] = hidden.dims();
        let logits = self.model.lm().head(hidden.clone().slice([0..batch, positions, 0..size]));
        logits.into_data().try_into_vec::<f32>().map_err(|error| Error::Logits { got: format!("{error:?}") })
    }

    fn on_device(&self, tokens: &[u32]) -> Tensor<2, Int> {
        let ids: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
        Tensor::from_data(TensorData::new(ids, [1, tokens.len()]), &self.model.device().device)
    }
}
