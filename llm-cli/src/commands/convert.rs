//! `llm convert`: a model from one format into another.

use std::io::Write;

use llm_infer::checkpoint::Progress;
use llm_infer::convert::{ConvertOptions, ConvertReport, convert};

use super::{Environment, print_json};
use crate::args::{ConvertArgs, ModelArgs};
use crate::models;
use crate::ui::{Unit, plain, size};

pub fn run(args: &ConvertArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let Environment { common, ui, interrupt } = *environment;
    let target = args.to.as_deref().map(str::parse).transpose()?;
    let input = models::resolve(&ModelArgs { positional: Some(args.input.clone()), model: None })?;
    interrupt.hold();
    let bar = ui.progress("converting", Unit::Bytes);
    let show = |done: &Progress| bar.update(done.bytes, done.total_bytes);
    let options = ConvertOptions {
        target,
        dtype: args.dtype.into(),
        requantize: args.allow_requantize,
        force: args.force,
        progress: Some(&show),
        cancel: Some(interrupt.flag()),
    };
    let report = convert(&input, &args.out, &options)?;
    bar.clear();
    for notice in &report.notices {
        ui.notice(&plain(notice));
    }
    for path in &report.removed {
        ui.notice(&format!("removed `{}`, which a process that was killed had left", path.display()));
    }
    if common.json { print_json(&report, out) } else { Ok(print(&report, out)?) }
}

fn print(report: &ConvertReport, out: &mut dyn Write) -> std::io::Result<()> {
    let tensors: Vec<String> = report.tensors.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let (before, after) = (size(report.bytes_before), size(report.bytes_after));
    let (path, bits) = (plain(&report.out.to_string_lossy()), report.bits_per_weight);
    writeln!(out, "{path}: {}, {before} -> {after}, {bits:.2} bits a weight; tensors: {}", report.format, tensors.join(", "))
}
