//! A matrix as a model holds it: in floats, watched, or quantized.

use std::fmt;
use std::sync::Arc;

use burn::module::{Initializer, Module, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::cached::Cached;
use crate::ops::{self, AnyQuant, AnyWeight};
use crate::quant::{QuantFormat, QuantMatrix, QuantShape, tiles};

/// The weight of a [`crate::Linear`] or an [`crate::Embedding`], `[out, in]` as checkpoints store it.
#[derive(Module, Debug)]
pub enum Weight {
    /// f32, f16 or bf16; what is trained.
    Dense(Param<Tensor<2>>),
    /// Small integers with scales for blocks of them.
    Quantized(QuantWeight),
    /// As dense, and what it is multiplied with is shown to a function: how calibration learns which inputs matter.
    Observed(ObservedWeight),
}

/// A matrix in floats whose inputs are watched.
#[derive(Module, Debug)]
pub struct ObservedWeight {
    weight: Param<Tensor<2>>,
    #[module(skip)]
    observer: Observer,
}

/// What is called with the inputs, `[rows, in]`, of every product.
#[derive(Clone)]
struct Observer(Arc<dyn Fn(Tensor<2>) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Observer")
    }
}

/// A packed matrix on its device, see [`tiles`].
#[derive(Module, Debug)]
pub struct QuantWeight {
    /// `[strips, tiles, lines, 16]`.
    values: Param<Tensor<4, Int>>,
    /// `[strips, tiles, factors, 16]`.
    factors: Param<Tensor<4>>,
    #[module(skip)]
    shape: QuantShape,
    handle: Cached<AnyQuant>,
}

impl Weight {
    /// Numbers drawn from N(0, std²); made when first used.
    pub fn normal(rows: usize, width: usize, std: f64, device: &Device) -> Self {
        Self::Dense(Initializer::Normal { mean: 0.0, std }.init([rows, width], device))
    }

    /// Shows the inputs, `[rows, in]`, of every product of a matrix in floats to `watch`; one that is quantized stays as it is.
    pub fn observe(&mut self, watch: impl Fn(Tensor<2>) + Send + Sync + 'static) {
        if let Self::Dense(weight) | Self::Observed(ObservedWeight { weight, .. }) = self {
            *self = Self::Observed(ObservedWeight { weight: weight.clone(), observer: Observer(Arc::new(watch)) });
        }
    }

    /// `[out, in]`.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Dense(weight) | Self::Observed(ObservedWeight { weight, .. }) => weight.lazy_shape().dims(),
            Self::Quantized(weight) => [weight.shape.rows, weight.shape.width],
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(weight) | Self::Observed(ObservedWeight { weight, .. }) => {
                weight.val().dtype().size() * weight.lazy_shape().num_elements()
            }
            Self::Quantized(weight) => weight.shape.format.bytes(weight.shape.rows, weight.shape.width),
        }
    }

    /// The format of quantized weights.
    pub fn format(&self) -> Option<QuantFormat> {
        match self {
            Self::Dense(_) | Self::Observed(_) => None,
            Self::Quantized(weight) => Some(weight.shape.format),
        }
    }

    /// x · wᵀ.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]` in f32; `[rows, out]` out.
    pub fn project(&self, x: Tensor<2>) -> Tensor<2> {
        debug_assert_eq!(x.dtype(), DType::F32, "activations are f32");
        let weight = self.reading(|| x.clone());
        ops::linear(x, weight)
    }

    /// What operations take that multiply it with `x [.., in]`; who watches the weight is shown `x`.
    pub(crate) fn reading<const D: usize>(&self, x: impl FnOnce() -> Tensor<D>) -> AnyWeight {
        if let Self::Observed(weight) = self {
            (weight.observer.0)(x().flatten(0, D as isize - 2));
        }
        self.any()
    }

    fn any(&self) -> AnyWeight {
        match self {
            Self::Dense(weight) | Self::Observed(ObservedWeight { weight, .. }) => AnyWeight::dense(weight.val()),
            Self::Quantized(weight) => AnyWeight::quantized(weight.any()),
        }
    }

    /// The rows of `ids`.
    ///
    /// # Shapes
    /// - `ids`: `[n]`; `[n, in]` in f32 out.
    pub fn rows(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        ops::rows(ids, self.any())
    }
}

impl QuantWeight {
    /// Packs `matrix` and puts it on `device`.
    pub fn new(matrix: &QuantMatrix, device: &Device) -> Self {
        let [values, factors] = tiles::tensors(tiles::pack(matrix), matrix.shape());
        Self::from_data(values, factors, matrix.shape(), device)
    }

    /// What was packed before, as [`QuantShape::dims`] says; factors become f32 on a device without their type.
    pub fn from_data(values: TensorData, factors: TensorData, shape: QuantShape, device: &Device) -> Self {
        let dtype = if device.supports_dtype(factors.dtype()) { factors.dtype() } else { DType::F32 };
        let factors = factors.convert_dtype(dtype);
        Self {
            values: Param::initialized(ParamId::new(), Tensor::from_data(values, (device, DType::I32))),
            factors: Param::initialized(ParamId::new(), Tensor::from_data(factors, (device, dtype))),
            shape,
            handle: Cached::default(),
        }
    }

    /// What operations take.
    pub(crate) fn any(&self) -> AnyQuant {
        self.handle.get(|| AnyQuant::new(self.values.val(), self.factors.val(), self.shape))
    }

    /// What it was before it was packed.
    pub fn shape(&self) -> QuantShape {
        self.shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "ndarray")]
    #[expect(deprecated, reason = "burn-ndarray is deprecated upstream, but users may still ask for it")]
    fn a_quantized_weight_gives_the_same_bits_on_every_cpu_backend() {
        let number = |i: usize| ((i * 7919) % 10_007) as f32 / 10_007.0 - 0.5;
        let (rows, width) = (33, 172);
        let x = TensorData::new((0..3 * width).map(number).collect::<Vec<_>>(), [3, width]);
        for format in QuantFormat::ALL {
            let matrix = QuantMatrix::random(QuantShape { format, rows, width });
            let results = [Device::flex(), Device::ndarray()].map(|device| {
                let weight = Weight::Quantized(QuantWeight::new(&matrix, &device));
                assert_eq!((weight.shape(), weight.format()), ([rows, width], Some(format)));
                let y = weight.project(Tensor::from_data(x.clone(), (&device, DType::F32)));
                y.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>()
            });
            assert_eq!(results[0], results[1], "{format}");
        }
    }

    #[test]
    #[cfg(feature = "ndarray")]
    #[expect(deprecated, reason = "burn-ndarray is deprecated upstream, but users may still ask for it")]
    fn a_quantized_weight_that_was_used_can_move_to_another_device() {
        let matrix = QuantMatrix::random(QuantShape { format: QuantFormat::ALL[0], rows: 20, width: 64 });
        let x = TensorData::new((0..64).map(|i| i as f32 / 64.0 - 0.5).collect::<Vec<_>>(), [1, 64]);
        let project = |weight: &Weight, device: &Device| weight.project(Tensor::from_data(x.clone(), (device, DType::F32))).into_data();
        let [flex, ndarray] = [Device::flex(), Device::ndarray()];
        // Not the other way, as NdArray has no halves.
        let weight = Weight::Quantized(QuantWeight::new(&matrix, &ndarray));
        let before = project(&weight, &ndarray);
        let moved = weight.clone().to_device(&flex);
        assert_eq!(project(&moved, &flex), before);
        assert_eq!(project(&weight, &ndarray), before);
    }
}
