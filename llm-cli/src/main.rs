//! `llm`: run large language models on this machine.

mod args;
mod commands;
mod input;
mod interrupt;
mod kernels;
mod models;
mod output;
mod settings;
mod spelling;
mod stream;
mod ui;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::Cli;
use crate::interrupt::Interrupt;
use crate::ui::Ui;

fn main() -> ExitCode {
    ui::report_panics_briefly();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ui::usage(&error),
    };
    let ui = Ui::new(cli.common.quiet, cli.common.verbose);
    let kernels = cli.common.verbose.then(|| {
        let counter = kernels::KernelCounter::default();
        // It can only fail where another subscriber is set, and there is none.
        let _ = tracing_subscriber::registry().with(counter.clone()).try_init();
        counter
    });
    let work = || start(&cli).and_then(|interrupt| commands::run(&cli, &ui, &interrupt));
    let Ok(result) = catch_unwind(AssertUnwindSafe(work)) else { return ExitCode::from(ui::BUG) };
    if let Some(kernels) = kernels {
        ui.detail(&kernels.table());
    }
    ui::exit(result)
}

/// What must stand before the first operation: the handler of Ctrl-C and the compute threads.
fn start(cli: &Cli) -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::listen()?;
    if let Some(threads) = cli.common.threads {
        llm_infer::llm_model::ops::threads::start(threads)?;
    }
    Ok(interrupt)
}
