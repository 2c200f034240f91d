//! The files beside the weights: the configuration with what was done, and the rest byte for byte.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::checkpoint::Checkpoint;
use crate::{Error, Result, builtin};

/// Endings of files that belong to a model and are no weights; licences have none.
const ENDINGS: [&str; 5] = ["json", "jinja", "txt", "model", "md"];

/// The largest file that is copied, in bytes: tokenizers have some tens of millions.
const LARGEST: u64 = 256 << 20;

/// Writes `config` as config.json and copies what else belongs to the model of `checkpoint` into `folder`.
pub(crate) fn write(checkpoint: &Checkpoint, config: &Value, folder: &Path) -> Result<()> {
    let path = folder.join("config.json");
    let written = std::fs::File::create_new(&path).and_then(|mut file| file.write_all(format!("{config:#}\n").as_bytes()));
    written.map_err(|error| Error::io(&path, error))?;
    match checkpoint.folder() {
        Some(source) => copy(source, folder),
        None if checkpoint.is_embedded() => builtin::write_tokenizer(folder),
        None => checkpoint.write_text(folder),
    }
}

/// What `quantization_config` says; the weight file itself says how to unpack each tensor.
pub(crate) fn quantization(method: &str, formats: &[&str]) -> Value {
    json!({
        "quant_method": llm_model::quant::METHOD,
        "version": crate::checkpoint::QUANTIZATION_VERSION,
        "method": method,
        "formats": formats,
        "block_size": llm_model::quant::BLOCK,
        "unpack": "see `quantization` in the `__metadata__` of model.safetensors",
    })
}

fn copy(source: &Path, folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(source).map_err(|error| Error::io(source, error))? {
        let path = entry.map_err(|error| Error::io(source, error))?.path();
        if let Some(name) = companion(&path) {
            let copied = std::fs::copy(&path, folder.join(name));
            copied.map_err(|error| Error::io(&path, io::Error::new(error.kind(), format!("copying it: {error}"))))?;
        }
    }
    Ok(())
}

/// The name of `path` where it is such a file.
fn companion(path: &Path) -> Option<PathBuf> {
    let name = PathBuf::from(path.file_name()?);
    let text = name.to_string_lossy();
    let known = name.extension().is_none_or(|ending| ENDINGS.iter().any(|known| ending == *known));
    let excluded = text.starts_with('.') || text == "config.json" || text.ends_with(".index.json");
    // A link, as the Hugging Face cache has them, is followed.
    let metadata = path.metadata().ok()?;
    (known && !excluded && metadata.is_file() && metadata.len() <= LARGEST).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_hidden_files_stay_behind() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["tokenizer.json", "config.json", "model.safetensors", "model.safetensors.index.json", ".gitattributes", "LICENSE", "x.bin"]
        {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let target = tempfile::tempdir().unwrap();
        copy(folder.path(), target.path()).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["LICENSE", "tokenizer.json"]);
        assert_eq!(std::fs::read(target.path().join("LICENSE")).unwrap(), b"LICENSE");
    }
}
