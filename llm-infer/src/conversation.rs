//! A conversation: messages, the template that makes a prompt of them, and the session that answers.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use crate::chat::{Message, RenderOptions};
use crate::generate::{Event, GenerateOptions, Generation};
use crate::session::Session;
use crate::{Error, Result};

/// The note of a saved session that holds the messages.
const NOTE: &str = "messages";

/// Messages so far, and the session that answers them.
///
/// Each turn renders the whole conversation; the session computes only what its cache does not hold yet.
pub struct Conversation {
    session: Session,
    messages: Vec<Message>,
    render: RenderOptions,
    forgotten: usize,
}

impl Conversation {
    /// An empty conversation on `session`.
    ///
    /// # Errors
    /// [`Error::Template`] where the model has no chat template.
    pub fn new(session: Session) -> Result<Self> {
        session.model().template()?;
        Ok(Self { session, messages: Vec::new(), render: RenderOptions::default(), forgotten: 0 })
    }

    /// All messages in order, the system message first where there is one.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Messages that the newest answer had to leave out, the oldest ones, because they no longer fit the context.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// The session underneath.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Sets the system message, or removes it.
    pub fn set_system(&mut self, text: Option<&str>) {
        self.messages.drain(..self.system_messages());
        if let Some(text) = text {
            self.messages.insert(0, Message::new("system", text));
        }
    }

    /// Forgets everything but the system message.
    pub fn reset(&mut self) {
        self.messages.truncate(self.system_messages());
        self.session.clear();
    }

    /// Adds the user's `text` and the model's answer to it.
    ///
    /// An answer that was cut short stays as far as it came; where nothing came, or with an error, `text` is taken back.
    ///
    /// # Errors
    /// A template that refuses the conversation, and what [`Session::generate`] refuses.
    pub fn answer(
        &mut self,
        text: &str,
        options: &GenerateOptions,
        receive: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Generation> {
        self.messages.push(Message::new("user", text));
        let result = self.respond(options, receive);
        if self.messages.last().is_some_and(|message| message.role == "user") {
            self.messages.pop();
        }
        result
    }

    /// Takes back the last answer, if there is one, and answers again.
    ///
    /// # Errors
    /// [`Error::Request`] where nothing was asked yet, and as [`Conversation::answer`]; the last answer is then still there.
    pub fn regenerate(&mut self, options: &GenerateOptions, receive: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Generation> {
        let Some(answer) = self.messages.pop_if(|message| message.role == "assistant") else {
            return Err(Error::request("regenerate", "no answer so far", "one that can be made again"));
        };
        let result = self.respond(options, receive);
        if self.messages.last().is_none_or(|message| message.role != "assistant") {
            self.messages.push(answer);
        }
        result
    }

    /// Answers the messages as they stand.
    fn respond(&mut self, options: &GenerateOptions, receive: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Generation> {
        let prompt = self.fitting_prompt(options.max_tokens)?;
        let done = self.session.generate(&prompt, options, receive)?;
        if !done.text.is_empty() {
            self.messages.push(Message::new("assistant", done.text.as_str()));
        }
        Ok(done)
    }

    /// The prompt of all messages; while it leaves no room for an answer, the oldest question and its answer are forgotten.
    fn fitting_prompt(&mut self, max_tokens: usize) -> Result<Vec<u32>> {
        let model = self.session.model().clone();
        let context = self.session.context();
        let room = max_tokens.min(context / 4);
        self.forgotten = 0;
        loop {
            let rendered = model.template()?.render(&self.messages, &self.render)?;
            let prompt = model.tokenizer().encode_rendered(&rendered)?;
            let oldest = self.system_messages();
            if prompt.len() + room <= context || self.messages.len() <= oldest + 2 {
                return Ok(prompt);
            }
            self.messages.drain(oldest..oldest + 2);
            self.forgotten += 2;
        }
    }

    /// Writes messages and session to `path`.
    ///
    /// # Errors
    /// See [`Session::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let messages = serde_json::to_string(&self.messages).map_err(|error| Error::invalid(path, NOTE, error, "messages"))?;
        self.session.save(path, &HashMap::from([(NOTE.to_owned(), messages)]))
    }

    /// Goes on with what [`Conversation::save`] wrote.
    ///
    /// # Errors
    /// See [`Session::load`]; the conversation is then as before.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let notes = self.session.load(path)?;
        let messages = notes.get(NOTE).map_or("[]", String::as_str);
        self.messages = serde_json::from_str(messages).map_err(|error| Error::invalid(path, NOTE, error, "a list of messages"))?;
        Ok(())
    }

    fn system_messages(&self) -> usize {
        self.messages.iter().take_while(|message| message.role == "system").count()
    }
}
