//! `llm train`: a small model from nothing, as the embedded one was made.

use std::io::Write;
use std::ops::ControlFlow;

use llm_infer::Error;
use llm_infer::device::DeviceInfo;
use llm_infer::train::{Progress, Shape, Source, TrainOptions, TrainReport, evaluate_builtin, train};
use llm_infer::{Model, ModelOptions};
use serde_json::json;

use super::{Environment, print_json};
use crate::args::TrainArgs;
use crate::settings;
use crate::ui::{Failure, Ui, Unit};

pub fn run(args: &TrainArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    if args.score {
        return score(args, environment, out);
    }
    require_free(args, ui)?;
    let device = settings::open_device(common.device, ui)?;
    let options = options(args, &device);
    let bar = ui.progress("training", Unit::Count);
    let mut printed = Ok(());
    let trained = train(&options, &mut |now| {
        interrupt.hold();
        bar.update(now.step as u64, now.steps as u64);
        if common.json || now.step % 10 == 0 || now.step == now.steps {
            printed = bar.suspend(|| show(&now, common.json, out));
        }
        if printed.is_err() || interrupt.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.clear();
    let report = trained.map_err(named_as_flag)?;
    printed?;
    finish(args, &report, environment, out)
}

/// Refuses to train over a model, unless from its own checkpoint or with `--force`.
fn require_free(args: &TrainArgs, ui: &Ui) -> Result<(), Failure> {
    let resumes = args.resume && args.out.join("checkpoints/state.json").exists();
    if args.out.join("model.safetensors").exists() && !resumes && !args.force {
        let failure = Failure::usage(format!("{}: got a folder with a model, expected a new one", args.out.display()));
        return Err(failure.with_hint("`--resume` goes on from a checkpoint where there is one, `--force` starts anew"));
    }
    if args.resume && !resumes {
        ui.notice(&format!("`{}` has no checkpoint, so that training starts anew", args.out.display()));
    }
    Ok(())
}

/// The keys of `config.json` that flags set.
const KEYS: [(&str, &str); 8] = [
    ("vocab_size", "--vocab-size"),
    ("hidden_size", "--hidden-size"),
    ("intermediate_size", "--intermediate-size"),
    ("num_hidden_layers", "--layers"),
    ("num_attention_heads", "--heads"),
    ("num_key_value_heads", "--kv-heads"),
    ("head_dim", "--hidden-size / --heads"),
    ("max_position_embeddings", "--ctx"),
];

/// The same error about the flags that the keys come from.
fn named_as_flag(error: Error) -> Error {
    let Error::Request { field, got, expected, hint } = error else { return error };
    let flags = |text: String| KEYS.iter().fold(text, |text, (key, flag)| text.replace(key, flag));
    Error::Request { field: flags(field), got, expected: flags(expected), hint }
}

/// Asks the held-out prompts and prints the share of right answers of each kind; `-v` shows every answer.
fn score(args: &TrainArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let Environment { common, ui, .. } = *environment;
    let device = settings::open_device(common.device, ui)?;
    let model = Model::load(&args.out.to_string_lossy(), &ModelOptions::new(device))?;
    let mut printed = Ok(());
    let scores = evaluate_builtin(&model, &mut |prompt, answer, right| {
        if common.verbose && printed.is_ok() {
            printed = writeln!(out, "{} {prompt}\n  {answer}", if right { "right" } else { "WRONG" });
        }
    })?;
    printed?;
    if common.json {
        return print_json(&json!({"model": model.name(), "kinds": scores}), out);
    }
    for score in &scores {
        let share = 100.0 * score.right as f64 / score.asked as f64;
        writeln!(out, "{:12} {:3} of {:3}  {share:5.1} %", score.kind, score.right, score.asked)?;
    }
    Ok(())
}

fn options(args: &TrainArgs, device: &DeviceInfo) -> TrainOptions {
    TrainOptions {
        source: match &args.data {
            Some(path) => Source::Lines(path.clone()),
            None => Source::Builtin { stories: args.stories.clone() },
        },
        shape: Shape {
            vocab_size: args.shape.vocab_size,
            hidden_size: args.shape.hidden_size,
            intermediate_size: args.shape.intermediate_size,
            num_hidden_layers: args.shape.layers,
            num_attention_heads: args.shape.heads,
            num_key_value_heads: args.shape.kv_heads,
            context: args.shape.ctx,
        },
        steps: args.steps,
        batch_tokens: args.batch_tokens,
        learning_rate: args.learning_rate,
        warmup_steps: args.warmup_steps,
        weight_decay: args.weight_decay as f32,
        max_gradient_norm: args.max_gradient_norm as f32,
        seed: args.seed,
        checkpoint_every: args.checkpoint_every,
        resume: args.resume,
        ..TrainOptions::new(&args.out, device.device.clone())
    }
}

fn show(now: &Progress, as_json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if as_json {
        let line = json!({
            "step": now.step, "steps": now.steps, "loss": now.loss, "held_out": now.held_out, "learning_rate": now.learning_rate,
            "tokens_per_second": now.tokens_per_second,
        });
        return print_json(&line, out);
    }
    let held_out = now.held_out.map(|loss| format!("  held out {loss:.3}")).unwrap_or_default();
    Ok(writeln!(out, "step {:>6}/{}  loss {:.3}{held_out}  {:.0} tok/s", now.step, now.steps, now.loss, now.tokens_per_second)?)
}

fn finish(args: &TrainArgs, report: &TrainReport, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    if environment.common.json {
        print_json(&json!({"out": args.out, "report": report}), out)?;
    } else {
        let (folder, seconds) = (args.out.display(), report.seconds);
        writeln!(out, "{} parameters, {} tokens in {seconds:.0} s, written to {folder}", report.parameters, report.tokens)?;
    }
    if report.finished {
        return Ok(());
    }
    environment.ui.notice("stopped early; the same command with `--resume` goes on");
    Err(Error::Cancelled.into())
}
