//! `llm generate --input-jsonl`: a file of prompts in, a file of answers out, and on with it after an interruption.
//!
//! Answers are appended line by line in the order of the input. Each carries a fingerprint of its input line and of all that
//! shaped the answer, so that a resumed run can tell whether it is still the same work; a last line that was torn is made again.

mod identity;
mod input;
mod output;

use std::path::Path;

use llm_infer::chat::Message;
use llm_infer::generate::{FinishReason, GenerateOptions, Generation};
use llm_infer::sample::SamplingOptions;
use llm_infer::session::Session;
use llm_infer::{Error, ErrorKind};
use serde_json::{Value, json};

use self::input::{Fields, Line};
use self::output::{Output, OutputFile};
use super::answer::Answer;
use super::{Environment, generate};
use crate::args::GenerateArgs;
use crate::models;
use crate::settings::{self, Setup};
use crate::stream::Stream;
use crate::ui::{Failure, Unit};

/// One request, ready to run.
struct Request {
    fields: Fields,
    options: GenerateOptions,
    fingerprint: String,
}

/// Answers every line of `input` that `output` does not answer yet.
///
/// # Errors
/// Files that cannot be used, lines that make no sense (before any is answered), and output of another run. A request that
/// fails by itself is reported in its line, and at the end, also where an earlier run met it.
pub fn run(input: &Path, output: &Path, args: &GenerateArgs, user: &SamplingOptions, environment: &Environment) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    output::require_usable(output, input)?;
    let lines = input::read(input, args)?;
    let setup = Setup::load(&args.model, &args.run, common, ui, interrupt)?;
    let base = settings::generate_options(&setup.model, user, &args.sampling, ui)?;
    let requests = requests(lines, &shaped_by(args, &setup)?, &base);
    let mut file = OutputFile::resume(output, &requests)?;
    let (finished, total) = (file.finished, requests.len());
    if finished > 0 {
        ui.notice(&format!("{finished} of {total} answers are in `{}` already", output.display()));
    }
    let bar = ui.progress("answering", Unit::Count);
    let mut session = setup.session();
    for (index, request) in requests.iter().enumerate().skip(finished) {
        bar.update(index as u64, total as u64);
        answer(index, request, args, &mut session, &mut file, environment)?;
    }
    match file.failed {
        0 => Ok(()),
        count => Err(Failure::usage(format!("{count} of {total} requests failed; `error` in their lines says why")).into()),
    }
}

/// What shapes every answer beside the request itself: model, device, types, context, template.
fn shaped_by(args: &GenerateArgs, setup: &Setup) -> anyhow::Result<Value> {
    let model = &setup.model;
    Ok(json!([
        identity::of(&models::resolve(&args.model)?)?,
        model.device().name,
        model.report().format(),
        settings::dtype_name(setup.kv_dtype),
        setup.context,
        args.chat,
        args.system,
    ]))
}

/// Each line with its settings over those of the command line.
fn requests(lines: Vec<Line>, shaped_by: &Value, base: &GenerateOptions) -> Vec<Request> {
    let requests = lines.into_iter().map(|Line { raw, fields }| {
        let options = fields.over(base);
        let GenerateOptions { sampling, max_tokens, stop, ignore_eos, logprobs, .. } = &options;
        let whole = json!([raw, shaped_by, sampling, max_tokens, stop, ignore_eos, logprobs]);
        Request { fingerprint: identity::fingerprint(whole.to_string().as_bytes()), fields, options }
    });
    requests.collect()
}

/// Answers one request and writes its line.
fn answer(
    index: usize,
    request: &Request,
    args: &GenerateArgs,
    session: &mut Session,
    file: &mut OutputFile,
    environment: &Environment,
) -> anyhow::Result<()> {
    // Each answer is as it would be alone, so that a resumed run gives the same.
    session.clear();
    let result = generate_one(request, args, session, environment);
    let (answer, error) = match &result {
        Ok((_, done)) if done.finish_reason == FinishReason::Cancelled => return Err(Error::Cancelled.into()),
        Ok((prompt, done)) => (Some(Answer::new(session, prompt, done)), None),
        Err(error) if error.kind() == ErrorKind::Usage || matches!(error, Error::Template { .. }) => {
            (None, Some(json!({"message": error.to_string(), "hint": error.hint()})))
        }
        Err(_) => return result.map(|_| ()).map_err(Into::into),
    };
    file.append(&Output { id: request.fields.id.as_ref(), index, input_hash: &request.fingerprint, answer, error })
}

fn generate_one(
    request: &Request,
    args: &GenerateArgs,
    session: &mut Session,
    environment: &Environment,
) -> llm_infer::Result<(Vec<u32>, Generation)> {
    let model = session.model();
    let chat = |text: &String| {
        let system = args.system.as_deref().map(|text| Message::new("system", text));
        system.into_iter().chain([Message::new("user", text.as_str())]).collect::<Vec<_>>()
    };
    let prompt = match (&request.fields.messages, &request.fields.prompt) {
        (Some(messages), _) => generate::encode_chat(model, messages)?,
        (None, Some(text)) if args.chat => generate::encode_chat(model, &chat(text))?,
        (None, text) => model.tokenizer().encode(text.as_deref().unwrap_or_default(), true)?,
    };
    let mut nowhere = std::io::sink();
    let mut stream = Stream::new(&mut nowhere, environment.ui, environment.interrupt);
    let done = session.generate(&prompt, &request.options, &mut |event| stream.receive(event))?;
    Ok((prompt, done))
}
