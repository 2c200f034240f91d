//! What is measured: a loaded model, or random weights of some shape.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor, TensorData};
use half::f16;
use llm_model::quant::QuantShape;
use llm_model::{CausalLm, DecoderLayer, LayerVisitor, ModelConfig, QuantWeight, Weight, visit_layer};

use crate::checkpoint::WeightDtype;
use crate::checkpoint::resident::Resident;
use crate::device::DeviceInfo;
use crate::model::Model;
use crate::quantize::Scheme;
use crate::{Error, Result};

/// A network on its device, with or without files.
pub struct Subject {
    name: String,
    config: ModelConfig,
    device: DeviceInfo,
    network: Network,
    format: String,
    parameters: u64,
    bytes: u64,
    embedding_bytes: u64,
}

enum Network {
    Loaded(Model),
    Random(Box<dyn CausalLm>),
}

impl Subject {
    /// A model as it is loaded.
    pub fn loaded(model: &Model) -> Self {
        let (report, config) = (model.report(), model.config());
        Self {
            name: model.name().to_owned(),
            config: config.clone(),
            device: model.device().clone(),
            network: Network::Loaded(model.clone()),
            format: report.format(),
            parameters: report.parameters as u64,
            bytes: report.bytes,
            embedding_bytes: embedding_bytes(config, report.dtype, model.scheme()),
        }
    }

    /// Random matrices of the shape `config`: packed where `scheme` asks for it, else in `dtype` ([`WeightDtype::Auto`] is f16 where
    /// the device has it, else f32).
    ///
    /// # Errors
    /// [`Error::Request`] for a type that the device does not compute with.
    pub fn random(name: &str, config: &ModelConfig, device: DeviceInfo, dtype: WeightDtype, scheme: Option<Scheme>) -> Result<Self> {
        let dtype = match dtype {
            WeightDtype::Auto if device.device.supports_dtype(DType::F16) => DType::F16,
            WeightDtype::Auto | WeightDtype::F32 => DType::F32,
            WeightDtype::F16 => DType::F16,
            WeightDtype::Bf16 => DType::BF16,
        };
        let type_name = format!("{dtype:?}").to_lowercase();
        if !device.device.supports_dtype(dtype) {
            return Err(Error::request("--dtype", type_name, format!("{} on {}", device.dtypes().join(" or "), device.name)));
        }
        let resident = Resident::new(&device.device);
        let mut cast = Cast { dtype, packed: false, resident, parameters: 0, bytes: 0 };
        let network = visit_layer(config, Random { config, device: &device, scheme, cast: &mut cast });
        let Cast { parameters, bytes, .. } = cast;
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            embedding_bytes: embedding_bytes(config, dtype, scheme),
            device,
            network: Network::Random(network),
            format: scheme.map_or(type_name, |scheme| scheme.to_string()),
            parameters,
            bytes,
        })
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

    /// The type of the matrices, as `f16` or `int4`.
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Bits in memory for each parameter.
    pub fn bits_per_weight(&self) -> f64 {
        8.0 * self.bytes as f64 / self.parameters.max(1) as f64
    }

    /// Bytes of weights that one token reads: all of them, but one row only of an embedding that is not also the head.
    pub fn read_bytes(&self) -> u64 {
        let rows = self.config.vocab_size.max(1) as u64;
        let skipped = if self.config.tie_word_embeddings { 0 } else { self.embedding_bytes / rows * (rows - 1) };
        self.bytes.saturating_sub(skipped)
    }
}

/// Makes a network of whatever layers the shape has.
struct Random<'a> {
    config: &'a ModelConfig,
    device: &'a DeviceInfo,
    scheme: Option<Scheme>,
    cast: &'a mut Cast,
}

impl LayerVisitor for Random<'_> {
    type Output = Box<dyn CausalLm>;

    fn visit<L: DecoderLayer>(self) -> Box<dyn CausalLm> {
        let Self { config, device, scheme, cast } = self;
        let mut transformer = config.init_with::<L>(&device.device);
        for (path, weight) in transformer.weights_mut() {
            let Some(scheme) = scheme else { break };
            let [rows, width] = weight.shape();
            let shape = QuantShape { format: scheme.format_of(&path), rows, width };
            *weight = random_weight(shape, device, &mut cast.resident);
            cast.parameters += (rows * width) as u64;
            cast.bytes += weight.bytes() as u64;
        }
        Box::new(transformer.map(cast))
    }
}

fn embedding_bytes(config: &ModelConfig, dtype: DType, scheme: Option<Scheme>) -> u64 {
    let (rows, width) = (config.vocab_size, config.hidden_size);
    scheme.map_or(rows * width * dtype.size(), |scheme| scheme.embedding.bytes(rows, width)) as u64
}

/// Any integers, with scales that make weights of about the size that trained ones have.
fn random_weight(shape: QuantShape, device: &DeviceInfo, resident: &mut Resident) -> Weight {
    let dims = shape.dims();
    let count = |part: usize| dims[part].iter().product::<usize>();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let values: Vec<i32> = (0..count(0)).map(|_| next() as i32).collect();
    let step = 0.04 / f32::from(shape.format.range().1);
    let minimum = if shape.format.has_minima() { -0.02 } else { 0.0 };
    let per_block = shape.format.factors() * 16;
    let factors = (0..count(1)).map(|i| f16::from_f32(if i % per_block < 16 { step } else { minimum })).collect::<Vec<_>>();
    let values = resident.keep(TensorData::new(values, dims[0]));
    let factors = resident.keep(TensorData::new(factors, dims[1]).convert_dtype(shape.format.factor_dtype()));
    Weight::Quantized(QuantWeight::from_data(values, factors, shape, &device.device))
}

/// Makes each parameter in turn, matrices in `dtype`, so that no more than one is in memory twice; what is packed stays so.
struct Cast {
    dtype: DType,
    packed: bool,
    resident: Resident,
    parameters: u64,
    bytes: u64,
}

impl ModuleMapper for Cast {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.packed |= name == "Quantized";
    }

    fn exit_module(&mut self, name: &str, _: &str) {
        self.packed &= name != "Quantized";
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.packed {
            return param;
        }
        let dtype = if D > 1 { self.dtype } else { DType::F32 };
        param.map(|tensor| {
            let count = tensor.shape().num_elements() as u64;
            self.parameters += count;
            self.bytes += count * dtype.size() as u64;
            let (device, tensor) = (tensor.device(), if tensor.dtype() == dtype { tensor } else { tensor.cast(dtype) });
            Tensor::from_data(self.resident.keep(tensor.into_data()), (&device, dtype))
        })
    }
}
