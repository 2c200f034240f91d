//! `llm inspect`: what a model is made of, without loading it.

use std::collections::BTreeMap;
use std::io::Write;

use llm_infer::chat::ChatTemplate;
use llm_infer::checkpoint::{CheckReport, Checkpoint, Progress, SlowPath};
use llm_infer::llm_model::ModelConfig;
use llm_infer::tokenizer::TokenizerSummary;
use llm_infer::{Error, builtin};
use serde_json::{Value, json};

use super::{Environment, print_json};
use crate::args::InspectArgs;
use crate::models;
use crate::ui::{Unit, grouped, plain, size};

/// A checkpoint with what lies beside it; a tokenizer or template that is missing or damaged is part of the finding.
struct Parts {
    checkpoint: Checkpoint,
    config: ModelConfig,
    tokenizer: Result<TokenizerSummary, Error>,
    template: Result<ChatTemplate, Error>,
}

/// Tensors of one type.
#[derive(Default)]
struct Total {
    tensors: usize,
    parameters: usize,
    bytes: u64,
}

pub fn run(args: &InspectArgs, environment: &Environment, out: &mut dyn Write) -> anyhow::Result<()> {
    let path = models::resolve(&args.model)?;
    let parts = open(&path)?;
    let check = args.check.then(|| check(&parts, environment)).transpose()?;
    if environment.common.json { print_json(&as_json(&path, &parts, check), out) } else { Ok(print(&path, &parts, check, out)?) }
}

fn open(path: &str) -> llm_infer::Result<Parts> {
    let (checkpoint, tokenizer, template) = if path == builtin::NAME {
        let (checkpoint, tokenizer, template) = builtin::open()?;
        (checkpoint, Ok(tokenizer.summary()), template)
    } else {
        let checkpoint = Checkpoint::open(path)?;
        let (tokenizer, template) = (checkpoint.tokenizer_summary(), checkpoint.template());
        (checkpoint, tokenizer, template)
    };
    Ok(Parts { config: checkpoint.model_config()?, checkpoint, tokenizer, template })
}

/// Whether the parts belong together, and whether every weight is a number.
fn check(parts: &Parts, environment: &Environment) -> llm_infer::Result<CheckReport> {
    environment.interrupt.hold();
    parts.checkpoint.check_shapes()?;
    if !parts.checkpoint.is_embedded() && parts.tokenizer.is_ok() {
        parts.checkpoint.tokenizer()?.check_ids(parts.config.vocab_size)?;
    }
    let bar = environment.ui.progress("checking", Unit::Bytes);
    let show = |done: &Progress| bar.update(done.bytes, done.total_bytes);
    parts.checkpoint.check(Some(&show), Some(environment.interrupt.flag()))
}

/// The tensors by type, and all together.
fn totals(checkpoint: &Checkpoint) -> (BTreeMap<String, Total>, Total) {
    let (mut by_type, mut all) = (BTreeMap::<String, Total>::new(), Total::default());
    for info in checkpoint.tensors() {
        for total in [by_type.entry(info.type_name()).or_default(), &mut all] {
            total.tensors += 1;
            total.parameters += info.elements();
            total.bytes += info.bytes;
        }
    }
    (by_type, all)
}

fn as_json(path: &str, parts: &Parts, check: Option<CheckReport>) -> Value {
    let (by_type, all) = totals(&parts.checkpoint);
    let total = |total: &Total| json!({"tensors": total.tensors, "parameters": total.parameters, "bytes": total.bytes});
    let tensors = parts.checkpoint.tensors().iter().map(|info| {
        json!({"name": info.name, "dtype": info.type_name(), "shape": info.shape, "bytes": info.bytes, "file": info.file.to_string_lossy()})
    });
    let generation = parts.checkpoint.generation_config();
    let mut value = json!({
        "model": path,
        "architecture": parts.config.model_type,
        "config": parts.config,
        "parameters": all.parameters,
        "bytes": all.bytes,
        "dtypes": by_type.iter().map(|(dtype, of_type)| (dtype.clone(), total(of_type))).collect::<serde_json::Map<_, _>>(),
        "quantization": parts.checkpoint.config().get("quantization_config"),
        "slow_paths": parts.checkpoint.slow_paths(),
        "tokenizer": tokenizer_json(parts),
        "eos_token_id": generation.eos_token_id,
        "chat_template": parts.template.is_ok(),
        "tensors": tensors.collect::<Vec<_>>(),
    });
    if let Some(check) = check {
        value["check"] = json!({"tensors": check.tensors, "values": check.values, "bytes": check.bytes, "finite": true});
    }
    value
}

fn tokenizer_json(parts: &Parts) -> Value {
    match &parts.tokenizer {
        Ok(tokenizer) => json!({
            "vocab_size": tokenizer.vocab_size, "bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token,
            "pad_token": tokenizer.pad_token,
        }),
        Err(error) => json!({"error": error.to_string()}),
    }
}

fn print(path: &str, parts: &Parts, check: Option<CheckReport>, out: &mut dyn Write) -> std::io::Result<()> {
    let (by_type, all) = totals(&parts.checkpoint);
    writeln!(
        out,
        "{}: {}, {} parameters, {}\n",
        plain(path),
        plain(&parts.config.model_type),
        grouped(all.parameters as u64),
        size(all.bytes)
    )?;
    if let Ok(Value::Object(fields)) = serde_json::to_value(&parts.config) {
        for (name, value) in fields {
            writeln!(out, "{name:<24} {}", plain(&brief(&name, &value)))?;
        }
    }
    if let Some(line) = quantization_line(parts) {
        writeln!(out, "{:<24} {}", "quantization", plain(&line))?;
    }
    for slow in parts.checkpoint.slow_paths() {
        let SlowPath { stored, held, why, tensors, .. } = slow;
        writeln!(out, "{:<24} {tensors} tensors of {stored} are held as {held}: {why}", "slower path")?;
    }
    writeln!(out, "{:<24} {}", "tokenizer", plain(&tokenizer_line(parts)))?;
    writeln!(out, "{:<24} {}", "chat_template", plain(&template_line(parts)))?;
    writeln!(out)?;
    print_tensors(parts, out)?;
    writeln!(out)?;
    let types = by_type.keys().map(String::len).max().unwrap_or(0).max(5);
    for (dtype, total) in &by_type {
        writeln!(
            out,
            "{dtype:<types$} {:>5} tensors {:>16} parameters {:>12}",
            total.tensors,
            grouped(total.parameters as u64),
            size(total.bytes)
        )?;
    }
    match check {
        Some(check) => writeln!(out, "\nchecked: all {} numbers of {} tensors are finite", grouped(check.values as u64), check.tensors),
        None => Ok(()),
    }
}

fn print_tensors(parts: &Parts, out: &mut dyn Write) -> std::io::Result<()> {
    let named: Vec<_> = parts.checkpoint.tensors().iter().map(|info| (plain(&info.name), info)).collect();
    let width = named.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let types = named.iter().map(|(_, info)| info.type_name().len()).max().unwrap_or(0).max(5);
    for (name, info) in named {
        writeln!(out, "{name:<width$}  {:<types$} {:<16} {:>12}", info.type_name(), format!("{:?}", info.shape), size(info.bytes))?;
    }
    Ok(())
}

/// Windows are one for each layer: their number says enough.
fn brief(name: &str, value: &Value) -> String {
    match value.as_array() {
        Some(windows) if name == "sliding_windows" => {
            let windowed = windows.iter().filter(|window| !window.is_null()).count();
            let first = windows.iter().find(|window| !window.is_null());
            first.map_or_else(|| "none".to_owned(), |window| format!("{window} in {windowed} of {} layers", windows.len()))
        }
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// `gptq: int4, int8` where weights are quantized.
fn quantization_line(parts: &Parts) -> Option<String> {
    let quantization = parts.checkpoint.config().get("quantization_config").filter(|_| parts.checkpoint.is_quantized())?;
    let formats: Vec<&str> = quantization["formats"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Some(format!("{}: {}", quantization["method"].as_str().unwrap_or("unknown"), formats.join(", ")))
}

fn tokenizer_line(parts: &Parts) -> String {
    match &parts.tokenizer {
        Ok(tokenizer) => {
            let special = |name: &str, token: Option<&str>| token.map(|token| format!(", {name} `{token}`")).unwrap_or_default();
            let (bos, eos) = (special("bos", tokenizer.bos_token.as_deref()), special("eos", tokenizer.eos_token.as_deref()));
            format!("{} tokens{bos}{eos}, ends at {:?}", tokenizer.vocab_size, parts.checkpoint.generation_config().eos_token_id)
        }
        Err(error) => format!("unusable: {error}"),
    }
}

fn template_line(parts: &Parts) -> String {
    match &parts.template {
        Ok(_) => "yes".into(),
        Err(error) => format!("no: {error}"),
    }
}
