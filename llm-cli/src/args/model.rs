//! Flags about the model and how it runs, shared by several commands.

use clap::{ArgAction, Args, ValueEnum};
use llm_infer::checkpoint::WeightDtype;
use llm_infer::quantize::Scheme;

use super::parse::{count, id_and_bias, number, positive, seed, tokens, top_k};

/// The model of a command.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A folder, a GGUF file, a weight file beside its config.json, a name in the models folder, or `builtin`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub positional: Option<String>,
    /// The same as MODEL
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// How a model is loaded and run.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Context: most tokens of a sequence, prompt and answer together [default: the model's]
    #[arg(long, visible_alias = "context", value_name = "N", allow_negative_numbers = true, value_parser = tokens)]
    pub ctx: Option<usize>,
    /// Type of the weights in memory; auto is as stored where the device has it, and keeps packed weights packed, which others widen
    #[arg(long, value_enum, default_value_t = Dtype::Auto, hide_default_value = true, value_name = "TYPE")]
    pub dtype: Dtype,
    /// Pack the weights while they are read: 8 bits, or 4 with embedding and head at 6
    #[arg(long, value_enum, value_name = "SCHEME")]
    pub quantize: Option<Quantize>,
    /// Type of keys and values; int8 takes half the memory of f16 [default: f16, f32 on ndarray and with --dtype f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub kv: Option<KvType>,
    /// Neither map packed weights of an earlier start nor keep them for the next
    #[arg(long)]
    pub no_cache: bool,
    /// Refuse a model with tensors that it has no place for
    #[arg(long)]
    pub strict: bool,
}

/// How tokens are picked, and when to stop; defaults are the model's.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// 0 is greedy
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = number)]
    pub temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = top_k)]
    pub top_k: Option<i64>,
    /// Keep the likeliest tokens that together have probability P
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = number)]
    pub top_p: Option<f32>,
    /// Keep tokens at least P times as likely as the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = number)]
    pub min_p: Option<f32>,
    /// Divide the logits of tokens seen before
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    pub repetition_penalty: Option<f32>,
    /// Lower the logits of tokens generated before
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    pub presence_penalty: Option<f32>,
    /// Lower them for each time
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    pub frequency_penalty: Option<f32>,
    /// Add V to the logit of a token (repeatable)
    #[arg(long, value_name = "ID=V", value_parser = id_and_bias, action = ArgAction::Append)]
    pub logit_bias: Vec<(u32, f32)>,
    /// Make the draws repeatable
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = seed)]
    pub seed: Option<u64>,
    /// Stop before this text (repeatable)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, action = ArgAction::Append)]
    pub stop: Vec<String>,
    /// Most tokens of an answer [default: the model's, else 1024]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = positive)]
    pub max_tokens: Option<usize>,
    /// Go on past the end of the answer
    #[arg(long)]
    pub ignore_eos: bool,
    /// Report each token's log-probability and the N likeliest (with --json)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub logprobs: Option<usize>,
}

/// `--dtype`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    #[default]
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

/// `--quantize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Quantize {
    /// 8 bits everywhere
    Int8,
    /// 4 bits in the layers, 6 in embedding and head
    Int4,
    /// 4 bits everywhere
    Int4Pure,
}

impl From<Quantize> for Scheme {
    fn from(quantize: Quantize) -> Self {
        match quantize {
            Quantize::Int8 => Self::INT8,
            Quantize::Int4 => Self::INT4,
            Quantize::Int4Pure => Self::INT4_PURE,
        }
    }
}

/// `--kv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KvType {
    F16,
    F32,
    Int8,
}
