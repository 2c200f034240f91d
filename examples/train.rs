//! Train a small model from nothing and ask it something: dataset, AdamW, schedule, clipping, checkpoints, loss plot.
//!
//! ```sh
//! cargo run --release --example train                  # two minutes or so: a model that has just begun to speak
//! cargo run --release --example train -- out 4000      # the embedded model: hours on a CPU
//! ```
//!
//! A stopped run goes on where it was. `llm train` is the same with flags for everything.

use std::ops::ControlFlow;

use llm_infer::chat::{Message, RenderOptions};
use llm_infer::device;
use llm_infer::generate::GenerateOptions;
use llm_infer::sample::SamplingConfig;
use llm_infer::session::Session;
use llm_infer::train::{Shape, TrainOptions, train};
use llm_infer::{Model, ModelOptions, Result};

fn main() {
    examples::report(run());
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().unwrap_or_else(|| std::env::temp_dir().join("llm-train-example").to_string_lossy().into_owned());
    let steps = arguments.next().and_then(|steps| steps.parse().ok());
    let device = device::open(device::DeviceChoice::Auto)?;
    let mut options = TrainOptions { resume: true, ..TrainOptions::new(&out, device.device.clone()) };
    match steps {
        Some(steps) => options.steps = steps,
        None => {
            options.shape = Shape { hidden_size: 64, intermediate_size: 160, num_hidden_layers: 2, context: 128, ..options.shape };
            (options.steps, options.batch_tokens, options.checkpoint_every) = (60, 1024, 30);
        }
    }
    let report = train(&options, &mut |now| {
        if now.step % 10 == 0 {
            eprintln!("step {:4}/{}  loss {:.3}  {:.0} tokens/s", now.step, now.steps, now.loss, now.tokens_per_second);
        }
        ControlFlow::Continue(())
    })?;
    println!("{} parameters, {} tokens in {:.0} s, written to {out}", report.parameters, report.tokens, report.seconds);

    let model = Model::load(&out, &ModelOptions::new(device))?;
    let rendered = model.template()?.render(&[Message::user("Hello!")], &RenderOptions::default())?;
    let prompt = model.tokenizer().encode_rendered(&rendered)?;
    let greedy = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    let answer = Session::new(&model).generate(&prompt, &GenerateOptions::new(greedy, 40), &mut |_| ControlFlow::Continue(()))?;
    println!("Hello! -> {}", answer.text);
    Ok(())
}
