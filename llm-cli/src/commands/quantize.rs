//! `llm quantize`: a model into a folder with packed weights.

use std::io::Write;

use llm_infer::checkpoint::Progress;
use llm_infer::quantize::{QuantizeOptions, QuantizeReport, Scheme, quality, quantize};

use super::{Environment, print_json};
use crate::args::{ModelArgs, QuantizeArgs};
use crate::ui::{Unit, plain, size};
use crate::{models, settings};

pub fn run(args: &QuantizeArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    let input = models::resolve(&ModelArgs { positional: Some(args.input.clone()), model: None })?;
    let device = settings::open_device(common.device, ui)?;
    interrupt.hold();
    let bar = ui.progress("quantizing", Unit::Bytes);
    let show = |done: &Progress| bar.update(done.bytes, done.total_bytes);
    let scheme = Scheme::new(args.scheme.into());
    let options = QuantizeOptions {
        scheme: Scheme { embedding: args.embedding_scheme.map_or(scheme.embedding, Into::into), ..scheme },
        method: args.method.into(),
        calibration: args.calibration.clone(),
        budget: args.budget,
        force: args.force,
        device: device.device.clone(),
        progress: Some(&show),
        cancel: Some(interrupt.flag()),
    };
    let mut report = quantize(&input, &args.out, &options)?;
    bar.clear();
    let bar = ui.progress("comparing", Unit::Count);
    let show = |done: usize, total: usize| bar.update(done as u64, total as u64);
    report.quality = quality(&report, &input, &device, Some(&show), Some(interrupt.flag()))?;
    bar.clear();
    for path in &report.removed {
        ui.notice(&format!("removed `{}`, which a process that was killed had left", path.display()));
    }
    if common.json { print_json(&report, out) } else { Ok(print(&report, out)?) }
}

fn print(report: &QuantizeReport, out: &mut dyn Write) -> std::io::Result<()> {
    let width = report.matrices.iter().map(|matrix| plain(&matrix.name).chars().count()).max().unwrap_or(0);
    writeln!(out, "{:<width$}  {:<15} {:>5} {:>13} {:>13}", "matrix", "format", "bits", "weight error", "output error")?;
    for matrix in &report.matrices {
        let output = matrix.output_error.map_or_else(|| "-".to_owned(), percent);
        let (name, weight) = (plain(&matrix.name), percent(matrix.weight_error));
        writeln!(out, "{name:<width$}  {:<15} {:>5.2} {weight:>13} {output:>13}", matrix.format, matrix.bits_per_weight)?;
    }
    let (before, after) = (size(report.bytes_before), size(report.bytes_after));
    let (folder, bits) = (plain(&report.out.to_string_lossy()), report.bits_per_weight);
    writeln!(out, "\n{folder}: {before} -> {after}, {bits:.2} bits a weight, by {}", report.method)?;
    let Some((quality, original)) = report.quality.as_ref().and_then(|quality| Some((quality, quality.compare.as_ref()?))) else {
        return Ok(());
    };
    let (now, was) = (quality.perplexity, original.perplexity);
    writeln!(
        out,
        "perplexity {was:.4} -> {now:.4} ({:.4} of the original) over {} held-out tokens",
        original.perplexity_ratio, quality.tokens
    )?;
    writeln!(out, "KL {:.5} on average, top-1 agreement {}", original.kl_mean, percent(original.top1_agreement))
}

fn percent(share: f64) -> String {
    format!("{:.3} %", 100.0 * share)
}
