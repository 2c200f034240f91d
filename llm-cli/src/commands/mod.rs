//! One module for each command. A command takes its arguments and writes its data to `out`.

mod answer;
mod batch;
mod bench;
mod chat;
mod convert;
mod devices;
mod eval;
mod generate;
mod inspect;
mod models;
mod quantize;
mod tokenize;
mod train;

use std::io::Write;

use llm_infer::device::DeviceChoice;

use crate::args::{Cli, Command, CommonArgs};
use crate::interrupt::Interrupt;
use crate::output::Stdout;
use crate::ui::Ui;

/// What every command is given.
pub struct Environment<'a> {
    pub common: &'a CommonArgs,
    pub ui: &'a Ui,
    pub interrupt: &'a Interrupt,
}

/// Runs the command that `cli` asks for.
///
/// # Errors
/// Whatever the command meets; [`crate::ui::exit`] knows the exit code.
pub fn run(cli: &Cli, ui: &Ui, interrupt: &Interrupt) -> anyhow::Result<()> {
    let environment = Environment { common: &cli.common, ui, interrupt };
    report_unused_device(cli, ui);
    let out = &mut Stdout::lock();
    match &cli.command {
        Command::Chat(args) => chat::run(args, &environment, out),
        Command::Generate(args) => generate::run(args, &environment, out),
        Command::Inspect(args) => inspect::run(args, &environment, out),
        Command::Devices => devices::run(&environment, out),
        Command::Tokenize(args) => tokenize::run(args, &environment, out),
        Command::Bench(args) => bench::run(args, &environment, out),
        Command::Eval(args) => eval::run(args, &environment, out),
        Command::Quantize(args) => quantize::run(args, &environment, out),
        Command::Convert(args) => convert::run(args, &environment, out),
        Command::Models(args) => models::run(args, &environment, out),
        Command::Train(args) => train::run(args, &environment, out),
    }
}

/// A device that was asked for where none is used.
fn report_unused_device(cli: &Cli, ui: &Ui) {
    let command = match cli.command {
        Command::Convert(_) => "convert",
        Command::Inspect(_) => "inspect",
        Command::Devices => "devices",
        Command::Tokenize(_) => "tokenize",
        Command::Models(_) => "models",
        _ => return,
    };
    if cli.common.device != DeviceChoice::Auto {
        ui.notice(&format!("`--device {}` changes nothing: `{command}` computes nothing", cli.common.device));
    }
}

/// Writes `value` as one line of JSON.
fn print_json(value: &impl serde::Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    Ok(writeln!(out, "{line}")?)
}
