//! GGUF files.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::DType;

use super::kinds::{Fate, fate};
use super::{ConvertReport, Job, Subject};
use crate::checkpoint::gguf::names::Architecture;
use crate::checkpoint::gguf::types::GgmlType;
use crate::checkpoint::gguf::write::{Item, Keys, NewGguf, Planned};
use crate::checkpoint::gguf::{keys, pack, tokens};
use crate::checkpoint::{Checkpoint, Restored, TensorInfo, WeightSource, cast, require_finite};
use crate::{Error, Result};

/// A tensor of the file, what its matrices are made of (one for each expert where it holds those of all), and what becomes of the numbers.
struct Plan<'a> {
    planned: Planned,
    infos: Vec<&'a TensorInfo>,
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
    if let Some([field, got, expected]) = keys::unloadable(architecture, &config) {
        return Err(Error::invalid(checkpoint.path(), field, got, expected).with_hint("this model cannot be written as GGUF"));
    }
    refuse_target(checkpoint, output, options.force)?;
    let layout = architecture.written_layout(&config);
    let source = Restored::new(checkpoint.source(), &layout, &|name| Ok(!checkpoint.is_no_weight(name)?))?;
    let plans = plans(&source, architecture, job)?;
    let factors = keys::rope_factors(architecture, &config);
    let mut planned: Vec<Planned> = plans.iter().map(|plan| plan.planned.clone()).collect();
    planned.extend(factors.iter().map(|(name, factors)| Planned {
        name: (*name).to_owned(),
        shape: vec![factors.len()],
        kind: GgmlType::F32,
    }));
    let mut notices = keys::unheeded(architecture, &config);
    let mut all = keys::keys(architecture, &config, &subject.name, most_used(&planned));
    all.extend(text(subject, config.vocab_size, &mut notices)?);
    if let Some(parent) = output.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
    }
    let mut file = NewGguf::create(output, &all, planned)?;
    // Again, as another process may have finished meanwhile.
    refuse_target(checkpoint, output, options.force)?;
    let removed = file.removed().to_vec();
    job.expect(file.bytes());
    let mut written = Vec::new();
    for Plan { planned, infos, fate } in &plans {
        let mut all = Vec::with_capacity(planned.bytes() as usize);
        for info in infos {
            all.extend(bytes(checkpoint, &source, info, *fate)?);
            job.step(&info.name, info.bytes)?;
        }
        file.put(&planned.name, &all)?;
        written.push((planned.kind.lowercase().to_owned(), planned.shape.iter().product()));
    }
    for (name, factors) in factors {
        file.put(name, &factors.iter().flat_map(|factor| factor.to_le_bytes()).collect::<Vec<_>>())?;
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
    Ok(ConvertReport { removed, ..ConvertReport::new(output, checkpoint, &written, bytes, notices) })
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

/// Every tensor of the file.
fn plans<'a>(source: &'a Restored, architecture: &Architecture, job: &Job) -> Result<Vec<Plan<'a>>> {
    let mut plans: Vec<Plan> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for info in source.tensors() {
        let invalid = |got: String, expected: String| Error::invalid(&info.file, format!("tensor `{}`", info.name), got, expected);
        let Some((name, expert)) = architecture.file_name(&info.name) else {
            let expected = format!("one that GGUF files of `{}` have a name for", architecture.name);
            return Err(invalid("a tensor without a name".to_owned(), expected));
        };
        let fate = fate(info, &name, job.options)?;
        let Some(number) = expert else {
            plans.push(Plan { planned: Planned { name, shape: info.shape.clone(), kind: fate.kind }, infos: vec![info], fate });
            continue;
        };
        let index = *by_name.entry(name.clone()).or_insert_with(|| {
            let shape = [0].into_iter().chain(info.shape.iter().copied()).collect();
            plans.push(Plan { planned: Planned { name, shape, kind: fate.kind }, infos: Vec::new(), fate });
            plans.len() - 1
        });
        let plan = &mut plans[index];
        if (plan.infos.len(), &plan.planned.shape[1..], plan.fate) != (number, &info.shape[..], fate) {
            let got = format!("{} {:?} behind {} others", info.type_name(), info.shape, plan.infos.len());
            return Err(invalid(got, "experts in order, of one type and the same dimensions".to_owned()));
        }
        plan.infos.push(info);
        plan.planned.shape[0] += 1;
    }
    Ok(plans)
}

/// The type that takes the most bytes.
fn most_used(planned: &[Planned]) -> GgmlType {
    let bytes = |kind: GgmlType| planned.iter().filter(|tensor| tensor.kind == kind).map(Planned::bytes).sum::<u64>();
    planned.iter().map(|tensor| tensor.kind).max_by_key(|kind| bytes(*kind)).unwrap_or(GgmlType::F32)
}

/// The tensor as the file has it.
fn bytes(checkpoint: &Checkpoint, source: &Restored, info: &TensorInfo, fate: Fate) -> Result<Vec<u8>> {
    if fate.keeps_bits {
        return Ok(pack::blocks(&source.read_quantized(&info.name)?));
    }
    let data = source.read(&info.name)?;
    if require_finite(&data, info).is_err() {
        // Named as whoever made the model knows it.
        for name in source.parameters(&info.name) {
            checkpoint.require_finite(&checkpoint.source().read(name)?, name)?;
        }
    }
    match fate.kind {
        GgmlType::Q8_0 | GgmlType::Q4_0 => {
            let numbers = cast(data, DType::F32, info)?;
            let numbers = numbers.as_slice::<f32>().map_err(|error| Error::invalid(&info.file, &info.name, format!("{error:?}"), "f32"))?;
            Ok(pack::rounded(fate.kind, numbers))
        }
        kind => Ok(cast(data, kind.dtype().unwrap_or(DType::F32), info)?.as_bytes().to_vec()),
    }
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
