//! The flags, raw, as CLI.md names them; [`crate::settings`] turns them into ready objects.

mod commands;
mod model;
mod parse;

use clap::{Args, Parser, Subcommand};
use llm_infer::device::DeviceChoice;

pub use self::commands::{
    BenchArgs, CacheArgs, ChatArgs, ConvertArgs, EvalArgs, GenerateArgs, InspectArgs, ModelsArgs, ModelsCommand, QuantizeArgs,
    TokenizeArgs, TrainArgs,
};
pub use self::model::{KvType, ModelArgs, RunArgs, SamplingArgs};
pub use self::parse::bytes;
use self::parse::{device, threads};

const EXIT_CODES: &str = "Exit codes: 0 ok, 2 usage, 3 bad model, 4 I/O, 5 resources or device, 70 bug, 130 interrupted.";

/// Run large language models on this machine
#[derive(Debug, Parser)]
#[command(name = "llm", version, after_help = EXIT_CODES, max_term_width = 120, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Talk with a model; with stdin not a terminal, answer what it says and exit
    #[command(alias = "run")]
    Chat(ChatArgs),
    /// Continue one prompt, or a file of them
    Generate(GenerateArgs),
    /// Show what a model is made of
    Inspect(InspectArgs),
    /// Show the devices of this machine
    Devices,
    /// Turn text into tokens, or tokens into text
    Tokenize(TokenizeArgs),
    /// Measure prefill and decode speed
    Bench(BenchArgs),
    /// Measure perplexity, and how far a model is from another
    Eval(EvalArgs),
    /// Write a model with weights of 8 or 4 bits
    Quantize(QuantizeArgs),
    /// Write a model in another format
    Convert(ConvertArgs),
    /// Show what is kept of models
    Models(ModelsArgs),
    /// Train a small model from nothing
    Train(TrainArgs),
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// auto, cpu, ndarray, wgpu, vulkan, metal or cuda; wgpu:1 is the second card
    #[arg(long, alias = "backend", global = true, default_value = "auto", value_name = "NAME", value_parser = device)]
    pub device: DeviceChoice,
    /// CPU threads [default: one for each core]
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true, value_parser = threads)]
    pub threads: Option<usize>,
    /// Print JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Show settings, and which kernels ran where
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// No notices and no progress
    #[arg(long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}
