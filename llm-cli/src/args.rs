//! The flags, raw, as CLI.md names them; [`crate::settings`] turns them into ready objects.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use llm_infer::checkpoint::WeightDtype;
use llm_infer::device::DeviceChoice;

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
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// auto, cpu (flex), ndarray, wgpu[:N], vulkan[:N], metal[:N] or cuda[:N]
    #[arg(long, alias = "backend", global = true, default_value = "auto", value_name = "NAME")]
    pub device: DeviceChoice,
    /// CPU threads [default: one for each core]
    #[arg(long, global = true, value_name = "N", value_parser = positive)]
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

/// The model of a command.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A folder, a .safetensors file beside its config.json, a name in the models folder, or `builtin`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub positional: Option<String>,
    /// The same as MODEL
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// How a model is loaded and run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Context: most tokens of prompt and answer together [default: the model's]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub ctx: Option<usize>,
    /// Type of the weights in memory; auto is as stored where the device has it
    #[arg(long, value_enum, default_value_t = Dtype::Auto, hide_default_value = true, value_name = "TYPE")]
    pub dtype: Dtype,
    /// Type of keys and values [default: f16, f32 on ndarray and with --dtype f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub kv: Option<KvType>,
    /// Refuse a model with tensors that it has no place for
    #[arg(long)]
    pub strict: bool,
}

/// How tokens are picked, and when to stop; defaults are the model's.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// 0 is greedy
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub top_k: Option<i64>,
    /// Keep the likeliest tokens that together have probability P
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Keep tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Divide the logits of tokens seen before
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Lower the logits of tokens generated before
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub presence_penalty: Option<f32>,
    /// Lower them for each time
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub frequency_penalty: Option<f32>,
    /// Add V to the logit of a token (repeatable)
    #[arg(long, value_name = "ID=V", value_parser = id_and_bias, action = ArgAction::Append)]
    pub logit_bias: Vec<(u32, f32)>,
    /// Make the draws repeatable
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Stop before this text (repeatable)
    #[arg(long, value_name = "TEXT", action = ArgAction::Append)]
    pub stop: Vec<String>,
    /// Most tokens of an answer [default: the model's, else 1024]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub max_tokens: Option<usize>,
    /// Go on past the end of the answer
    #[arg(long)]
    pub ignore_eos: bool,
    /// Report each token's log-probability and the N likeliest (with --json)
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
}

/// `llm chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The system message
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

/// `llm generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The prompt [default: stdin, without the line ending at its end]
    #[arg(long, value_name = "TEXT", conflicts_with = "input_jsonl")]
    pub prompt: Option<String>,
    /// Apply the chat template: the prompt is the user's message
    #[arg(long)]
    pub chat: bool,
    /// The system message
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,
    /// Run a batch: one {"prompt": ..} or {"messages": [..]} a line, with "id" and sampling fields where wanted
    #[arg(long, value_name = "FILE", requires = "output_jsonl")]
    pub input_jsonl: Option<PathBuf>,
    /// Where the batch's answers go; one that is there already is resumed
    #[arg(long, value_name = "FILE", requires = "input_jsonl")]
    pub output_jsonl: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

/// `llm inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Read every weight, and refuse NaN and infinity
    #[arg(long)]
    pub check: bool,
}

/// `llm tokenize`.
#[derive(Debug, Args)]
pub struct TokenizeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The text, or with --decode the ids [default: stdin, without the line ending at its end]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Add no special tokens; with --decode, show none
    #[arg(long)]
    pub no_special: bool,
    /// Ids (separated by spaces or commas) to text
    #[arg(long)]
    pub decode: bool,
}

/// `llm bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Random weights in the shape of NAME (smollm2-135m, qwen2.5-0.5b, llama-3.2-1b, tinyllama-1.1b, llama-3.1-8b) or CONFIG.json
    #[arg(long, value_name = "NAME|CONFIG.json", conflicts_with_all = ["positional", "model"])]
    pub shape: Option<String>,
    /// Prompt lengths
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "128,512", value_parser = positive)]
    pub prefill: Vec<usize>,
    /// Numbers of tokens to decode
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "64", value_parser = positive)]
    pub decode: Vec<usize>,
    /// Tokens that are in the cache already
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "0,1024")]
    pub depth: Vec<usize>,
    /// Runs of each measurement, after one that warms up
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive)]
    pub runs: usize,
    #[command(flatten)]
    pub run: RunArgs,
}

/// `--dtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    Auto,
    F32,
    F16,
    Bf16,
}

impl From<Dtype> for WeightDtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Auto => Self::Auto,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
        }
    }
}

/// `--kv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KvType {
    F16,
    F32,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number, at least 1".into()),
    }
}

fn id_and_bias(text: &str) -> Result<(u32, f32), String> {
    let pair = text.split_once('=').and_then(|(id, bias)| Some((id.trim().parse().ok()?, bias.trim().parse().ok()?)));
    pair.ok_or_else(|| "expected a token id and a number, as in 42=-1.5".into())
}
