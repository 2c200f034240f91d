//! `llm generate --input-jsonl`: a file of prompts in, a file of answers out, and on with it after an interruption.
//!
//! Answers are appended line by line in the order of the input. Each carries a fingerprint of its input line and of all that
//! shaped the answer, so that a resumed run can tell whether it is still the same work; a last line that was torn is made again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek};
use std::path::Path;

use llm_infer::chat::Message;
use llm_infer::generate::{FinishReason, GenerateOptions, Generation};
use llm_infer::sample::{SamplingConfig, SamplingOptions};
use llm_infer::session::Session;
use llm_infer::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Answer;
use super::{Environment, generate, print_json};
use crate::args::GenerateArgs;
use crate::settings::{self, Setup};
use crate::stream::Stream;
use crate::ui::{Failure, Unit};

/// One line of the input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<Value>,
    prompt: Option<String>,
    messages: Option<Vec<Message>>,
    max_tokens: Option<usize>,
    stop: Option<Vec<String>>,
    ignore_eos: Option<bool>,
    temperature: Option<f32>,
    top_k: Option<i64>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    seed: Option<u64>,
}

/// One request, ready to run.
struct Request {
    line: Line,
    options: GenerateOptions,
    fingerprint: String,
}

/// One line of the output.
#[derive(Serialize)]
struct Output<'a> {
    id: Option<&'a Value>,
    index: usize,
    input_hash: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// What must be known of a line that is there already.
#[derive(Deserialize)]
struct Done {
    index: usize,
    input_hash: String,
}

/// Answers every line of `input` that `output` does not answer yet.
///
/// # Errors
/// Files that cannot be used, lines that make no sense (before any is answered), and output of another run. A request that
/// fails by itself is reported in its line, and at the end.
pub fn run(input: &Path, output: &Path, args: &GenerateArgs, user: &SamplingOptions, environment: &Environment) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    let text = std::fs::read_to_string(input).map_err(|error| Error::io(input, error))?;
    let lines = parse(input, &text, args)?;
    let setup = Setup::load(&args.model, &args.run, common, ui, interrupt)?;
    let base = settings::generate_options(&setup.model, user, &args.sampling, ui);
    let requests = requests(input, &text, lines, &setup, &base)?;
    let (mut file, finished) = resume(output, &requests)?;
    if finished > 0 {
        ui.notice(&format!("{finished} of {} answers are in {} already", requests.len(), output.display()));
    }
    let bar = ui.progress("answering", Unit::Count);
    let mut session = setup.session();
    let mut failed = 0;
    for (index, request) in requests.iter().enumerate().skip(finished) {
        bar.update(index as u64, requests.len() as u64);
        failed += usize::from(!answer(index, request, args, &mut session, &mut file, environment)?);
    }
    match failed {
        0 => Ok(()),
        count => Err(Failure::usage(format!("{count} of {} requests failed; `error` in their lines says why", requests.len())).into()),
    }
}

fn parse(path: &Path, text: &str, args: &GenerateArgs) -> Result<Vec<Line>, Failure> {
    let lines = text.lines().enumerate().map(|(number, line)| {
        let wrong = |what: String| Failure::usage(format!("{}: line {}: {what}", path.display(), number + 1));
        let parsed: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        if args.chat && parsed.messages.is_some() {
            return Err(wrong("got `messages` with `--chat`, expected `prompt`".into()));
        }
        if parsed.prompt.is_some() == parsed.messages.is_some() {
            return Err(wrong("expected either `prompt` or `messages`".into()));
        }
        if parsed.max_tokens == Some(0) {
            return Err(wrong("max_tokens: got 0, expected at least 1".into()));
        }
        Ok(parsed)
    });
    lines.collect()
}

/// Each line with its settings over those of the command line.
fn requests(path: &Path, text: &str, lines: Vec<Line>, setup: &Setup, base: &GenerateOptions) -> anyhow::Result<Vec<Request>> {
    let requests = text.lines().zip(lines).enumerate().map(|(number, (raw, line))| {
        let options = line.over(base);
        options.sampling.validate().map_err(|error| Failure::usage(format!("{}: line {}: {error}", path.display(), number + 1)))?;
        let shaped_by = json!([
            raw,
            setup.model.name(),
            setup.model.device().name,
            settings::dtype_name(setup.model.report().dtype),
            options.sampling,
            options.max_tokens,
            options.stop,
            options.ignore_eos,
            options.logprobs,
        ]);
        Ok(Request { line, options, fingerprint: fingerprint(&shaped_by.to_string()) })
    });
    requests.collect()
}

impl Line {
    fn over(&self, base: &GenerateOptions) -> GenerateOptions {
        let of_base = &base.sampling;
        GenerateOptions {
            sampling: SamplingConfig {
                temperature: self.temperature.unwrap_or(of_base.temperature),
                top_k: self.top_k.unwrap_or(of_base.top_k),
                top_p: self.top_p.unwrap_or(of_base.top_p),
                min_p: self.min_p.unwrap_or(of_base.min_p),
                repetition_penalty: self.repetition_penalty.unwrap_or(of_base.repetition_penalty),
                presence_penalty: self.presence_penalty.unwrap_or(of_base.presence_penalty),
                frequency_penalty: self.frequency_penalty.unwrap_or(of_base.frequency_penalty),
                logit_bias: of_base.logit_bias.clone(),
                seed: self.seed.or(of_base.seed),
            },
            max_tokens: self.max_tokens.unwrap_or(base.max_tokens),
            stop: self.stop.clone().unwrap_or_else(|| base.stop.clone()),
            ignore_eos: self.ignore_eos.unwrap_or(base.ignore_eos),
            logprobs: base.logprobs,
            prefill_chunk: base.prefill_chunk,
        }
    }
}

/// Opens `path` behind its last whole line, and counts the lines before.
fn resume(path: &Path, requests: &[Request]) -> anyhow::Result<(File, usize)> {
    let io = |error| Error::io(path, error);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(io)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut finished = 0;
    for line in text[..whole].split_inclusive(|byte| *byte == b'\n') {
        let same = serde_json::from_slice::<Done>(line).is_ok_and(|done| {
            done.index == finished && requests.get(finished).is_some_and(|request| request.fingerprint == done.input_hash)
        });
        if !same {
            let got = format!("{}: line {}: got another input's answer, expected this one's", path.display(), finished + 1);
            let hint = "the input, the model or the flags changed since: choose another `--output-jsonl`, or delete the file";
            return Err(Failure::usage(got).with_hint(hint).into());
        }
        finished += 1;
    }
    file.set_len(whole as u64).map_err(io)?;
    file.seek(std::io::SeekFrom::End(0)).map_err(io)?;
    Ok((file, finished))
}

/// Answers one request and writes its line; whether it went well.
fn answer(
    index: usize,
    request: &Request,
    args: &GenerateArgs,
    session: &mut Session,
    file: &mut File,
    environment: &Environment,
) -> anyhow::Result<bool> {
    // Each answer is as it would be alone, so that a resumed run gives the same.
    session.clear();
    let result = generate_one(request, args, session, environment);
    let (answer, error) = match &result {
        Ok((_, done)) if done.finish_reason == FinishReason::Cancelled => return Err(Error::Cancelled.into()),
        Ok((prompt, done)) => (Some(Answer::new(session, prompt, done)), None),
        Err(error) if error.kind() == ErrorKind::Usage || matches!(error, Error::Template { .. }) => {
            (None, Some(json!({"message": error.to_string(), "hint": error.hint()})))
        }
        Err(_) => return result.map(|_| false).map_err(Into::into),
    };
    let well = error.is_none();
    print_json(&Output { id: request.line.id.as_ref(), index, input_hash: &request.fingerprint, answer, error }, file)?;
    Ok(well)
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
    let prompt = match (&request.line.messages, &request.line.prompt) {
        (Some(messages), _) => generate::encode_chat(model, messages)?,
        (None, Some(text)) if args.chat => generate::encode_chat(model, &chat(text))?,
        (None, text) => model.tokenizer().encode(text.as_deref().unwrap_or_default(), true)?,
    };
    let mut nowhere = std::io::sink();
    let mut stream = Stream::new(&mut nowhere, environment.ui, environment.interrupt);
    let done = session.generate(&prompt, &request.options, &mut |event| stream.receive(event))?;
    Ok((prompt, done))
}

/// The 64-bit FNV-1a hash of `text` in hexadecimal digits; it is the same in every build.
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(""), "cbf29ce484222325");
        assert_eq!(fingerprint("foobar"), "85944171f73967e8");
    }
}
