//! `llm generate`: one prompt in, its continuation out.

use std::io::Write;

use llm_infer::chat::{Message, RenderOptions};
use llm_infer::generate::{FinishReason, GenerateOptions};
use llm_infer::{Error, Model};

use super::answer::Answer;
use super::{Environment, batch, print_json};
use crate::args::GenerateArgs;
use crate::input;
use crate::settings::{self, Setup};
use crate::stream::{self, Stream};

pub fn run(args: &GenerateArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let user = settings::user_sampling(&args.sampling)?;
    if let (Some(input), Some(output)) = (&args.input_jsonl, &args.output_jsonl) {
        return batch::run(input, output, args, &user, environment);
    }
    settings::require_json_for_logprobs(&args.sampling, environment.common)?;
    let prompt = input::prompt(args.prompt.as_deref())?;
    let Environment { common, ui, interrupt } = *environment;
    let setup = Setup::load(&args.model, &args.run, common, ui, interrupt)?;
    let options = settings::generate_options(&setup.model, &user, &args.sampling, ui)?;
    let ids = if args.chat {
        let system = args.system.as_deref().map(|text| Message::new("system", text));
        let messages: Vec<Message> = system.into_iter().chain([Message::new("user", prompt)]).collect();
        encode_chat(&setup.model, &messages)?
    } else {
        setup.model.tokenizer().encode(&prompt, true)?
    };
    answer(&setup, &ids, &options, args.sampling.max_tokens.is_some(), environment, out)
}

/// The ids of a conversation that the assistant is to answer.
///
/// # Errors
/// A model without a chat template, or one that refuses the conversation.
pub fn encode_chat(model: &Model, messages: &[Message]) -> llm_infer::Result<Vec<u32>> {
    let rendered = model.template()?.render(messages, &RenderOptions::default())?;
    model.tokenizer().encode_rendered(&rendered)
}

fn answer(
    setup: &Setup,
    prompt: &[u32],
    options: &GenerateOptions,
    asked_for_length: bool,
    environment: &Environment,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    let mut session = setup.session();
    let nowhere = &mut std::io::sink();
    let text_out: &mut dyn Write = if common.json { nowhere } else { &mut *out };
    let mut stream = Stream::new(text_out, ui, interrupt);
    let done = session.generate(prompt, options, &mut |event| stream.receive(event))?;
    stream.finish(&done)?;
    if common.json {
        print_json(&Answer::new(&session, prompt, &done), out)?;
    }
    stream::report(&done, options.max_tokens, asked_for_length || common.json, ui);
    if done.finish_reason == FinishReason::Cancelled { Err(Error::Cancelled.into()) } else { Ok(()) }
}
