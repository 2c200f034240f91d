//! What names a file of the packed cache: everything that its bytes depend on.
//!
//! That is the content of the weight files, the configuration, type and place of every tensor, the version of the layout, of the
//! rounding, and the order of bytes. The layout is the same for every processor whose numbers are little-endian.
//!
//! To read gigabytes for a name at each start would cost what the cache saves. So an index remembers the hash of each file together
//! with what tells a version of it from the next: device, inode, length, and both of its times.

use std::fs::Metadata;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::super::json::{parse, read_bounded};
use super::super::new_file::write_atomic;
use super::super::source::Blob;
use super::file::{LAYOUT, Plan};
use crate::quantize::rtn;
use crate::{Error, Result};

/// The name of the index.
pub const INDEX: &str = "sources.json";
/// The longest index that is read, and the most files that it remembers.
const MAX_INDEX_BYTES: u64 = 16 << 20;
const MAX_KNOWN: usize = 1024;
/// Bytes that are hashed at a time.
const PART: usize = 1 << 20;
/// A file that was written less than this ago may be written again without a change of its times.
const SETTLED: Duration = Duration::from_secs(2);

/// A file whose content is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    path: String,
    version: Version,
    /// XXH3-128 of the content.
    hash: String,
}

/// What tells a version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    device: u64,
    inode: u64,
    bytes: u64,
    /// When it was written, and when its inode was changed, in seconds and nanoseconds.
    modified: [i64; 2],
    changed: [i64; 2],
}

impl Version {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: [metadata.mtime(), metadata.mtime_nsec()],
            changed: [metadata.ctime(), metadata.ctime_nsec()],
        }
    }

    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        let moment = |time: std::io::Result<SystemTime>| {
            let since = time.ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
            [since.as_secs() as i64, i64::from(since.subsec_nanos())]
        };
        let (modified, changed) = (moment(metadata.modified()), moment(metadata.created()));
        Self { device: 0, inode: 0, bytes: metadata.len(), modified, changed }
    }

    /// Whether a later change would show at `now`.
    fn is_settled(&self, now: SystemTime) -> bool {
        let limit = now.checked_sub(SETTLED).and_then(|limit| limit.duration_since(SystemTime::UNIX_EPOCH).ok());
        limit.is_some_and(|limit| self.modified.max(self.changed)[0] < limit.as_secs() as i64)
    }
}

/// Is told how many more bytes of the sources are known, and may end it.
type Step<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

/// The key of the weights of `sources` as `config` and `plan` put them into memory, and a failure to remember what the sources hold.
///
/// # Errors
///
/// A source that cannot be read or changes meanwhile, and what `step` says.
pub fn key(folder: &Path, sources: &[&Blob], config: &Value, plan: &Plan, step: Step) -> Result<(String, Option<Error>)> {
    let index = folder.join(INDEX);
    let mut known = read_index(&index);
    let before = known.clone();
    let order = if cfg!(target_endian = "little") { "little" } else { "big" };
    let mut text = format!("layout {LAYOUT}\nrounding {}\n{order}-endian\n{config}\n{}\n", rtn::VERSION, plan.describe());
    for source in sources {
        text.push_str(&content(source, &mut known, SystemTime::now(), step)?);
        text.push('\n');
    }
    let mut failure = None;
    if known != before {
        let bytes = serde_json::to_vec(&known).map_err(std::io::Error::from).map_err(|error| Error::io(&index, error));
        failure = bytes.and_then(|bytes| write_atomic(&index, &bytes)).err();
    }
    Ok((format!("{:032x}", xxh3_128(text.as_bytes())), failure))
}

/// What the index knows; nothing where it is absent or damaged.
fn read_index(path: &Path) -> Vec<Known> {
    read_bounded(path, MAX_INDEX_BYTES).and_then(|bytes| parse(path, &bytes)).unwrap_or_default()
}

/// The hash of the content of `source`, from `known` where that is the version.
fn content(source: &Blob, known: &mut Vec<Known>, now: SystemTime, step: Step) -> Result<String> {
    let Blob::File { file, path, .. } = source else { return hash(source, step) };
    let version = Version::of(&file.metadata().map_err(|error| Error::io(path, error))?);
    let path = path.canonicalize().map_err(|error| Error::io(path, error))?.to_string_lossy().into_owned();
    if let Some(known) = known.iter().find(|known| known.path == path && known.version == version) {
        step(source.len())?;
        return Ok(known.hash.clone());
    }
    let hash = hash(source, step)?;
    known.retain(|known| known.path != path);
    if version.is_settled(now) {
        known.push(Known { path, version, hash: hash.clone() });
        known.drain(..known.len().saturating_sub(MAX_KNOWN));
    }
    Ok(hash)
}

fn hash(source: &Blob, step: Step) -> Result<String> {
    let (mut hash, mut part) = (Xxh3::new(), vec![0; PART]);
    for offset in (0..source.len()).step_by(PART) {
        let part = &mut part[..PART.min((source.len() - offset) as usize)];
        source.read_exact_at(offset, part)?;
        hash.update(part);
        step(part.len() as u64)?;
    }
    Ok(format!("{:032x}", hash.digest128()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_version_is_not_read_again_and_a_new_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, "one").unwrap();
        let (mut known, now) = (Vec::new(), SystemTime::now());
        let open = || Blob::open(&path).unwrap();
        let first = content(&open(), &mut known, now, &mut |_| Ok(())).unwrap();
        assert!(known.is_empty(), "it may change without a trace for now");
        let later = now + Duration::from_secs(60);
        assert_eq!(content(&open(), &mut known, later, &mut |_| Ok(())).unwrap(), first);
        known[0].hash = "remembered".to_owned();
        assert_eq!(content(&open(), &mut known, later, &mut |_| Ok(())).unwrap(), "remembered");
        // The same length, and another time.
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(now + Duration::from_secs(5)).unwrap();
        let second = content(&open(), &mut known, later, &mut |_| Ok(())).unwrap();
        assert!(second != first && second != "remembered" && known.len() == 1);
        // The same length and time of writing, but not of the inode.
        std::fs::write(&path, "six").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(now + Duration::from_secs(5)).unwrap();
        assert!(cfg!(not(unix)) || content(&open(), &mut known, later, &mut |_| Ok(())).unwrap() != second);
    }

    #[test]
    fn the_content_is_hashed_whole() {
        let bytes = vec![7; 2 * PART + 3].leak();
        let blob = Blob::memory(Path::new("m"), bytes);
        let mut parts = Vec::new();
        let whole = hash(&blob, &mut |part| {
            parts.push(part);
            Ok(())
        });
        assert_eq!(whole.unwrap(), format!("{:032x}", xxh3_128(bytes)));
        assert_eq!(parts, [PART as u64, PART as u64, 3]);
        assert!(matches!(hash(&blob, &mut |_| Err(Error::Cancelled)), Err(Error::Cancelled)));
    }
}
