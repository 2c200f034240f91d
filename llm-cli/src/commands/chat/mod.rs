//! `llm chat`: a conversation on the terminal, or one message from a pipe.

mod line_editor;
mod slash;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use llm_infer::Error;
use llm_infer::conversation::Conversation;
use llm_infer::generate::{Event, FinishReason, GenerateOptions, Generation};

use self::line_editor::{LineEditor, Typed};
use self::slash::Slash;
use super::Environment;
use crate::args::ChatArgs;
use crate::settings::{self, Setup};
use crate::stream::{self, Stream};
use crate::{input, ui};

pub fn run(args: &ChatArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let user = settings::user_sampling(&args.sampling)?;
    let Environment { common, ui, interrupt } = *environment;
    settings::require_json_for_logprobs(&args.sampling, common)?;
    let piped = if ui::is_interactive() && !common.json { None } else { Some(input::prompt(None)?) };
    let setup = Setup::load(&args.model, &args.run, common, ui, interrupt)?;
    let options = settings::generate_options(&setup.model, &user, &args.sampling, ui)?;
    let mut conversation = Conversation::new(setup.session())?;
    conversation.set_system(args.system.as_deref());
    let asked_for_length = args.sampling.max_tokens.is_some();
    let mut chat = Chat { conversation, options, asked_for_length, last: None, environment, out };
    match piped {
        Some(message) => chat.answer_once(&message),
        None => chat.converse(&setup),
    }
}

/// A conversation with where it is shown.
struct Chat<'a> {
    conversation: Conversation,
    options: GenerateOptions,
    asked_for_length: bool,
    last: Option<Generation>,
    environment: &'a Environment<'a>,
    out: &'a mut dyn Write,
}

/// Whether the conversation goes on.
type Next = ControlFlow<()>;

impl Chat<'_> {
    /// Answers the one message of a pipe.
    fn answer_once(&mut self, message: &str) -> anyhow::Result<()> {
        if self.environment.common.json {
            return self.answer_json(message);
        }
        self.turn(Some(message))?;
        match self.last.as_ref().map(|done| done.finish_reason) {
            Some(FinishReason::Cancelled) => Err(Error::Cancelled.into()),
            _ => Ok(()),
        }
    }

    fn answer_json(&mut self, message: &str) -> anyhow::Result<()> {
        let interrupt = self.environment.interrupt;
        let done = self.conversation.answer(message, &self.options, &mut |_| {
            if interrupt.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let session = self.conversation.session();
        let prompt = &session.tokens()[..done.usage.prompt_tokens.min(session.tokens().len())];
        super::print_json(&super::answer::Answer::new(session, prompt, &done), self.out)?;
        stream::report(&done, self.options.max_tokens, true, self.environment.ui);
        if done.finish_reason == FinishReason::Cancelled { Err(Error::Cancelled.into()) } else { Ok(()) }
    }

    /// Talks until the user leaves.
    fn converse(&mut self, setup: &Setup) -> anyhow::Result<()> {
        let ui = self.environment.ui;
        let mut editor = LineEditor::new();
        ui.notice(&format!("{} on {}; /help shows the commands, Ctrl-D leaves", setup.model.name(), setup.model.device().name));
        let mut interrupted = false;
        loop {
            match editor.read()? {
                Typed::End => return Ok(()),
                Typed::Interrupt if interrupted => return Err(Error::Cancelled.into()),
                Typed::Interrupt => {
                    interrupted = true;
                    ui.aside("(Ctrl-C again leaves)");
                }
                Typed::Message(message) => {
                    interrupted = false;
                    match self.react(&message) {
                        Ok(ControlFlow::Break(())) => return Ok(()),
                        Ok(ControlFlow::Continue(())) => {}
                        // Without a terminal to write to, nobody is there any more.
                        Err(error) if error.is::<std::io::Error>() => return Err(error),
                        Err(error) => ui.failure(&error),
                    }
                }
            }
        }
    }

    fn react(&mut self, message: &str) -> anyhow::Result<Next> {
        self.environment.interrupt.reset();
        match slash::parse(message) {
            Some(command) => self.obey(command?).map_err(with_advice),
            None if message.trim().is_empty() => Ok(ControlFlow::Continue(())),
            None => self.turn(Some(message)).map(ControlFlow::Continue).map_err(with_advice),
        }
    }

    /// Streams the answer to `message`, or the last answer again.
    fn turn(&mut self, message: Option<&str>) -> anyhow::Result<()> {
        let Environment { ui, interrupt, .. } = *self.environment;
        let mut stream = Stream::new(self.out, ui, interrupt);
        let receive = &mut |event: Event| stream.receive(event);
        let done = match message {
            Some(message) => self.conversation.answer(message, &self.options, receive),
            None => self.conversation.regenerate(&self.options, receive),
        };
        let done = done?;
        stream.finish(&done)?;
        stream::report(&done, self.options.max_tokens, self.asked_for_length, ui);
        if self.conversation.forgotten() > 0 {
            let (count, context) = (self.conversation.forgotten(), self.conversation.session().context());
            ui.notice(&format!("the oldest {count} messages were left out: the context holds {context} tokens"));
        }
        self.last = Some(done);
        Ok(())
    }

    fn obey(&mut self, command: Slash) -> anyhow::Result<Next> {
        let ui = self.environment.ui;
        match command {
            Slash::Help => ui.aside(slash::HELP),
            Slash::System(text) => self.conversation.set_system(text.as_deref()),
            Slash::Reset => self.conversation.reset(),
            Slash::Regenerate => self.regenerate()?,
            Slash::Save(path) => self.conversation.save(&path).map_err(|error| named_as_typed(error, &path))?,
            Slash::Load(path) => self.conversation.load(&path)?,
            Slash::Stats => ui.aside(&self.stats()),
            Slash::Set(None) => ui.aside(&slash::settings(&self.options)?),
            Slash::Set(Some((key, value))) => self.set(&key, &value)?,
            Slash::Exit => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn set(&mut self, key: &str, value: &str) -> anyhow::Result<()> {
        slash::set(&mut self.options, self.conversation.session().model().config().vocab_size, key, value)?;
        self.asked_for_length |= key == "max_tokens";
        Ok(())
    }

    /// A fixed seed would give the same answer: each new try moves it on.
    fn regenerate(&mut self) -> anyhow::Result<()> {
        self.options.sampling.seed = self.options.sampling.seed.map(|seed| seed.wrapping_add(1));
        self.turn(None)
    }

    fn stats(&self) -> String {
        let session = self.conversation.session();
        let memory = session.memory();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let peak = memory.peak_rss_bytes.map(|bytes| format!(", peak of the process {:.1} MiB", mib(bytes))).unwrap_or_default();
        let last = self.last.as_ref().map(|done| format!("last turn: {}\n", stream::summary(done))).unwrap_or_default();
        format!(
            "{last}messages: {}, tokens: {} of {}\nmemory: weights {:.1} MiB, keys and values {:.1} MiB{peak}",
            self.conversation.messages().len(),
            session.tokens().len(),
            session.context(),
            mib(memory.weights_bytes),
            mib(memory.kv_cache_bytes),
        )
    }
}

/// A prompt that grew too long is a conversation that grew too long.
fn with_advice(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Error>() {
        Ok(error) if is_about_prompt(&error) => error.with_hint("/reset forgets the conversation so far").into(),
        Ok(error) => error.into(),
        Err(error) => error,
    }
}

fn is_about_prompt(error: &Error) -> bool {
    matches!(error, Error::Request { field, .. } if field == "prompt")
}

/// A file is written under another name first, which nobody typed.
fn named_as_typed(error: Error, path: &Path) -> Error {
    match error {
        Error::Io { source, .. } => Error::io(path, source),
        other => other,
    }
}
