//! The folder of the packed cache: what is in it, and what has to go.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::file::read_label;
use super::key::INDEX;
use crate::{Error, Result};

/// How a file of the cache ends.
const EXTENSION: &str = "packed";
/// What nobody wrote to for so long was left by a process that is dead.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder that keeps packed weights, so that the next load maps them instead of packing them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCache {
    folder: PathBuf,
    limit: u64,
}

/// The packed weights of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The file.
    pub path: PathBuf,
    /// The name of the model; `None` for a file that is damaged or of another version.
    pub model: Option<String>,
    /// The format of most of its matrices.
    pub format: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// When it was last mapped, or written.
    pub last_used: SystemTime,
}

impl PackedCache {
    /// The most bytes that the files take together, unless told otherwise: 64 GiB.
    pub const LIMIT: u64 = 64 << 30;

    /// The cache in `folder`, which is made when something is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), limit: Self::LIMIT }
    }

    /// The same with another limit, in bytes.
    #[must_use]
    pub fn with_limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The most bytes that its files take together.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What is in the cache, the last used first; nothing where there is no such folder.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read.
    pub fn entries(&self) -> Result<Vec<CacheEntry>> {
        let mut entries: Vec<_> = self.files()?.into_iter().filter(|file| is_entry(&file.path)).collect();
        for entry in &mut entries {
            if let Some(label) = read_label(&entry.path) {
                (entry.model, entry.format) = (Some(label.model), Some(label.format));
            }
        }
        entries.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.path.cmp(&b.path)));
        Ok(entries)
    }

    /// Removes everything that the cache wrote, and nothing else; returns what it was. Whoever has a file mapped keeps it.
    ///
    /// # Errors
    ///
    /// A file that cannot be removed.
    pub fn clear(&self) -> Result<Vec<CacheEntry>> {
        let entries = self.entries()?;
        let partial = self.files()?.into_iter().filter(|file| is_partial(&file.path)).map(|file| file.path);
        for path in entries.iter().map(|entry| entry.path.clone()).chain(partial).chain([self.folder.join(INDEX)]) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(path, error)),
                _ => {}
            }
        }
        Ok(entries)
    }

    /// The file of `key`.
    pub(super) fn file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.{EXTENSION}"))
    }

    /// Makes the folder, which is the user's alone.
    pub(super) fn create(&self) -> Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.folder).map_err(|error| Error::io(&self.folder, error))
    }

    /// Removes what was not used for longest until `bytes` more are within the limit, and what dead processes left; or says why they
    /// cannot be written.
    pub(super) fn make_room(&self, bytes: u64) -> std::result::Result<(), String> {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        if bytes > self.limit {
            return Err(format!("they take {}, and the cache may have {}", mib(bytes), mib(self.limit)));
        }
        if let Some(free) = free_bytes(&self.folder).filter(|free| bytes > free / 2) {
            return Err(format!("they take {}, which is more than half of the {} that are free", mib(bytes), mib(free)));
        }
        let mut files = self.files().map_err(|error| error.to_string())?;
        let abandoned = |file: &CacheEntry| file.last_used.elapsed().is_ok_and(|age| age > ABANDONED);
        for file in files.iter().filter(|file| is_partial(&file.path) && abandoned(file)) {
            drop(std::fs::remove_file(&file.path));
        }
        files.retain(|file| is_entry(&file.path));
        files.sort_by(|a, b| a.last_used.cmp(&b.last_used).then_with(|| a.path.cmp(&b.path)));
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if total <= self.limit - bytes {
                return Ok(());
            }
            // A file that another process removed is gone, too.
            match std::fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(&file.path, error).to_string()),
                _ => total -= file.bytes,
            }
        }
        Ok(())
    }

    /// The regular files in the folder.
    fn files(&self) -> Result<Vec<CacheEntry>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| Error::io(&self.folder, error))?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(&self.folder, error))?;
            // One that another process removes meanwhile is no error.
            let Some(metadata) = entry.metadata().ok().filter(std::fs::Metadata::is_file) else { continue };
            let last_used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push(CacheEntry { path: entry.path(), model: None, format: None, bytes: metadata.len(), last_used });
        }
        Ok(files)
    }
}

/// Whether a file has a name that [`PackedCache::file`] gives.
fn is_entry(path: &Path) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    path.extension().is_some_and(|extension| extension == EXTENSION)
        && stem.len() == 32
        && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a file was to become one of the cache.
fn is_partial(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(".partial") && (name.contains(&format!(".{EXTENSION}.")) || name.contains(INDEX))
}

/// What this user may still write to the file system of `folder`, where the system says.
#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}
