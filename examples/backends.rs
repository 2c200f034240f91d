//! One prompt on every device there is: the same program, the same text.
//!
//! ```sh
//! cargo run --release --example backends
//! cargo run --release --features cuda --example backends -- path/to/model
//! ```

use std::ops::ControlFlow;

use llm_infer::checkpoint::WeightDtype;
use llm_infer::device::{self, DeviceInfo};
use llm_infer::generate::{GenerateOptions, Generation};
use llm_infer::sample::SamplingConfig;
use llm_infer::session::Session;
use llm_infer::{Model, ModelOptions, Result};

fn main() {
    examples::report(backends());
}

fn backends() -> Result<()> {
    let mut first: Option<Generation> = None;
    for info in device::list() {
        let name = info.name.clone();
        let done = run(info)?;
        let same = first.as_ref().is_none_or(|first| first.tokens == done.tokens);
        let speed = done.timings.decode_tokens_per_second;
        println!("{name:10} {speed:8.1} tokens/s  {}  {:?}", if same { "same text" } else { "OTHER TEXT" }, done.text);
        first.get_or_insert(done);
    }
    Ok(())
}

/// 24 greedy tokens in f32, so that devices agree beyond rounding.
fn run(info: DeviceInfo) -> Result<Generation> {
    let options = ModelOptions { dtype: WeightDtype::F32, ..ModelOptions::new(info) };
    let model = Model::load(&examples::model_argument(), &options)?;
    let prompt = model.tokenizer().encode("Once upon a time", true)?;
    let greedy = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    Session::new(&model).generate(&prompt, &GenerateOptions::new(greedy, 24), &mut |_| ControlFlow::Continue(()))
}
