//! `llm eval`: perplexity of a text, and how far a model is from a reference.

use std::io::Write;

use llm_infer::eval::{self, Comparison, EvalOptions, Evaluation, Outline};

use super::{Environment, print_json};
use crate::args::{EvalArgs, ModelArgs, RunArgs};
use crate::settings::Setup;
use crate::ui::{Failure, Unit, plain};
use crate::{input, models};

pub fn run(args: &EvalArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    let reference = args.compare.as_ref().map(|other| ModelArgs { positional: Some(other.clone()), model: None });
    let (tokens, options) = prepare(args, reference.as_ref())?;
    let setup = Setup::load(&args.model, &args.run, common, ui, interrupt)?;
    let as_stored = RunArgs { ctx: Some(options.context), strict: args.run.strict, no_cache: args.run.no_cache, ..RunArgs::default() };
    let reference = reference.map(|reference| Setup::load(&reference, &as_stored, common, ui, interrupt)).transpose()?;
    let bar = ui.progress("scoring", Unit::Count);
    let show = |done: usize, total: usize| bar.update(done as u64, total as u64);
    let options = EvalOptions { kv_dtype: Some(setup.kv_dtype), progress: Some(&show), cancel: Some(interrupt.flag()), ..options };
    let found = eval::evaluate(&setup.model, reference.as_ref().map(|reference| &reference.model), &tokens, &options)?;
    drop(bar);
    if common.json { print_json(&found, out) } else { Ok(print(args, &found, out)?) }
}

/// The tokens to score and how: whatever can be refused is refused before weights are loaded.
fn prepare(args: &EvalArgs, reference: Option<&ModelArgs>) -> anyhow::Result<(Vec<u32>, EvalOptions<'static>)> {
    let model = Outline::open(&models::resolve(&args.model)?)?;
    let reference = reference.map(|other| anyhow::Ok(Outline::open(&models::resolve(other)?)?)).transpose()?;
    let mut options = EvalOptions::new(args.run.ctx.unwrap_or_else(|| model.config().context_length()));
    options.stride = args.stride.unwrap_or(options.stride);
    options.check()?;
    if let Some(reference) = &reference {
        model.require_same_vocabulary(reference)?;
    }
    let text = input::file(&args.text)?;
    let tokens = model.encode(&text).map_err(|error| Failure::from(error).within(&input::file_name(&args.text)))?;
    if let Some(reference) = &reference {
        model.require_same_tokens(reference, &text, &tokens)?;
    }
    Ok((tokens, options))
}

fn print(args: &EvalArgs, found: &Evaluation, out: &mut dyn Write) -> std::io::Result<()> {
    let Evaluation { model, device, perplexity, tokens, context, stride, bits_per_weight, compare, .. } = found;
    writeln!(out, "{}, {bits_per_weight:.1} bits per weight, on {device}", plain(model))?;
    writeln!(out, "{}, {tokens} tokens scored in windows of {context}, {stride} apart\n", plain(&input::file_name(&args.text)))?;
    writeln!(out, "{:<20} {perplexity:>12.4}", "perplexity")?;
    let Some(Comparison { model, perplexity, kl_mean, kl_p99, top1_agreement, perplexity_ratio }) = compare else { return Ok(()) };
    writeln!(out, "{:<20} {perplexity:>12.4}  {}", "of the reference", plain(model))?;
    writeln!(out, "{:<20} {perplexity_ratio:>12.6}", "ratio")?;
    writeln!(out, "{:<20} {:>12}  nats, reference || model", "KL, mean", nats(*kl_mean))?;
    writeln!(out, "{:<20} {:>12}", "KL, 99th percentile", nats(*kl_p99))?;
    writeln!(out, "{:<20} {:>10.2} %", "top-1 agreement", 100.0 * top1_agreement)
}

/// Six places, or two digits and a power of ten where they would show little.
fn nats(value: f64) -> String {
    if value > 0.0 && value < 1e-3 { format!("{value:.1e}") } else { format!("{value:.6}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_divergences_keep_their_digits() {
        assert_eq!([0.0, 4.26e-7, 0.00123, 1.5].map(nats), ["0.000000", "4.3e-7", "0.001230", "1.500000"]);
    }
}
