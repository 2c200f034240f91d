//! Models in several GGUF files: `name-00001-of-00003.gguf` and so on.

use std::collections::HashSet;
use std::path::Path;

use super::super::source::Blob;
use super::header::{self, Header};
use crate::{Error, Result};

/// The most files of one model; their names have five digits.
const MAX_FILES: u64 = 99_999;

/// Opens `path` and the files that belong to it, the first one first.
///
/// # Errors
/// A file that is malformed, missing, or of another model.
pub fn open(path: &Path) -> Result<Vec<(Blob, Header)>> {
    let asked = read(path)?;
    let count = asked.1.metadata.whole("split.count")?.unwrap_or(1);
    if count <= 1 {
        return Ok(vec![asked]);
    }
    if count > MAX_FILES {
        return Err(Error::invalid(path, "split.count", count, format!("at most {MAX_FILES}")));
    }
    let number = asked.1.metadata.required("split.no")?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let ending = |number: u64| format!("-{:05}-of-{count:05}.gguf", number + 1);
    let Some(stem) = name.strip_suffix(&ending(number)).filter(|_| number < count) else {
        return Err(Error::invalid(path, "name", format!("`{name}`"), format!("a name that ends in `{}`", ending(number)))
            .with_hint("the files of a model in several pieces find each other by their names"));
    };
    let mut asked = Some(asked);
    let mut files = Vec::new();
    let mut names = HashSet::new();
    for index in 0..count {
        let sibling = path.with_file_name(format!("{stem}{}", ending(index)));
        let file = match asked.take_if(|_| index == number) {
            Some(file) => file,
            None => read_sibling(path, &sibling)?,
        };
        for (key, expected) in [("split.no", index), ("split.count", count)] {
            let got = file.1.metadata.required(key)?;
            if got != expected {
                return Err(Error::invalid(&sibling, key, got, expected).with_hint("the files are of different models"));
            }
        }
        if let Some(entry) = file.1.tensors.iter().find(|entry| !names.insert(entry.name.clone())) {
            return Err(Error::invalid(&sibling, format!("tensor `{}`", entry.name), "one that another file has, too", "one"));
        }
        files.push(file);
    }
    if let Some(total) = files[0].1.metadata.whole("split.tensors.count")?.filter(|total| *total != names.len() as u64) {
        return Err(Error::invalid(path, "split.tensors.count", total, format!("{}, as the files have", names.len())));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<(Blob, Header)> {
    let blob = Blob::open(path)?;
    let header = header::read(&blob)?;
    Ok((blob, header))
}

fn read_sibling(path: &Path, sibling: &Path) -> Result<(Blob, Header)> {
    if sibling.symlink_metadata().is_err() {
        let name = sibling.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(Error::invalid(path, "split.count", format!("`{name}`, which is missing"), "a file in this folder")
            .with_hint("the download is incomplete; fetch the missing files again"));
    }
    read(sibling)
}

/// Whether the file name `name` is that of a piece other than the first.
pub(in crate::checkpoint) fn is_later_piece(name: &Path) -> bool {
    let stem = name.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let parts = stem.rsplit_once("-of-").and_then(|(rest, count)| Some((rest.rsplit_once('-')?.1, count)));
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    parts.is_some_and(|(number, count)| digits(number) && digits(count) && number != "00001")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_pieces_are_known_by_their_names() {
        let later = |name: &str| is_later_piece(Path::new(name));
        assert!(later("m-00002-of-00003.gguf"));
        assert!(!later("m-00001-of-00003.gguf") && !later("m.gguf") && !later("one-of-00003.gguf"));
    }
}
