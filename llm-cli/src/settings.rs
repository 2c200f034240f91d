//! Raw flags in, ready objects out: done once, before any work.

use llm_infer::checkpoint::{LoadReport, Progress, Stage, Unpacked};
use llm_infer::device::{self, DeviceChoice, DeviceInfo};
use llm_infer::generate::GenerateOptions;
use llm_infer::sample::{Sampler, SamplingConfig, SamplingOptions};
use llm_infer::session::{Session, kv_name};
use llm_infer::{DType, Error, Model, ModelOptions};

use crate::args::{CommonArgs, KvType, ModelArgs, RunArgs, SamplingArgs};
use crate::interrupt::Interrupt;
use crate::models;
use crate::ui::{Failure, Ui, Unit, size};

/// The longest answer where neither the user nor the model says.
const MAX_TOKENS: usize = 1024;

/// A model and how to run it.
pub struct Setup {
    pub model: Model,
    /// Most tokens of prompt and answer together.
    pub context: usize,
    pub kv_dtype: DType,
}

impl Setup {
    /// Opens the device and loads the model.
    ///
    /// # Errors
    /// Flags that do not go together, and whatever is wrong with device or model.
    pub fn load(model: &ModelArgs, run: &RunArgs, common: &CommonArgs, ui: &Ui, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let path = models::resolve(model)?;
        let device = open_device(common.device, ui)?;
        let kv = run.kv.map(|kv| kv_dtype(kv, &device)).transpose()?;
        let cache = if run.no_cache { None } else { models::packed_cache()? };
        interrupt.hold();
        let progress = ui.progress("loading", Unit::Bytes);
        let show = |done: &Progress| {
            progress.describe(match done.stage {
                Stage::Hashing => "reading the weights, once, to know them again",
                Stage::Tensors => "loading",
                Stage::Writing => "writing packed weights to the cache",
            });
            progress.update(done.bytes, done.total_bytes);
        };
        let options = ModelOptions {
            dtype: run.dtype.into(),
            quantize: run.quantize.map(Into::into),
            cache,
            strict: run.strict,
            progress: Some(&show),
            cancel: Some(interrupt.flag()),
            ..ModelOptions::new(device)
        };
        let model = Model::load(&path, &options)?;
        drop(progress);
        report_load(&model, ui);
        let context = context(run.ctx, &model, ui);
        let kv_dtype = kv.unwrap_or_else(|| model.kv_dtype());
        ui.detail(&format!("keys and values {}, context {context}", kv_name(kv_dtype)));
        Ok(Self { model, context, kv_dtype })
    }

    /// An empty session.
    pub fn session(&self) -> Session {
        Session::with(&self.model, self.context, self.kv_dtype)
    }
}

/// Opens the device that was asked for.
///
/// # Errors
/// A device that is absent or not built in.
pub fn open_device(choice: DeviceChoice, ui: &Ui) -> llm_infer::Result<DeviceInfo> {
    let device = device::open(choice)?;
    ui.detail(&format!("device {}: {}", device.name, device.description));
    Ok(device)
}

/// The type of keys and values that was asked for.
///
/// # Errors
/// A type that the device does not compute with.
pub fn kv_dtype(kv: KvType, device: &DeviceInfo) -> llm_infer::Result<DType> {
    let dtype = match kv {
        KvType::F16 => DType::F16,
        KvType::F32 => DType::F32,
        KvType::Int8 => DType::I8,
    };
    if device.device.supports_dtype(dtype) {
        return Ok(dtype);
    }
    let names = [DType::F32, DType::F16, DType::I8].into_iter().filter(|dtype| device.device.supports_dtype(*dtype)).map(kv_name);
    let expected = names.collect::<Vec<_>>().join(" or ");
    Err(Error::request("--kv", kv_name(dtype), format!("{expected} on {}", device.name)))
}

/// `f16` for [`DType::F16`].
pub fn dtype_name(dtype: DType) -> String {
    format!("{dtype:?}").to_lowercase()
}

fn context(asked: Option<usize>, model: &Model, ui: &Ui) -> usize {
    let own = model.config().context_length();
    let context = asked.unwrap_or(own);
    if context > own {
        ui.warning(&format!("a context of {context} tokens is beyond the {own} that the model is made for"));
    }
    context
}

fn report_load(model: &Model, ui: &Ui) {
    let report = model.report();
    let mut details = format!("model {}: {} parameters in {}", model.name(), report.parameters, report.format());
    for change in &report.converted {
        let (from, to) = (dtype_name(change.from), dtype_name(change.to));
        details.push_str(&format!(", {} {from} -> {to}", tensors(change.tensors)));
    }
    ui.detail(&details);
    ui.detail(&speed(report, model.load_s()));
    let cache = &report.cache;
    for (what, file) in [("mapped from", &cache.mapped), ("written to", &cache.written)] {
        if let Some(file) = file {
            ui.detail(&format!("packed weights {what} cache {}", file.display()));
        }
    }
    if !report.widened.is_empty() {
        let types: Vec<String> = report.widened.iter().map(|(packing, count)| format!("{} of {packing}", tensors(*count))).collect();
        ui.warning(&format!("{}: no packed kernel here, widened to {}", types.join(", "), dtype_name(report.dtype)));
    }
    for Unpacked { format, tensors: count, packed_bytes, bytes } in &report.unpacked {
        let (what, held) = (tensors(*count), dtype_name(report.dtype));
        ui.notice(&format!("{what} of {format} widened to {held}, {} instead of {}", size(*bytes), size(*packed_bytes)));
    }
    if !report.other_parts.is_empty() {
        let parts: Vec<String> = report.other_parts.iter().map(|(part, count)| format!("{} of `{part}`", tensors(*count))).collect();
        ui.warning(&format!("{}: left out, only the language model is computed", parts.join(", ")));
    }
    for notice in &cache.notices {
        ui.warning(&format!("{notice} (`--no-cache` does without)"));
    }
    for asked in &model.generation().unsupported {
        ui.warning(&format!("generation_config.json: {asked}: not supported, generation goes on without it"));
    }
    if !report.unexpected.is_empty() {
        let count = report.unexpected.len();
        let first: Vec<String> = report.unexpected.iter().take(10).map(|name| format!("`{name}`")).collect();
        let more = if count > 10 { format!(" and {} more", count - 10) } else { String::new() };
        let were = if count == 1 { "was" } else { "were" };
        let (what, first) = (tensors(count), first.join(", "));
        ui.warning(&format!("{what} that the model has no place for {were} left out: {first}{more} (`--strict` refuses that)"));
    }
}

/// What was read, and how fast; opening files, tokenizer and template counted apart.
fn speed(report: &LoadReport, load_s: f64) -> String {
    let (bytes, seconds) = (report.bytes_read as f64, report.seconds);
    let rate = if bytes > 0.0 { format!(", {:.2} GB/s", bytes / seconds.max(1e-9) / 1e9) } else { String::new() };
    let (read, held, other) = (bytes / 1e6, report.bytes as f64 / 1e6, load_s - seconds);
    format!("read {read:.1} MB into {held:.1} MB of weights in {seconds:.2} s{rate}; the rest of loading took {other:.2} s")
}

/// `1 tensor`, `2 tensors`.
fn tensors(count: usize) -> String {
    format!("{count} tensor{}", if count == 1 { "" } else { "s" })
}

/// Refuses `--logprobs` where they could not be shown.
///
/// # Errors
/// `--logprobs` without `--json`.
pub fn require_json_for_logprobs(args: &SamplingArgs, common: &CommonArgs) -> Result<(), Failure> {
    match args.logprobs {
        Some(_) if !common.json => {
            Err(Failure::usage("--logprobs: got no `--json`, expected both").with_hint("only the JSON object has room for them"))
        }
        _ => Ok(()),
    }
}

/// What the user says about sampling, checked as far as it can be without a model.
///
/// # Errors
/// A value that no model allows.
pub fn user_sampling(args: &SamplingArgs) -> llm_infer::Result<SamplingOptions> {
    let user = SamplingOptions {
        do_sample: None,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        repetition_penalty: args.repetition_penalty,
        presence_penalty: args.presence_penalty,
        frequency_penalty: args.frequency_penalty,
        logit_bias: (!args.logit_bias.is_empty()).then(|| args.logit_bias.iter().copied().collect()),
        seed: args.seed,
    };
    SamplingConfig::resolve(&SamplingOptions::default(), &user).validate()?;
    llm_infer::stop::StopStrings::new(&args.stop)?;
    Ok(user)
}

/// The flags over the model's defaults over ours.
///
/// # Errors
/// A value that this model does not allow, as a biased token that it does not have.
pub fn generate_options(model: &Model, user: &SamplingOptions, args: &SamplingArgs, ui: &Ui) -> llm_infer::Result<GenerateOptions> {
    let sampling = SamplingConfig::resolve(&model.generation().sampling(), user);
    Sampler::new(&sampling, model.config().vocab_size)?;
    let advised = model.generation().max_new_tokens.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let max_tokens = args.max_tokens.or(advised).unwrap_or(MAX_TOKENS);
    let shown = serde_json::to_string(&sampling).unwrap_or_default();
    ui.detail(&format!("sampling {shown}, at most {max_tokens} tokens"));
    Ok(GenerateOptions {
        stop: args.stop.clone(),
        ignore_eos: args.ignore_eos,
        logprobs: args.logprobs,
        ..GenerateOptions::new(sampling, max_tokens)
    })
}

/// The same error about a setting of JSON or `/set`: `top_p` where the library speaks of `--top-p`.
pub fn named_as_field(error: Error) -> Error {
    match error {
        Error::Request { field, got, expected, hint } => {
            Error::Request { field: field.trim_start_matches("--").replace('-', "_"), got, expected, hint }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f53_values_are_refused_before_a_model_is_loaded() {
        let args = SamplingArgs { temperature: Some(f32::NAN), ..Default::default() };
        assert!(user_sampling(&args).is_err());
        let args = SamplingArgs { stop: vec![String::new()], ..Default::default() };
        assert!(user_sampling(&args).is_err());
        assert!(user_sampling(&SamplingArgs::default()).is_ok());
    }
}
