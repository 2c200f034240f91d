//! GGUF files.

use std::path::Path;

use burn::tensor::DType;
use llm_model::RopeScaling;
use llm_model::arch::Interleaved;

use super::kinds::{Fate, fate};
use super::{ConvertReport, Job, Subject};
use crate::checkpoint::gguf::names::Architecture;
use crate::checkpoint::gguf::types::GgmlType;
use crate::checkpoint::gguf::write::{Item, Keys, NewGguf, Planned};
use crate::checkpoint::gguf::{keys, pack, tokens};
use crate::checkpoint::{Checkpoint, TensorInfo, cast};
use crate::{Error, Result};

/// A tensor, what it will be, and what becomes of its numbers.
struct Plan<'a> {
    info: &'a TensorInfo,
    planned: Planned,
    fate: Fate,
}

/// Writes the model to the file `output`.
pub(super) fn write(subject: &Subject, output: &Path, job: &Job) -> Result<ConvertReport> {
    let (checkpoint, options) = (&subject.checkpoint, job.options);
    let config = checkpoint.model_config()?;
    let Some(architecture) = Architecture::of_family(&config.model_type) else {
        let expected = format!("one of {}", Architecture::families());
        return Err(Error::invalid(checkpoint.path(), "model_type", format!("`{}`", config.model_type), expected)
            .with_hint("models of other families cannot be written as GGUF yet"));
    };
    refuse_target(checkpoint, output, options.force)?;
    let plans = plans(checkpoint, architecture, job)?;
    let factors = keys::rope_factors(&config);
    let mut planned: Vec<Planned> = plans.iter().map(|plan| plan.planned.clone()).collect();
    planned.extend(factors.iter().map(|factors| Planned {
        name: keys::ROPE_FREQS.to_owned(),
        shape: vec![factors.len()],
        kind: GgmlType::F32,
    }));
    let mut notices = Vec::new();
    if let RopeScaling::Yarn { beta_fast, beta_slow, .. } = config.rope.scaling
        && (beta_fast, beta_slow) != (32.0, 1.0)
    {
        notices.push(format!("llama.cpp takes no notice of beta_fast = {beta_fast} and beta_slow = {beta_slow} of YaRN: it has 32 and 1"));
    }
    let mut all = keys::keys(architecture, &config, &subject.name, most_used(&planned));
    all.extend(text(subject, config.vocab_size, &mut notices)?);
    if let Some(parent) = output.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
    }
    let mut file = NewGguf::create(output, &all, planned)?;
    job.expect(file.bytes());
    let interleaved = architecture.layout(&config).interleaved;
    let mut written = Vec::new();
    for Plan { info, planned, fate } in &plans {
        file.put(&planned.name, &bytes(checkpoint, info, *fate, interleaved)?)?;
        written.push((planned.kind.lowercase().to_owned(), info.elements()));
        job.step(&info.name, info.bytes)?;
    }
    if let Some(factors) = factors {
        file.put(keys::ROPE_FREQS, &factors.iter().flat_map(|factor| factor.to_le_bytes()).collect::<Vec<_>>())?;
    }
    let bytes = file.bytes();
    // What the file does not say would be lost: it has to be read as the model that it is of.
    let check = |path: &Path| {
        let read = Checkpoint::open(path)?;
        read.check_shapes()?;
        match keys::difference(&read.model_config()?, &config) {
            Some([field, got, expected]) => Err(Error::invalid(
                checkpoint.path(),
                field,
                expected,
                format!("{got}, which is all that a GGUF file of `{}` says", architecture.name),
            )
            .with_hint("this model cannot be written as GGUF")),
            None => Ok(()),
        }
    };
    file.finish(&check, &|bytes| job.step("", bytes))?;
    Ok(ConvertReport::new(output, checkpoint, &written, bytes, notices))
}

/// Nothing but a file may be replaced, that only where it is asked for, and never the model itself.
fn refuse_target(checkpoint: &Checkpoint, output: &Path, force: bool) -> Result<()> {
    let Ok(metadata) = output.symlink_metadata() else { return Ok(()) };
    let shown = output.display();
    let refused = |got: String, hint: &str| Err(Error::request("OUT", got, "the name of a new file").with_hint(hint));
    if !metadata.is_file() {
        return refused(format!("`{shown}`, a folder or link that is there already"), "choose another name, or remove it first");
    }
    let target = output.canonicalize().map_err(|error| Error::io(output, error))?;
    if checkpoint.tensors().iter().any(|info| info.file.canonicalize().is_ok_and(|file| file == target)) {
        return refused(format!("`{shown}`, which is the model"), "a model is never converted in place");
    }
    if !force {
        return refused(format!("`{shown}`, which is there already"), "`--force` replaces it once the new one is complete");
    }
    Ok(())
}

/// Every parameter under its name in the file.
fn plans<'a>(checkpoint: &'a Checkpoint, architecture: &Architecture, job: &Job) -> Result<Vec<Plan<'a>>> {
    let mut plans = Vec::new();
    for info in checkpoint.tensors() {
        if checkpoint.is_no_weight(&info.name)? {
            continue;
        }
        let Some(name) = architecture.file_name(&info.name) else {
            let expected = format!("one that GGUF files of `{}` have a name for", architecture.name);
            return Err(Error::invalid(&info.file, format!("tensor `{}`", info.name), "a tensor without a name", expected));
        };
        let fate = fate(info, job.options)?;
        plans.push(Plan { info, planned: Planned { name, shape: info.shape.clone(), kind: fate.kind }, fate });
    }
    Ok(plans)
}

/// The type that takes the most bytes.
fn most_used(planned: &[Planned]) -> GgmlType {
    let bytes = |kind: GgmlType| planned.iter().filter(|tensor| tensor.kind == kind).map(Planned::bytes).sum::<u64>();
    planned.iter().map(|tensor| tensor.kind).max_by_key(|kind| bytes(*kind)).unwrap_or(GgmlType::F32)
}

/// The tensor as the file has it.
fn bytes(checkpoint: &Checkpoint, info: &TensorInfo, fate: Fate, interleaved: Option<Interleaved>) -> Result<Vec<u8>> {
    let source = checkpoint.source();
    let bytes = if fate.keeps_bits {
        pack::blocks(&source.read_quantized(&info.name)?)
    } else {
        let data = source.read(&info.name)?;
        checkpoint.require_finite(&data, &info.name)?;
        match fate.kind {
            GgmlType::Q8_0 | GgmlType::Q4_0 => {
                let numbers = cast(data, DType::F32, info)?;
                let numbers =
                    numbers.as_slice::<f32>().map_err(|error| Error::invalid(&info.file, &info.name, format!("{error:?}"), "f32"))?;
                pack::rounded(fate.kind, numbers)
            }
            kind => cast(data, kind.dtype().unwrap_or(DType::F32), info)?.as_bytes().to_vec(),
        }
    };
    let rotated = [".self_attn.q_proj.", ".self_attn.k_proj."].iter().any(|part| info.name.contains(part));
    Ok(match interleaved {
        Some(interleaved) if rotated => scattered(&bytes, info.shape[0], interleaved),
        _ => bytes,
    })
}

/// `bytes` of rows in their usual order, in that of `interleaved`.
fn scattered(bytes: &[u8], rows: usize, interleaved: Interleaved) -> Vec<u8> {
    let width = bytes.len() / rows.max(1);
    let mut scattered = vec![0; bytes.len()];
    (0..rows).for_each(|row| scattered[interleaved.stored(row) * width..][..width].copy_from_slice(&bytes[row * width..][..width]));
    scattered
}

/// The keys of tokenizer and template.
fn text(subject: &Subject, rows: usize, notices: &mut Vec<String>) -> Result<Keys> {
    let checkpoint = &subject.checkpoint;
    let vocabulary = match (checkpoint.vocabulary(), &subject.tokenizer) {
        (Some(vocabulary), _) => vocabulary.clone(),
        (None, Ok(tokenizer)) => {
            tokenizer.check_ids(rows)?;
            tokenizer.vocabulary()?
        }
        (None, Err(error)) => {
            notices.push(format!("the file has no tokenizer: {error}"));
            return Ok(vec![("tokenizer.ggml.model".to_owned(), Item::Text("no_vocab".to_owned()))]);
        }
    };
    if vocabulary.json.is_some() {
        notices.push(
            "llama.cpp has no name for how this tokenizer cuts words: it will cut some in another way; `llm` reads the tokenizer.json \
             that is in the file, too"
                .to_owned(),
        );
    }
    let generation = checkpoint.generation_config();
    if generation.sampling() != crate::sample::SamplingOptions::default() {
        notices.push("the defaults for sampling in generation_config.json are not in the file".to_owned());
    }
    let template = subject.template.as_ref();
    let (default, tool_use) = (template.map(|(default, _)| default.as_str()), template.and_then(|(_, tools)| tools.as_deref()));
    Ok(tokens::keys(&vocabulary, rows, &generation.eos_token_id, default, tool_use))
}
