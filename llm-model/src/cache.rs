//! Keys and values of the positions that were computed, so that decoding computes only the next one.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::ModelConfig;
use crate::ops::{self, AnyAngles, AnyQuantLayer, Kv};

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
    keys: Option<Kv>,
    values: Option<Kv>,
}

/// Keys or values of one sequence in one layer, for saving.
#[derive(Debug, Clone)]
pub struct KvData {
    /// `[kv_heads, length, head_dim]`.
    pub numbers: TensorData,
    /// The factors of numbers of 8 bits, `[kv_heads, length]`.
    pub scales: Option<TensorData>,
}

impl KvCache {
    /// An empty cache for `batch` sequences with room for `capacity` positions each, in `dtype`: f32, f16, bf16, or i8, which has a
    /// factor in f32 for each vector.
    pub fn new(config: &ModelConfig, batch: usize, capacity: usize, dtype: DType, device: &Device) -> Self {
        let shape = [batch, config.num_key_value_heads, capacity.next_multiple_of(STEP).max(STEP), config.head_dim];
        let empty = || Some(Kv::zeros(shape, dtype, device));
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

    /// Bytes allocated, factors included.
    pub fn bytes(&self) -> usize {
        let vectors = |shape: [usize; 4]| 2 * shape[..3].iter().product::<usize>() * vector_bytes(shape[3], self.dtype);
        self.layers.iter().filter_map(LayerCache::shape).map(vectors).sum()
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

    /// Keys and values of sequence `row`, layer by layer; for saving.
    pub fn snapshot(&self, row: usize) -> Vec<[KvData; 2]> {
        let length = self.lengths[row];
        let read = |kv: &Option<Kv>| match kv.as_ref().expect("present outside of an append") {
            Kv::Floats(all) => {
                let [_, heads, _, dim] = all.dims();
                let part = all.clone().slice([row..row + 1, 0..heads, 0..length, 0..dim]).reshape([heads, length, dim]);
                KvData { numbers: part.into_data(), scales: None }
            }
            Kv::Int8 { values, scales } => {
                let [_, heads, _, dim] = values.dims();
                let part = values.clone().slice([row..row + 1, 0..heads, 0..length, 0..dim]).reshape([heads, length, dim]);
                let scales = scales.clone().slice([row..row + 1, 0..heads, 0..length]).reshape([heads, length]);
                KvData { numbers: part.into_data(), scales: Some(scales.into_data()) }
            }
        };
        self.layers.iter().map(|layer| [read(&layer.keys), read(&layer.values)]).collect()
    }

    /// Writes what [`KvCache::snapshot`] read into sequence `row`; `false`, and nothing changed, if a shape or type does not fit.
    pub fn restore(&mut self, row: usize, data: Vec<[KvData; 2]>) -> bool {
        let Some([batch, heads, _, dim]) = self.layers.first().and_then(LayerCache::shape) else { return false };
        let length = data.first().and_then(|[keys, _]| keys.numbers.shape().as_slice().get(1).copied()).unwrap_or_default();
        let fits = |part: &KvData| {
            let scales = part.scales.as_ref().map(|scales| (scales.shape().as_slice() == [heads, length], scales.dtype()));
            part.numbers.shape().as_slice() == [heads, length, dim]
                && part.numbers.dtype() == self.dtype
                && scales == (self.dtype == DType::I8).then_some((true, DType::F32))
        };
        if data.len() != self.layers.len() || !data.iter().flatten().all(fits) || row >= batch {
            return false;
        }
        self.reserve(length);
        for (layer, [keys, values]) in self.layers.iter_mut().zip(data) {
            for (slot, part) in [(&mut layer.keys, keys), (&mut layer.values, values)] {
                let place = [row..row + 1, 0..heads, 0..length, 0..dim];
                *slot = Some(match (slot.take().expect("present outside of an append"), part.scales) {
                    (Kv::Int8 { values, scales }, Some(factors)) => {
                        let part = Tensor::<3, Int>::from_data(part.numbers, (&values.device(), self.dtype)).unsqueeze();
                        let factors = Tensor::<2>::from_data(factors, (&scales.device(), DType::F32)).unsqueeze();
                        let scales = scales.slice_assign([row..row + 1, 0..heads, 0..length], factors);
                        Kv::Int8 { values: values.slice_assign(place, part), scales }
                    }
                    (Kv::Floats(all), _) => {
                        let part = Tensor::<3>::from_data(part.numbers, (&all.device(), self.dtype)).unsqueeze();
                        Kv::Floats(all.slice_assign(place, part))
                    }
                    (unchanged, None) => unchanged,
                });
            }
        }
        self.lengths[row] = length;
        true
    }
}

/// Bytes of a vector of `dim` numbers as the cache keeps it in `dtype`.
pub(crate) fn vector_bytes(dim: usize, dtype: DType) -> usize {
    dim * dtype.size() + if dtype == DType::I8 { size_of::<f32>() } else { 0 }
}

impl LayerCache {
    fn shape(&self) -> Option<[usize; 4]> {
        self.keys.as_ref().map(Kv::dims)
    }

    fn capacity(&self) -> usize {
        self.shape().map_or(0, |shape| shape[2])
    }

    /// Writes `k` and `v`, `[batch, seq, kv_heads, head_dim]`, behind what each row holds, and returns all keys and values.
    ///
    /// # Panics
    /// When the cache has no room; [`KvCache::reserve`] makes it.
    pub fn append(&mut self, k: Tensor<4>, v: Tensor<4>, starts: &[usize]) -> (Kv, Kv) {
        (write(&mut self.keys, k, starts), write(&mut self.values, v, starts))
    }

    /// `x` through a layer in one operation, which appends to this cache.
    ///
    /// # Panics
    /// As [`LayerCache::append`].
    pub(crate) fn pass(&mut self, x: Tensor<3>, layer: AnyQuantLayer, angles: &AnyAngles, starts: &[usize]) -> Tensor<3> {
        let held = [&mut self.keys, &mut self.values].map(|slot| slot.take().expect("present outside of an append"));
        let (x, [keys, values]) = ops::quant_layer(x, layer, angles, held, starts);
        (self.keys, self.values) = (Some(keys), Some(values));
        x
    }

    fn grow(&mut self, capacity: usize) {
        for slot in [&mut self.keys, &mut self.values] {
            *slot = slot.take().map(|kv| kv.grown(capacity));
        }
    }
}

/// Writes `x [batch, seq, heads, d]` into what `slot` holds at `starts` and returns a second handle to it.
fn write(slot: &mut Option<Kv>, x: Tensor<4>, starts: &[usize]) -> Kv {
    let kv = ops::append(x, slot.take().expect("present outside of an append"), starts);
    slot.insert(kv).clone()
}
