//! How often a model gives the right answer to prompts that training never saw.

use std::ops::ControlFlow;

use serde::Serialize;

use super::corpus::{self, Kind};
use crate::Result;
use crate::chat::{Message, RenderOptions};
use crate::generate::{FinishReason, GenerateOptions};
use crate::model::Model;
use crate::sample::SamplingConfig;
use crate::session::Session;

/// Longest answer of the evaluation, in tokens.
const LONGEST: usize = 300;

/// The result of one kind of prompts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindScore {
    /// The kind's name.
    pub kind: &'static str,
    /// Prompts asked.
    pub asked: usize,
    /// Right answers that also ended by themselves.
    pub right: usize,
    /// Up to ten wrong answers: prompt and answer.
    pub wrong: Vec<(String, String)>,
}

/// Asks every held-out prompt of the built-in corpus once, greedily; `watch` sees prompt, answer and verdict.
///
/// # Errors
/// A model without a chat template, or one whose logits are no numbers.
pub fn evaluate_builtin(model: &Model, watch: &mut dyn FnMut(&str, &str, bool)) -> Result<Vec<KindScore>> {
    let mut scores: Vec<KindScore> = Kind::ALL.map(|kind| KindScore { kind: kind.name(), asked: 0, right: 0, wrong: Vec::new() }).into();
    let greedy = SamplingConfig { temperature: 0.0, ..SamplingConfig::default() };
    let options = GenerateOptions::new(greedy, LONGEST);
    let mut session = Session::new(model);
    for prompt in corpus::evaluation() {
        let messages = [Message::user(&prompt.prompt)];
        let rendered = model.template()?.render(&messages, &RenderOptions::default())?;
        let ids = model.tokenizer().encode_rendered(&rendered)?;
        let answer = session.generate(&ids, &options, &mut |_| ControlFlow::Continue(()))?;
        let right = answer.finish_reason == FinishReason::Stop && prompt.check(&answer.text);
        watch(&prompt.prompt, &answer.text, right);
        let Some(score) = scores.iter_mut().find(|score| score.kind == prompt.kind.name()) else { continue };
        score.asked += 1;
        score.right += usize::from(right);
        if !right && score.wrong.len() < 10 {
            score.wrong.push((prompt.prompt.clone(), answer.text));
        }
    }
    scores.retain(|score| score.asked > 0);
    Ok(scores)
}
