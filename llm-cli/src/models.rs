//! Where models and the program's own files lie, and which model a word means.

use std::path::{Path, PathBuf};

use llm_infer::builtin;
use llm_infer::checkpoint::PackedCache;

use crate::args::{self, ModelArgs};
use crate::spelling;
use crate::ui::Failure;

/// The path that `args` mean: a path as given, `builtin`, or a name in the models folder.
///
/// # Errors
/// When there is no such thing, with the nearest names.
pub fn resolve(args: &ModelArgs) -> Result<String, Failure> {
    let Some(asked) = args.model.as_ref().or(args.positional.as_ref()) else { return Ok(builtin::NAME.to_owned()) };
    if asked == builtin::NAME || Path::new(asked).exists() {
        return Ok(asked.clone());
    }
    let in_folder = models_folder().map(|folder| folder.join(asked)).filter(|path| !asked.is_empty() && path.exists());
    match in_folder.as_deref().map(Path::to_str) {
        Some(Some(path)) => Ok(path.to_owned()),
        _ => Err(missing(asked)),
    }
}

fn missing(asked: &str) -> Failure {
    let hint = spelling::question(&nearest(asked)).unwrap_or_else(|| {
        let folder = models_folder().map(|folder| format!(", or a name in {}", folder.display())).unwrap_or_default();
        format!("give a folder as Hugging Face lays it out, a GGUF file, a weight file beside its config.json, `builtin`{folder}")
    });
    Failure::io(format!("{asked}: no such file, folder or model")).with_hint(hint)
}

/// Up to three names that look like `asked`: of its neighbours on disk, of the models folder, and `builtin`.
fn nearest(asked: &str) -> Vec<String> {
    let path = Path::new(asked);
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut known: Vec<(String, String)> = vec![(builtin::NAME.to_owned(), builtin::NAME.to_owned())];
    let here = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    known.extend(names(here).into_iter().map(|name| (name.clone(), parent.join(&name).display().to_string())));
    known.extend(models_folder().iter().flat_map(|folder| names(folder)).map(|name| (name.clone(), name)));
    spelling::nearest_by(&name, known)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The folder of named models: `LLM_MODELS`, else `models` in the data folder.
pub fn models_folder() -> Option<PathBuf> {
    variable("LLM_MODELS").or_else(|| data_folder().map(|folder| folder.join("models")))
}

/// The folder of this program's own files, where the platform keeps such.
pub fn data_folder() -> Option<PathBuf> {
    let home = || variable("HOME");
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| home().map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("llm"))
}

/// The cache of packed weights: in `LLM_CACHE`, else in `packed` in the cache folder; of at most `LLM_CACHE_SIZE` bytes. `None` where the
/// system names no such folder.
///
/// # Errors
/// A size that is none.
pub fn packed_cache() -> Result<Option<PackedCache>, Failure> {
    let folder = variable("LLM_CACHE").or_else(|| cache_folder().map(|folder| folder.join("packed")));
    let limit = variable("LLM_CACHE_SIZE").map(|size| {
        let size = size.to_string_lossy();
        args::bytes(&size).map_err(|expected| Failure::usage(format!("LLM_CACHE_SIZE: got `{size}`, expected {expected}")))
    });
    let limit = limit.transpose()?.unwrap_or(PackedCache::LIMIT);
    Ok(folder.map(|folder| PackedCache::new(folder).with_limit(limit)))
}

/// The folder of what this program can make again, where the platform keeps such.
fn cache_folder() -> Option<PathBuf> {
    let home = || variable("HOME");
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA").map(|local| local.join("cache"))
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
    };
    base.map(|base| base.join("llm"))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f52_a_misspelt_model_names_the_nearest() {
        assert_eq!(nearest("biultin"), ["builtin"]);
        let folder = env!("CARGO_MANIFEST_DIR");
        assert_eq!(nearest(&format!("{folder}/Cargo.tmol")), [format!("{folder}/Cargo.toml")]);
    }
}
