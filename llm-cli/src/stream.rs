//! Shows a generation while it runs: a bar over a long prompt, then text as it becomes final.

use std::io::{self, Write};
use std::ops::ControlFlow;

use llm_infer::generate::{Event, FinishReason, Generation};

use crate::interrupt::Interrupt;
use crate::ui::{Progress, Ui, Unit};

/// The receiver of a generation's events.
pub struct Stream<'a> {
    out: &'a mut dyn Write,
    interrupt: &'a Interrupt,
    bar: Progress,
    written: bool,
    failed: Option<io::Error>,
}

impl<'a> Stream<'a> {
    /// Text goes to `out`.
    pub fn new(out: &'a mut dyn Write, ui: &Ui, interrupt: &'a Interrupt) -> Self {
        Self { out, interrupt, bar: ui.progress("reading the prompt", Unit::Count), written: false, failed: None }
    }

    /// Takes one event; asks for the end after Ctrl-C, and where `out` takes no more.
    pub fn receive(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Prefill(done, total) if done < total => self.bar.update(done as u64, total as u64),
            Event::Prefill(..) => self.bar.clear(),
            Event::Token(_) => {}
            Event::Text(text) => self.write(text),
        }
        if self.failed.is_some() || self.interrupt.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn write(&mut self, text: &str) {
        // After a failure the last pieces still come.
        if self.failed.is_none() {
            self.failed = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).err();
            self.written = true;
        }
    }

    /// Ends the line of text, unless the answer was stopped before its first.
    ///
    /// # Errors
    /// Whatever kept `out` from taking text, now or before.
    pub fn finish(self, done: &Generation) -> io::Result<()> {
        match self.failed {
            Some(error) => Err(error),
            None if done.finish_reason == FinishReason::Cancelled && !self.written => Ok(()),
            None => self.out.write_all(b"\n").and_then(|()| self.out.flush()),
        }
    }
}

/// With `-v` what `done` took, and a notice where an answer ends without having been asked to: at the end of the context, and at
/// `max_tokens` unless the user chose them.
pub fn report(done: &Generation, max_tokens: usize, asked_for_length: bool, ui: &Ui) {
    let count = done.tokens.len();
    if done.finish_reason == FinishReason::Length && count < max_tokens {
        ui.notice(&format!("the answer was cut after {count} tokens, at the end of the context; `--ctx` may allow more"));
    } else if done.finish_reason == FinishReason::Length && !asked_for_length {
        ui.notice(&format!("the answer was cut after {count} tokens; `--max-tokens` allows more"));
    }
    ui.detail(&summary(done));
}

/// Counts and speeds in one line.
pub fn summary(done: &Generation) -> String {
    let (timings, usage) = (&done.timings, &done.usage);
    format!(
        "prompt {} tokens ({} reused) in {:.2} s, {:.1} tok/s; answer {} tokens in {:.2} s, {:.1} tok/s; first token after {:.2} s",
        usage.prompt_tokens,
        done.reused_tokens,
        timings.prefill_s,
        timings.prefill_tokens_per_second,
        usage.completion_tokens,
        timings.decode_s,
        timings.decode_tokens_per_second,
        timings.time_to_first_token_s,
    )
}
