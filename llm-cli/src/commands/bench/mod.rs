//! `llm bench`: prefill and decode speed at depths, and the share of what memory allows.

mod shapes;

use std::io::Write;

use llm_infer::bench::{self, Bandwidth, BenchOptions, Case, Row, Subject, Test};
use llm_infer::{DType, Model};

use super::{Environment, print_json};
use crate::args::BenchArgs;
use crate::settings::{self, Setup};
use crate::ui::{Failure, Ui, Unit};

pub fn run(args: &BenchArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    if args.prefill.iter().chain(&args.decode).all(|tokens| *tokens == 0) {
        return Err(Failure::usage("--prefill, --decode: got 0 of both, expected something to measure").into());
    }
    if let Some(file) = &args.plot {
        file.require_writable()?;
    }
    let (subject, kv_dtype) = subject(args, environment)?;
    let options = BenchOptions {
        prefill: args.prefill.clone(),
        decode: args.decode.clone(),
        depth: args.depth.clone(),
        batch: args.batch.clone(),
        runs: args.runs,
        kv_dtype,
    };
    let cases = fitting(&options, &subject, args, ui)?;
    let bar = ui.progress("measuring", Unit::Count);
    let total = 1 + cases.len() as u64;
    bar.update(0, total);
    let bandwidth = Bandwidth::new(subject.device());
    if !common.json {
        heading(&subject, out)?;
    }
    interrupt.hold();
    let mut rows = Vec::new();
    for (index, case) in cases.into_iter().enumerate() {
        bar.update(index as u64 + 1, total);
        let row = bench::measure(&subject, case, &options, &bandwidth, interrupt.flag())?;
        bar.suspend(|| if common.json { print_json(&row, out) } else { line(&row, out) })?;
        out.flush()?;
        rows.push(row);
    }
    args.plot.as_ref().map_or(Ok(()), |file| Ok(bench::plot(&rows, file)?))
}

/// The model or shape to measure, and the type of its keys and values.
fn subject(args: &BenchArgs, environment: &Environment) -> anyhow::Result<(Subject, DType)> {
    let Environment { common, ui, interrupt } = *environment;
    let Some(shape) = &args.shape else {
        let setup = Setup::load(&args.model, &args.run, common, ui, interrupt)?;
        return Ok((Subject::loaded(&setup.model), setup.kv_dtype));
    };
    let (name, mut config) = shapes::find(shape)?;
    if let Some(context) = args.run.ctx {
        config.max_position_embeddings = context;
    }
    let device = settings::open_device(common.device, ui)?;
    let kv = args.run.kv.map(|kv| settings::kv_dtype(kv, &device)).transpose()?;
    let kv = kv.unwrap_or_else(|| Model::default_kv_dtype(&device, args.run.dtype.into()));
    ui.notice(&format!("making random weights in the shape of {name}"));
    Ok((Subject::random(&name, &config, device, args.run.dtype.into(), args.run.quantize.map(Into::into))?, kv))
}

/// The measurements that the context has room for.
///
/// # Errors
/// When it has room for none.
fn fitting(options: &BenchOptions, subject: &Subject, args: &BenchArgs, ui: &Ui) -> Result<Vec<Case>, Failure> {
    let context = args.run.ctx.unwrap_or(usize::MAX).min(subject.config().context_length());
    let (fitting, left_out): (Vec<_>, Vec<_>) = options.cases().into_iter().partition(|case| case.length() <= context);
    if fitting.is_empty() {
        let shortest = left_out.iter().map(Case::length).min().unwrap_or_default();
        let got =
            format!("--depth, --prefill, --decode: got at least {shortest} tokens together, expected at most the context of {context}");
        return Err(Failure::usage(got).with_hint("measure less, or raise `--ctx` where the model allows it"));
    }
    if !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().map(|case| format!("{} at depth {}", label(*case), case.depth)).collect();
        ui.warning(&format!("beyond the context of {context} tokens, and so left out: {}", names.join(", ")));
    }
    Ok(fitting)
}

fn label(case: Case) -> String {
    match case.test {
        Test::Prefill => format!("prefill {}", case.tokens),
        Test::Decode => format!("decode {}", case.tokens),
    }
}

fn heading(subject: &Subject, out: &mut dyn Write) -> std::io::Result<()> {
    let threads = llm_infer::llm_model::ops::threads::count();
    let (name, format, bits) = (subject.name(), subject.format(), subject.bits_per_weight());
    writeln!(out, "{name}, {format} ({bits:.1} bits per weight), on {} with {threads} threads", subject.device().name)?;
    writeln!(out, "a token reads {:.1} MB of weights\n", subject.read_bytes() as f64 / 1e6)?;
    let [test, depth, batch, speed, range, memory, limit, share] =
        ["test", "depth", "batch", "tok/s", "min .. max", "memory GB/s", "limit", "share"];
    writeln!(out, "{test:<14} {depth:>6} {batch:>6} {speed:>10} {range:>21} {memory:>12} {limit:>10} {share:>7}")
}

fn line(row: &Row, out: &mut dyn Write) -> anyhow::Result<()> {
    let test = label(Case { test: row.test, tokens: row.tokens, depth: row.depth, batch: row.batch });
    let speed = &row.tokens_per_second;
    let range = format!("{:.1} .. {:.1}", speed.min, speed.max);
    let memory = row.read_bytes_per_second / 1e9;
    let limit = row.limit_tokens_per_second.map_or_else(|| "-".to_owned(), |limit| format!("{limit:.1}"));
    let share = row.share_of_limit.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    Ok(writeln!(
        out,
        "{test:<14} {:>6} {:>6} {:>10.1} {range:>21} {memory:>12.1} {limit:>10} {share:>7}",
        row.depth, row.batch, speed.median
    )?)
}
