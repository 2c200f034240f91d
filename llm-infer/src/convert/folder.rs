//! Folders: of Hugging Face, and of packed weights.

use std::path::Path;

use burn::tensor::DType;
use serde_json::{Value, json};

use super::{ConvertReport, Job, Subject, Target, WeightType};
use crate::checkpoint::{Form, NewFolder, Planned, QuantizedFile, TensorInfo, WeightSource, cast, require_uncancelled};
use crate::quantize::{companions, refuse_overlap};
use crate::{Error, Result};

/// What transformers calls the models of the families.
const CLASSES: [(&str, &str); 23] = [
    ("cohere", "CohereForCausalLM"),
    ("falcon", "FalconForCausalLM"),
    ("gemma", "GemmaForCausalLM"),
    ("gemma2", "Gemma2ForCausalLM"),
    ("gemma3_text", "Gemma3ForCausalLM"),
    ("glm4", "Glm4ForCausalLM"),
    ("gpt2", "GPT2LMHeadModel"),
    ("gpt_neox", "GPTNeoXForCausalLM"),
    ("gpt_oss", "GptOssForCausalLM"),
    ("granite", "GraniteForCausalLM"),
    ("llama", "LlamaForCausalLM"),
    ("mistral", "MistralForCausalLM"),
    ("mixtral", "MixtralForCausalLM"),
    ("olmo2", "Olmo2ForCausalLM"),
    ("phi", "PhiForCausalLM"),
    ("phi3", "Phi3ForCausalLM"),
    ("qwen2", "Qwen2ForCausalLM"),
    ("qwen2_moe", "Qwen2MoeForCausalLM"),
    ("qwen3", "Qwen3ForCausalLM"),
    ("qwen3_moe", "Qwen3MoeForCausalLM"),
    ("smollm3", "SmolLM3ForCausalLM"),
    ("stablelm", "StableLmForCausalLM"),
    ("starcoder2", "Starcoder2ForCausalLM"),
];

/// Writes the model to the folder `output`.
pub(super) fn write(subject: &Subject, output: &Path, target: Target, job: &Job) -> Result<ConvertReport> {
    let (checkpoint, options) = (&subject.checkpoint, job.options);
    if matches!(options.dtype, WeightType::Q8_0 | WeightType::Q4_0) {
        return Err(Error::request("--dtype", "blocks of ggml for a folder", "f32, f16 or bf16")
            .with_hint("`--to gguf` writes q8_0 and q4_0; `llm quantize` makes a folder of packed weights"));
    }
    if target == Target::Packed && !checkpoint.is_quantized() {
        return Err(Error::request("--to", "`packed` for a model in floats", "a model that is quantized, or `--to hf`")
            .with_hint("`llm quantize` rounds weights to few bits"));
    }
    refuse_overlap(checkpoint, output, "a model is never converted in place")?;
    // The tensors as a folder of floats has them, or else as the family stores them.
    let stored = match target {
        Target::HuggingFace => checkpoint.stored()?.map_or_else(|| checkpoint.restored(), |stored| Ok(Some(stored)))?,
        _ => None,
    };
    let source: &dyn WeightSource = stored.as_deref().unwrap_or_else(|| checkpoint.source());
    let mut planned = Vec::new();
    for info in source.tensors() {
        if stored.is_none() && checkpoint.is_no_weight(&info.name)? {
            continue;
        }
        planned.push(Planned { name: info.name.clone(), shape: info.shape.clone(), form: form(info, target, options.dtype)? });
    }
    let folder = NewFolder::create(output, options.force)?;
    let mut file = QuantizedFile::create(&folder.path().join("model.safetensors"), &planned)?;
    job.expect(file.bytes());
    let mut written = Vec::new();
    for (info, Planned { form, .. }) in source.tensors().iter().filter_map(|info| Some((info, find(&planned, &info.name)?))) {
        match *form {
            Form::Quantized(_) => file.put_matrix(&info.name, &source.read_quantized(&info.name)?.matrix())?,
            Form::Plain(dtype) => file.put(&info.name, &cast(source.read(&info.name)?, dtype, info)?)?,
        }
        written.push((type_name(*form), info.elements()));
        job.step(&info.name, info.bytes)?;
    }
    let bytes = file.finish(&|bytes| job.step("", bytes))?;
    companions::write(checkpoint, &config(checkpoint.config(), target, &planned), folder.path())?;
    let removed = folder.removed().to_vec();
    require_uncancelled(options.cancel)?;
    folder.finish()?;
    Ok(ConvertReport { removed, ..ConvertReport::new(output, checkpoint, &written, bytes, notices(source, target)) })
}

fn find<'a>(planned: &'a [Planned], name: &str) -> Option<&'a Planned> {
    planned.iter().find(|tensor| tensor.name == name)
}

/// How a tensor is stored.
fn form(info: &TensorInfo, target: Target, dtype: WeightType) -> Result<Form> {
    if let Some(format) = info.format.filter(|_| target == Target::Packed) {
        return Ok(Form::Quantized(format));
    }
    match dtype.floats() {
        _ if !info.is_float() => Ok(Form::Plain(info.dtype)),
        Some(floats) => Ok(Form::Plain(floats)),
        None if info.is_rounded() && target == Target::HuggingFace => {
            let field = format!("tensor `{}`", info.name);
            Err(Error::invalid(&info.file, field, info.type_name(), "floats, as a Hugging Face folder has them")
                .with_hint("`--to packed` keeps the bits; `--dtype f16` or `--dtype f32` writes the floats that it means"))
        }
        None => Ok(Form::Plain(if info.format.is_some() { DType::F32 } else { info.dtype })),
    }
}

fn type_name(form: Form) -> String {
    match form {
        Form::Quantized(format) => format.name().to_owned(),
        Form::Plain(dtype) => format!("{dtype:?}").to_lowercase(),
    }
}

/// config.json with what is true of the new weights.
fn config(config: &Value, target: Target, planned: &[Planned]) -> Value {
    let mut config = config.clone();
    let Some(fields) = config.as_object_mut() else { return config };
    fields.remove("quantization_config");
    if target == Target::Packed {
        let mut formats: Vec<&str> = planned
            .iter()
            .filter_map(|tensor| if let Form::Quantized(format) = tensor.form { Some(format.name()) } else { None })
            .collect();
        formats.sort_unstable();
        formats.dedup();
        fields.insert("quantization_config".to_owned(), companions::quantization("convert", &formats));
    }
    let matrix = planned.iter().find_map(|tensor| match tensor.form {
        Form::Plain(dtype) if tensor.shape.len() > 1 && dtype.is_float() => Some(dtype),
        _ => None,
    });
    let name = match matrix {
        Some(DType::F16) => "float16",
        Some(DType::BF16) => "bfloat16",
        Some(DType::F32) => "float32",
        _ => return config,
    };
    let class = CLASSES.iter().find(|(family, _)| fields.get("model_type").is_some_and(|model_type| model_type == family));
    if let Some((_, class)) = class.filter(|_| !fields.contains_key("architectures")) {
        fields.insert("architectures".to_owned(), json!([class]));
    }
    let key = if fields.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    fields.insert(key.to_owned(), json!(name));
    config
}

/// What is no longer as it was stored.
fn notices(source: &dyn WeightSource, target: Target) -> Vec<String> {
    let mut widened: Vec<String> = source
        .tensors()
        .iter()
        .filter(|info| info.packing.is_some() || (info.format.is_some() && target == Target::HuggingFace))
        .map(TensorInfo::type_name)
        .collect();
    widened.sort();
    let count = |kind: &String| widened.iter().filter(|other| *other == kind).count();
    let mut kinds = widened.clone();
    kinds.dedup();
    kinds.iter().map(|kind| format!("{} tensors of {kind} are floats now", count(kind))).collect()
}
