//! A researcher's layer in the place of the standard one: the same loader, session and generator run it.
//!
//! The block below runs attention and feed-forward side by side (as GPT-J does) and scales each by a learned factor.
//!
//! ```sh
//! cargo run --release --example custom_layer
//! ```

use std::ops::ControlFlow;

use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Tensor};
use llm_infer::generate::GenerateOptions;
use llm_infer::llm_model::{Attention, DecoderLayer, FeedForward, LayerCache, LayerConfig, ModelConfig, RmsNorm, Step};
use llm_infer::sample::SamplingConfig;
use llm_infer::session::Session;
use llm_infer::{Model, ModelOptions, Result, checkpoint, device};

/// y = x + a · attention(norm(x)) + b · feed_forward(norm(x)).
#[derive(Module, Debug)]
struct ParallelBlock {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: FeedForward,
    attention_scale: Param<Tensor<1>>,
    mlp_scale: Param<Tensor<1>>,
}

impl DecoderLayer for ParallelBlock {
    fn init(config: &LayerConfig, device: &Device) -> Self {
        let norm = || RmsNorm::new(config.model.hidden_size, config.model.rms_norm_eps, device);
        Self {
            input_layernorm: norm(),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: norm(),
            mlp: FeedForward::new(config, device),
            attention_scale: Initializer::Ones.init([1], device),
            mlp_scale: Initializer::Ones.init([1], device),
        }
    }

    fn forward(&self, x: Tensor<3>, step: &Step, cache: Option<&mut LayerCache>) -> Tensor<3> {
        let attention = self.self_attn.forward(self.input_layernorm.forward(x.clone()), step, cache);
        let mlp = self.mlp.forward(self.post_attention_layernorm.forward(x.clone()));
        x + attention * self.attention_scale.val().unsqueeze() + mlp * self.mlp_scale.val().unsqueeze()
    }
}

fn main() {
    examples::report(custom_layer());
}

fn custom_layer() -> Result<()> {
    let device = device::open(examples::device_argument()?)?;

    // A fresh model with this layer is saved like any other ...
    let folder = std::env::temp_dir().join(format!("llm-custom-layer-{}", std::process::id()));
    let (source, _, _) = llm_infer::open("builtin")?;
    let config = ModelConfig { num_hidden_layers: 2, sliding_windows: vec![None; 2], ..source.model_config()? };
    let model = config.init_with::<ParallelBlock>(&device.device);
    let mut json = source.config().clone();
    json["num_hidden_layers"] = 2.into();
    checkpoint::save(&model, &json, &folder, &checkpoint::SaveOptions { overwrite: true, ..Default::default() })?;
    llm_infer::builtin::write_tokenizer(&folder)?;
    println!("saved a model of {} parameters", model.num_params());

    // ... and loads and answers through the paths of every other model.
    let model = Model::load_with::<ParallelBlock>(&folder.to_string_lossy(), &ModelOptions::new(device))?;
    let prompt = model.tokenizer().encode("Once upon a time", true)?;
    let greedy = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    let done = Session::new(&model).generate(&prompt, &GenerateOptions::new(greedy, 16), &mut |_| ControlFlow::Continue(()))?;
    println!("untrained, it says: {:?}", done.text);
    let _ = std::fs::remove_dir_all(folder);
    Ok(())
}
