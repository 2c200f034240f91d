//! The flags of each command.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use llm_infer::convert::WeightType;
use llm_infer::llm_model::quant::QuantFormat;
use llm_infer::plot::PlotFile;
use llm_infer::quantize;
use llm_infer::train::Shape;

use super::parse::{above_zero, bytes, count, plot_file, positive, seed, tokens, training_context, up_to_tokens};
use super::{ModelArgs, RunArgs, SamplingArgs};

/// `llm chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The system message
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
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
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "input_jsonl")]
    pub prompt: Option<String>,
    /// Apply the chat template: the prompt is the user's message
    #[arg(long)]
    pub chat: bool,
    /// The system message
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "chat")]
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
    /// Check that tensors, configuration and tokenizer belong together; read every weight, and refuse NaN and infinity
    #[arg(long)]
    pub check: bool,
}

/// `llm tokenize`.
#[derive(Debug, Args)]
pub struct TokenizeArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The text, or with --decode the ids [default: stdin, without the line ending at its end]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
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
    /// Prompt lengths; 0 for none
    #[arg(long, value_name = "N,..", allow_negative_numbers = true, value_delimiter = ',', default_value = "128,512", value_parser = up_to_tokens)]
    pub prefill: Vec<usize>,
    /// Numbers of tokens to decode; 0 for none
    #[arg(long, value_name = "N,..", allow_negative_numbers = true, value_delimiter = ',', default_value = "64", value_parser = up_to_tokens)]
    pub decode: Vec<usize>,
    /// Tokens that are in the cache already
    #[arg(long, value_name = "N,..", allow_negative_numbers = true, value_delimiter = ',', default_value = "0,1024", value_parser = up_to_tokens)]
    pub depth: Vec<usize>,
    /// Sequences at once
    #[arg(long, value_name = "N,..", allow_negative_numbers = true, value_delimiter = ',', default_value = "1", value_parser = positive)]
    pub batch: Vec<usize>,
    /// Runs of each measurement, after one that warms up
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "3", value_parser = positive)]
    pub runs: usize,
    /// Draw the speeds, decoding beside what memory allows, as FILE.svg or FILE.png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    pub plot: Option<PlotFile>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// `llm eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The text, read whole; - is stdin
    #[arg(long, value_name = "FILE")]
    pub text: PathBuf,
    /// Tokens from one window of --context tokens to the next; each scores what none before it did [default: half the context]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = tokens)]
    pub stride: Option<usize>,
    /// A reference of the same vocabulary: show KL(OTHER || MODEL) and how often both find the same token likeliest. It is loaded as it
    /// is stored: --dtype, --quantize and --kv are about MODEL
    #[arg(long, value_name = "OTHER")]
    pub compare: Option<String>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// `llm models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Show the packed weights that are kept, so that quantized models start at once
    Cache(CacheArgs),
}

/// `llm models cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// Remove them all; the next start of each model writes its own again
    #[arg(long)]
    pub clear: bool,
}

/// `llm quantize`.
#[derive(Debug, Args)]
pub struct QuantizeArgs {
    /// The model: a folder, a GGUF file, a weight file beside its config.json, a name in the models folder, or `builtin`
    #[arg(value_name = "IN")]
    pub input: String,
    /// The folder that is written
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Format of the layers' matrices
    #[arg(long, value_enum, default_value_t = Format::Int4, value_name = "FORMAT")]
    pub scheme: Format,
    /// Format of embedding and head [default: int6 where the scheme has 4 bits, which costs little; else the scheme]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub embedding_scheme: Option<Format>,
    /// rtn rounds each weight to the nearest; gptq and awq also look at what a text makes of it, and need --calibration
    #[arg(long, value_enum, default_value_t = Method::Rtn, value_name = "METHOD")]
    pub method: Method,
    /// A text of some thousand tokens, or a .jsonl of {"text": ..} or {"messages": [..]}; an eighth is held out to measure with
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
    /// Most bytes of the weight file: each matrix gets 4 or 8 bits, as it needs them most; of --scheme counts only whether it is asymmetric
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "embedding_scheme")]
    pub budget: Option<u64>,
    /// Replace a model that is at OUT already, once the new one is complete
    #[arg(long)]
    pub force: bool,
}

/// `--scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Int8,
    Int6,
    Int4,
    Int8Asymmetric,
    Int4Asymmetric,
}

impl From<Format> for QuantFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Int8 => Self::Int8,
            Format::Int6 => Self::Int6,
            Format::Int4 => Self::Int4,
            Format::Int8Asymmetric => Self::Int8Asymmetric,
            Format::Int4Asymmetric => Self::Int4Asymmetric,
        }
    }
}

/// `--method`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Method {
    Rtn,
    Gptq,
    Awq,
}

impl From<Method> for quantize::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Rtn => Self::Rtn,
            Method::Gptq => Self::Gptq,
            Method::Awq => Self::Awq,
        }
    }
}

/// `llm convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// The model: a folder, a GGUF file, a weight file beside its config.json, a name in the models folder, or `builtin`
    #[arg(value_name = "IN")]
    pub input: String,
    /// The file or folder that is written
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// hf (a folder in floats), gguf (a file) or packed (a folder as `llm quantize` writes it) [default: gguf where OUT ends in .gguf,
    /// else packed for a quantized model and hf for others]
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<String>,
    /// Type of the matrices; q8_0 and q4_0 are of GGUF files
    #[arg(long, visible_alias = "type", value_enum, default_value_t = WeightKind::Auto, value_name = "TYPE")]
    pub dtype: WeightKind,
    /// Round weights that are quantized already a second time, which loses more than rounding the floats that they were made from
    #[arg(long)]
    pub allow_requantize: bool,
    /// Replace what is at OUT already, once the new one is complete
    #[arg(long)]
    pub force: bool,
}

/// `--dtype` of `llm convert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightKind {
    /// As stored
    Auto,
    F32,
    F16,
    Bf16,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4_0")]
    Q4_0,
}

impl From<WeightKind> for WeightType {
    fn from(kind: WeightKind) -> Self {
        match kind {
            WeightKind::Auto => Self::Auto,
            WeightKind::F32 => Self::F32,
            WeightKind::F16 => Self::F16,
            WeightKind::Bf16 => Self::Bf16,
            WeightKind::Q8_0 => Self::Q8_0,
            WeightKind::Q4_0 => Self::Q4_0,
        }
    }
}

/// `llm train`.
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The folder that checkpoints, the loss plot and the model are written to
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Lines of {"messages": [..]} or {"text": ".."} to learn from [default: the generators that made `builtin`]
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// A JSON list of stories to learn from beside the generators
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub stories: Option<PathBuf>,
    /// Go on from the newest checkpoint in OUT
    #[arg(long)]
    pub resume: bool,
    /// Train into a folder that holds a model already
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Do not train: ask the model OUT (or `builtin`) the held-out prompts and count right answers
    #[arg(long)]
    pub score: bool,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "4000", value_parser = positive)]
    pub steps: usize,
    /// Tokens of one batch
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "4096", value_parser = positive)]
    pub batch_tokens: usize,
    /// Highest learning rate; it rises for --warmup-steps and falls as a cosine
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value = "0.003", value_parser = above_zero)]
    pub learning_rate: f64,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "100", value_parser = count)]
    pub warmup_steps: usize,
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value = "0.05", value_parser = above_zero)]
    pub weight_decay: f64,
    /// Longer gradients of a parameter are cut to this norm
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value = "1", value_parser = above_zero)]
    pub max_gradient_norm: f64,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "1", value_parser = seed)]
    pub seed: u64,
    /// Steps between checkpoints
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "250", value_parser = positive)]
    pub checkpoint_every: usize,
    #[command(flatten)]
    pub shape: ShapeArgs,
}

/// The sizes of the model that `llm train` makes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Shape (llama)")]
pub struct ShapeArgs {
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.vocab_size, value_parser = positive)]
    pub vocab_size: usize,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.hidden_size, value_parser = positive)]
    pub hidden_size: usize,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.intermediate_size, value_parser = positive)]
    pub intermediate_size: usize,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.num_hidden_layers, value_parser = positive)]
    pub layers: usize,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.num_attention_heads, value_parser = positive)]
    pub heads: usize,
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.num_key_value_heads, value_parser = positive)]
    pub kv_heads: usize,
    /// Longest sequence
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = Shape::BUILTIN.context, value_parser = training_context)]
    pub ctx: usize,
}
