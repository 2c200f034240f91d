//! One module for each command. A command takes its arguments and writes its data to `out`.

mod answer;
mod batch;
mod bench;
mod chat;
mod devices;
mod generate;
mod inspect;
mod tokenize;
mod train;

use std::io::Write;

use crate::args::{Cli, Command, CommonArgs};
use crate::interrupt::Interrupt;
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
    let out = &mut std::io::stdout().lock();
    match &cli.command {
        Command::Chat(args) => chat::run(args, &environment, out),
        Command::Generate(args) => generate::run(args, &environment, out),
        Command::Inspect(args) => inspect::run(args, &environment, out),
        Command::Devices => devices::run(&environment, out),
        Command::Tokenize(args) => tokenize::run(args, &environment, out),
        Command::Bench(args) => bench::run(args, &environment, out),
        Command::Train(args) => train::run(args, &environment, out),
    }
}

/// Writes `value` as one line of JSON.
fn print_json(value: &impl serde::Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    Ok(writeln!(out, "{line}")?)
}
