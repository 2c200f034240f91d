//! Keys and values of the positions that were computed, so that decoding computes only the next one.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::ModelConfig;

/// Smallest capacity that is allocated, and the step that capacities are rounded to.
const STEP: usize = 64;

/// The cache of all layers for a batch of sequences.
///
/// Memory is allocated ahead and written in place; it doubles when it is full. Cloning shares the memory, and the first write
/// to either copy separates them.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    lengths: Vec<usize>,
    dtype: DType,
}

/// The cache of one layer: keys and values, `[batch, kv_heads, capacity, head_dim]` each.
#[derive(Debug, Clone)]
pub struct LayerCache {
    // `None` only while an append has taken the tensor out, so that it is unique and written in place.
    keys: Option<Tensor<4>>,
    values: Option<Tensor<4>>,
}

impl KvCache {
    /// An empty cache for `batch` sequences with room for `capacity` positions each, in `dtype` (f32, f16 or bf16).
    pub fn new(config: &ModelConfig, batch: usize, capacity: usize, dtype: DType, device: &Device) -> Self {
        let shape = [batch, config.num_key_value_heads, capacity.next_multiple_of(STEP).max(STEP), config.head_dim];
        let empty = || Some(Tensor::zeros(shape, (device, dtype)));
        let layers = (0..config.num_hidden_layers).map(|_| LayerCache { keys: empty(), values: empty() }).collect();
        Self { layers, lengths: vec![0; batch], dtype }
    }

    /// Positions held of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Positions that fit without another allocation.
    pub fn capacity(&self) -> usize {
        self.layers.first().map_or(0, LayerCache::capacity)
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|layer| layer.shape().map_or(0, |shape| 2 * shape.iter().product::<usize>())).sum::<usize>()
            * self.dtype.size()
    }

    /// Makes room for `length` positions: at least doubled when it must grow, so that copying stays proportional to the length.
    pub fn reserve(&mut self, length: usize) {
        if length > self.capacity() {
            let capacity = length.max(2 * self.capacity()).next_multiple_of(STEP);
            self.layers.iter_mut().for_each(|layer| layer.grow(capacity));
        }
    }

    /// Forgets all positions of sequence `row` from `length` on.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn truncate(&mut self, row: usize, length: usize) {
        self.lengths[row] = self.lengths[row].min(length);
    }

    /// A copy that goes its own way: nothing is copied until one of both is written to.
    #[must_use]
    pub fn fork(&self) -> Self {
        self.clone()
    }

    pub(crate) fn layer(&mut self, index: usize) -> &mut LayerCache {
        &mut self.layers[index]
    }

    /// Counts `seq` more positions for every sequence, once all layers hold them.
    pub(crate) fn advance(&mut self, seq: usize) {
        self.lengths.iter_mut().for_each(|length| *length += seq);
    }

    /// Keys and values of sequence `row`, layer by layer, `[kv_heads, length, head_dim]` each; for saving.
    pub fn snapshot(&self, row: usize) -> Vec<[TensorData; 2]> {
        let read = |tensor: &Option<Tensor<4>>| {
            let tensor = tensor.as_ref().expect("present outside of an append");
            let [_, heads, _, dim] = tensor.dims();
            let part = tensor.clone().slice([row..row + 1, 0..heads, 0..self.lengths[row], 0..dim]);
            part.reshape([heads, self.lengths[row], dim]).into_data()
        };
        self.layers.iter().map(|layer| [read(&layer.keys), read(&layer.values)]).collect()
    }

    /// Writes what [`KvCache::snapshot`] read into sequence `row`; `false`, and nothing changed, if a shape does not fit.
    pub fn restore(&mut self, row: usize, data: Vec<[TensorData; 2]>) -> bool {
        let Some(shape) = self.layers.first().and_then(LayerCache::shape) else { return false };
        let length = data.first().map_or(0, |[keys, _]| keys.shape()[1]);
        let fits = |part: &TensorData| part.shape().as_slice() == [shape[1], length, shape[3]] && part.dtype() == self.dtype;
        if data.len() != self.layers.len() || !data.iter().flatten().all(fits) || row >= shape[0] {
            return false;
        }
        self.reserve(length);
        for (layer, [keys, values]) in self.layers.iter_mut().zip(data) {
            for (slot, part) in [(&mut layer.keys, keys), (&mut layer.values, values)] {
                let tensor = slot.take().expect("present outside of an append");
                let part = Tensor::<3>::from_data(part, (&tensor.device(), self.dtype)).unsqueeze();
                *slot = Some(tensor.slice_assign([row..row + 1, 0..shape[1], 0..length, 0..shape[3]], part));
            }
        }
        self.lengths[row] = length;
        true
    }
}

impl LayerCache {
    fn shape(&self) -> Option<[usize; 4]> {
        self.keys.as_ref().map(Tensor::dims)
    }

    fn capacity(&self) -> usize {
        self.shape().map_or(0, |shape| shape[2])
    }

    /// Writes `k` and `v`, `[batch, seq, kv_heads, head_dim]`, behind what each row holds, and returns all keys and values.
    ///
    /// # Panics
    /// When the cache has no room; [`KvCache::reserve`] makes it.
    pub fn append(&mut self, k: Tensor<4>, v: Tensor<4>, starts: &[usize]) -> (Tensor<4>, Tensor<4>) {
        (write(&mut self.keys, k, starts), write(&mut self.values, v, starts))
    }

    fn grow(&mut self, capacity: usize) {
        for slot in [&mut self.keys, &mut self.values] {
            let old = slot.take().expect("present outside of an append");
            let [batch, heads, length, dim] = old.dims();
            let new = Tensor::zeros([batch, heads, capacity, dim], (&old.device(), old.dtype()));
            *slot = Some(new.slice_assign([0..batch, 0..heads, 0..length, 0..dim], old));
        }
    }
}

/// Writes `x [batch, seq, heads, d]` into the tensor of `slot` at `starts` and returns a second handle to it.
fn write(slot: &mut Option<Tensor<4>>, x: Tensor<4>, starts: &[usize]) -> Tensor<4> {
    let mut tensor = slot.take().expect("present outside of an append");
    let [_, seq, heads, dim] = x.dims();
    let x = x.swap_dims(1, 2).cast(tensor.dtype());
    for (row, &start) in starts.iter().enumerate() {
        let part = if starts.len() == 1 { x.clone() } else { x.clone().slice([row..row + 1, 0..heads, 0..seq, 0..dim]) };
        tensor = tensor.slice_assign([row..row + 1, 0..heads, start..start + seq, 0..dim], part);
    }
    *slot = Some(tensor.clone());
    tensor
}
