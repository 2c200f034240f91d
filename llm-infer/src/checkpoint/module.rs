//! Walking a Burn module: the path of each parameter, and what the module needs, without initialising anything.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Int, Tensor};

/// The path of the parameter being visited, in Hugging Face's spelling: `layers.0.self_attn.q_proj.weight`.
#[derive(Debug, Default)]
pub(super) struct ModulePath(Vec<String>);

impl ModulePath {
    pub fn enter(&mut self, name: &str, container: &str) {
        if !is_variant(container) {
            self.0.push(name.to_owned());
        }
    }

    pub fn exit(&mut self, container: &str) {
        if !is_variant(container) {
            self.0.pop();
        }
    }

    pub fn join(&self) -> String {
        self.0.join(".")
    }
}

/// Burn enters an enum by the name of its variant, which is no part of the path: `q_proj.weight`, not `q_proj.Dense.weight`.
fn is_variant(container: &str) -> bool {
    container.starts_with("Enum:")
}

/// One parameter of a module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub path: String,
    pub shape: Vec<usize>,
    /// Whether it holds floats; else it holds integers.
    pub float: bool,
}

/// The parameters of `module`, in its order.
pub(super) fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.parameters
}

#[derive(Default)]
struct Collector {
    path: ModulePath,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.parameters.push(Parameter { path: self.path.join(), shape: param.lazy_shape().to_vec(), float: true });
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.parameters.push(Parameter { path: self.path.join(), shape: param.lazy_shape().to_vec(), float: false });
    }
}
