//! A block's gradients equal PyTorch's; `fixtures/make.py` made both sides' numbers.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use llm_infer::checkpoint::{Safetensors, WeightSource};
use llm_infer::llm_model::{DecoderLayer, ModelConfig, Step, TransformerBlock};

/// Names of the modules that are entered, without list containers' noise.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn path(&self) -> String {
        // Burn enters an enum by the name of its variant, which is no part of the path; fields have lower case.
        self.0.iter().map(String::as_str).filter(|name| !name.starts_with(char::is_uppercase)).collect::<Vec<_>>().join(".")
    }
}

/// Puts the fixture's parameters in place.
struct Fill<'a> {
    names: Names,
    file: &'a Safetensors,
    device: &'a Device,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.names.0.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.0.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let data = self.file.read(&self.names.path()).expect("parameter");
        Param::initialized(param.id, Tensor::from_data(data, self.device).require_grad())
    }
}

/// Compares each parameter's gradient.
struct Compare<'a> {
    names: Names,
    file: &'a Safetensors,
    gradients: &'a Gradients,
    seen: HashMap<String, f64>,
}

impl ModuleVisitor for Compare<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.names.0.push(name.to_owned());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.names.0.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.names.path();
        let gradient = param.val().grad(self.gradients).expect("gradient").into_data();
        let want = self.file.read(&format!("grad.{path}")).expect("gradient of the fixture");
        self.seen.insert(path, furthest(gradient, want));
    }
}

/// Largest absolute difference.
fn furthest(got: TensorData, want: TensorData) -> f64 {
    assert_eq!(got.shape(), want.shape());
    got.iter::<f64>().zip(want.iter::<f64>()).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max)
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let file = Safetensors::open(&path).expect("fixture");
    let mut json: serde_json::Value = serde_json::from_str(&file.metadata()["config"]).expect("config");
    (json["num_hidden_layers"], json["vocab_size"]) = (1.into(), 1.into());
    let config = ModelConfig::from_json(&json).expect("config");
    let device = Device::flex().autodiff();
    let block = TransformerBlock::init(&config.layer(0), &device);
    let block = block.map(&mut Fill { names: Names::default(), file: &file, device: &device });

    let tensor = |name: &str| Tensor::<3>::from_data(file.read(name).expect(name), &device);
    let input = tensor("input").require_grad();
    let [batch, seq, _] = input.dims();
    let step = Step::new(&config.rope, None, vec![0; batch], &vec![seq; batch], seq, &device);
    let output = block.forward(input.clone(), &step, None);
    let furthest_output = furthest(output.clone().into_data(), file.read("output").expect("output"));
    assert!(furthest_output < 1e-4, "{name}: output {furthest_output}");

    let gradients = (output * tensor("weights")).sum().backward();
    let of_input = furthest(input.grad(&gradients).expect("gradient").into_data(), file.read("grad.input").expect("input"));
    assert!(of_input < 1e-4, "{name}: input {of_input}");
    let mut compare = Compare { names: Names::default(), file: &file, gradients: &gradients, seen: HashMap::new() };
    block.visit(&mut compare);
    assert!(compare.seen.len() >= 9, "every parameter was visited: {:?}", compare.seen);
    for (parameter, difference) in compare.seen {
        assert!(difference < 1e-4, "{name}: {parameter} {difference}");
    }
}

#[test]
fn a_llama_block_has_pytorchs_gradients() {
    check("block_gradients.safetensors");
}

#[test]
fn a_block_with_norms_biases_and_a_window_has_pytorchs_gradients() {
    check("block_gradients_qwen3.safetensors");
}
