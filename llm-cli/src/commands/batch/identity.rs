//! Which model it is, without reading all of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use llm_infer::checkpoint::Checkpoint;
use llm_infer::{Error, Result, builtin};

/// What lies beside the weights and shapes an answer.
const BESIDE: [&str; 5] = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];
/// A file is read at this many places.
const SAMPLES: u64 = 64;
/// Bytes read at each of them.
const SAMPLE: u64 = 4096;

/// A fingerprint of the model at `path`: of what lies beside its weights, and of bytes all over the weights themselves, so that
/// neither a model of the same name nor another training of the same shape passes for it.
///
/// # Errors
/// Files that cannot be read.
pub fn of(path: &str) -> Result<String> {
    let checkpoint = if path == builtin::NAME { builtin::open()?.0 } else { Checkpoint::open(path)? };
    let mut bytes = Vec::new();
    if checkpoint.is_embedded() {
        // What is part of the program differs from one version to the next in every weight; the norms are the smallest.
        for norm in checkpoint.tensors().iter().filter(|info| info.shape.len() == 1) {
            bytes.extend_from_slice(checkpoint.source().read(&norm.name)?.as_bytes());
        }
    } else {
        for file in files(&checkpoint) {
            sample(&file, &mut bytes).map_err(|error| Error::io(&file, error))?;
        }
    }
    Ok(fingerprint(&bytes))
}

/// The files of a model in a fixed order.
fn files(checkpoint: &Checkpoint) -> Vec<PathBuf> {
    let beside =
        checkpoint.folder().into_iter().flat_map(|folder| BESIDE.iter().map(|name| folder.join(name))).filter(|path| path.exists());
    let weights: BTreeSet<&Path> = checkpoint.tensors().iter().map(|info| &*info.file).collect();
    beside.chain(weights.into_iter().map(Path::to_owned)).collect()
}

/// The length of the file and bytes from all over it; a small one whole.
fn sample(path: &Path, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    bytes.extend(length.to_le_bytes());
    if length <= SAMPLES * SAMPLE {
        file.take(SAMPLES * SAMPLE).read_to_end(bytes)?;
        return Ok(());
    }
    for index in 0..SAMPLES {
        file.seek(SeekFrom::Start((length - SAMPLE) / (SAMPLES - 1) * index))?;
        (&file).take(SAMPLE).read_to_end(bytes)?;
    }
    Ok(())
}

/// The 64-bit FNV-1a hash of `bytes` in hexadecimal digits; it is the same in every build.
pub fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(b""), "cbf29ce484222325");
        assert_eq!(fingerprint(b"foobar"), "85944171f73967e8");
    }
}
