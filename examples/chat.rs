//! Chat with a model in the terminal.
//!
//! ```sh
//! cargo run --release --example chat                       # the embedded model
//! cargo run --release --example chat -- path/to/model      # a Hugging Face folder
//! printf 'hello\n' | cargo run --release --example chat    # answers what it reads, and ends
//! ```

use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::ops::ControlFlow;

use llm_infer::conversation::Conversation;
use llm_infer::generate::{Event, GenerateOptions};
use llm_infer::sample::{SamplingConfig, SamplingOptions};
use llm_infer::session::Session;
use llm_infer::{Error, Result};

/// Longest answer, in tokens.
const LONGEST: usize = 512;

fn main() {
    examples::report(chat());
}

fn chat() -> Result<()> {
    let model = examples::load()?;
    let mut conversation = Conversation::new(Session::new(&model))?;
    if !stdin().is_terminal() {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map_err(|error| Error::io("stdin", error))?;
        return answer(&mut conversation, text.trim());
    }
    eprintln!("{} on {}: type a message, or Ctrl-D to leave", model.name(), model.device().name);
    loop {
        eprint!("> ");
        let mut line = String::new();
        if stdin().read_line(&mut line).map_err(|error| Error::io("stdin", error))? == 0 {
            return Ok(());
        }
        if !line.trim().is_empty() {
            answer(&mut conversation, line.trim())?;
        }
    }
}

/// Adds `text` and the answer to the conversation, and streams the answer to stdout.
fn answer(conversation: &mut Conversation, text: &str) -> Result<()> {
    let advice = conversation.session().model().generation().sampling();
    let options = GenerateOptions::new(SamplingConfig::resolve(&advice, &SamplingOptions::default()), LONGEST);
    let mut out = stdout();
    conversation.answer(text, &options, &mut |event| {
        let Event::Text(text) = event else { return ControlFlow::Continue(()) };
        // A closed pipe ends the answer.
        match write!(out, "{text}").and_then(|()| out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    let _ = writeln!(out);
    Ok(())
}
