//! The object that `generate --json` prints, one field for each line of its contract in CLI.md.

use llm_infer::generate::{FinishReason, Generation};
use llm_infer::metrics::{Memory, Timings, Usage};
use llm_infer::sample::TokenLogprob;
use llm_infer::session::Session;
use serde::Serialize;

/// One answer with all that is known about it.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    pub model: &'a str,
    pub device: &'a str,
    pub text: &'a str,
    pub prompt_tokens: &'a [u32],
    pub tokens: &'a [u32],
    pub finish_reason: FinishReason,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<&'a [TokenLogprob]>,
    pub usage: Usage,
    pub timings: Timings,
    pub memory: Memory,
}

impl<'a> Answer<'a> {
    /// What `session` answered to the tokens `prompt`.
    pub fn new(session: &'a Session, prompt: &'a [u32], done: &'a Generation) -> Self {
        Self {
            model: session.model().name(),
            device: &session.model().device().name,
            text: &done.text,
            prompt_tokens: prompt,
            tokens: &done.tokens,
            finish_reason: done.finish_reason,
            logprobs: done.logprobs.as_deref(),
            usage: done.usage,
            timings: done.timings,
            memory: session.memory(),
        }
    }
}
