//! Continue a text, with the timings of each phase.
//!
//! ```sh
//! cargo run --release --example generate
//! cargo run --release --example generate -- path/to/model --device cpu
//! ```

use std::ops::ControlFlow;

use llm_infer::Result;
use llm_infer::generate::{Event, GenerateOptions};
use llm_infer::sample::SamplingConfig;
use llm_infer::session::Session;

fn main() {
    examples::report(generate());
}

fn generate() -> Result<()> {
    let model = examples::load()?;
    let prompt = model.tokenizer().encode("Once upon a time", true)?;
    let greedy = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    let mut session = Session::new(&model);
    print!("Once upon a time");
    let done = session.generate(&prompt, &GenerateOptions::new(greedy, 100), &mut |event| {
        if let Event::Text(text) = event {
            print!("{text}");
        }
        ControlFlow::Continue(())
    })?;
    println!();
    let timings = done.timings;
    eprintln!(
        "load {:.2} s, first token after {:.3} s, {} tokens at {:.1} tokens/s on {}",
        timings.load_s,
        timings.time_to_first_token_s,
        done.tokens.len(),
        timings.decode_tokens_per_second,
        model.device().name
    );
    Ok(())
}
