//! What is measured: a loaded model, or random weights of some shape.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
use llm_model::{CausalLm, ModelConfig};

use crate::checkpoint::WeightDtype;
use crate::device::DeviceInfo;
use crate::model::Model;
use crate::{Error, Result};

/// A network on its device, with or without files.
pub struct Subject {
    name: String,
    config: ModelConfig,
    device: DeviceInfo,
    network: Network,
    dtype: DType,
    parameters: u64,
    bytes: u64,
}

enum Network {
    Loaded(Model),
    Random(Box<dyn CausalLm>),
}

impl Subject {
    /// A model as it is loaded.
    pub fn loaded(model: &Model) -> Self {
        let report = model.report();
        Self {
            name: model.name().to_owned(),
            config: model.config().clone(),
            device: model.device().clone(),
            network: Network::Loaded(model.clone()),
            dtype: report.dtype,
            parameters: report.parameters as u64,
            bytes: report.bytes,
        }
    }

    /// Random matrices of the shape `config` in `dtype` ([`WeightDtype::Auto`] is f16 where the device has it, else f32).
    ///
    /// # Errors
    /// [`Error::Request`] for a type that the device does not compute with.
    pub fn random(name: &str, config: &ModelConfig, device: DeviceInfo, dtype: WeightDtype) -> Result<Self> {
        let dtype = match dtype {
            WeightDtype::Auto if device.device.supports_dtype(DType::F16) => DType::F16,
            WeightDtype::Auto | WeightDtype::F32 => DType::F32,
            WeightDtype::F16 => DType::F16,
            WeightDtype::Bf16 => DType::BF16,
        };
        if !device.device.supports_dtype(dtype) {
            let got = format!("{dtype:?}").to_lowercase();
            return Err(Error::request("--dtype", got, format!("{} on {}", device.dtypes().join(" or "), device.name)));
        }
        let mut cast = Cast { dtype, parameters: 0, bytes: 0 };
        let transformer = config.init(&device.device).map(&mut cast);
        let Cast { parameters, bytes, .. } = cast;
        let (name, config) = (name.to_owned(), config.clone());
        Ok(Self { name, config, device, network: Network::Random(Box::new(transformer)), dtype, parameters, bytes })
    }

    /// The model's name, or the shape's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where it runs.
    pub fn device(&self) -> &DeviceInfo {
        &self.device
    }

    /// The network.
    pub fn lm(&self) -> &dyn CausalLm {
        match &self.network {
            Network::Loaded(model) => model.lm(),
            Network::Random(lm) => lm.as_ref(),
        }
    }

    /// The type of the matrices, as `f16`.
    pub fn format(&self) -> String {
        format!("{:?}", self.dtype).to_lowercase()
    }

    /// Bits in memory for each parameter.
    pub fn bits_per_weight(&self) -> f64 {
        8.0 * self.bytes as f64 / self.parameters.max(1) as f64
    }

    /// Bytes of weights that one token reads: all of them, but one row only of an embedding that is not also the head.
    pub fn read_bytes(&self) -> u64 {
        let row = (self.config.hidden_size * self.dtype.size()) as u64;
        let skipped = if self.config.tie_word_embeddings { 0 } else { (self.config.vocab_size as u64 - 1) * row };
        self.bytes.saturating_sub(skipped)
    }
}

/// Makes each parameter in turn, matrices in `dtype`, so that no more than one is in memory twice.
struct Cast {
    dtype: DType,
    parameters: u64,
    bytes: u64,
}

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let dtype = if D > 1 { self.dtype } else { DType::F32 };
        param.map(|tensor| {
            let count = tensor.shape().num_elements() as u64;
            self.parameters += count;
            self.bytes += count * dtype.size() as u64;
            if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) }
        })
    }
}
