//! The right to write a file or folder, and what killed processes left of one.
//!
//! A lock file beside the target lets one process at a time work on it. The system releases the lock of a process that was killed, so that
//! what such a one left behind is known for dead and removed.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The right to write one target, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    removed: Vec<PathBuf>,
    _lock: Lock,
}

impl Claim {
    /// Claims `target`, whose folder exists, and removes what dead processes had left beside it.
    ///
    /// # Errors
    /// A target that another process works on, and [`Error::Io`].
    pub fn of(target: &Path) -> Result<Self> {
        let lock = Lock::acquire(hidden(target, "lock"), target)?;
        Ok(Self { removed: clean(target)?, _lock: lock })
    }

    /// What dead processes had left, and is gone now.
    pub fn removed(&self) -> &[PathBuf] {
        &self.removed
    }
}

/// `.NAME.SUFFIX` beside `target`.
pub(super) fn hidden(target: &Path, suffix: &str) -> PathBuf {
    let mut hidden = OsString::from(".");
    hidden.push(target.file_name().unwrap_or_default());
    hidden.push(".");
    hidden.push(suffix);
    target.with_file_name(hidden)
}

/// Removes what dead processes left, and gives a folder its name back that one of them had moved aside.
fn clean(target: &Path) -> Result<Vec<PathBuf>> {
    let prefix = format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy());
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut removed = Vec::new();
    for entry in std::fs::read_dir(parent).map_err(|error| Error::io(parent, error))? {
        let entry = entry.map_err(|error| Error::io(parent, error))?;
        let found = entry.file_name().to_string_lossy().into_owned();
        let Some((process, kind)) = found.strip_prefix(&prefix).and_then(|rest| rest.split_once('.')) else { continue };
        // Files also have the number of the one among those of a process.
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !process.split('-').all(is_number) {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        match kind {
            "old" if target.symlink_metadata().is_err() => std::fs::rename(&path, target).map_err(|error| Error::io(&path, error))?,
            "old" | "partial" => {
                let done = if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
                done.map_err(|error| Error::io(&path, error))?;
                removed.push(path);
            }
            _ => {}
        }
    }
    Ok(removed)
}

/// A locked file; removed when dropped.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn acquire(path: PathBuf, target: &Path) -> Result<Self> {
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|error| Error::io(&path, error))?;
            match file.try_lock() {
                Ok(()) if is_still(&file, &path) => return Ok(Self { path, _file: file }),
                // Its owner finished, and removed it, between our opening and our locking.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::request("OUT", format!("`{}`, which another process is writing", target.display()), "a free place")
                        .with_hint("wait until it is done, or choose another name"));
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(&path, error)),
            }
        }
    }
}

/// Whether the name `path` is still that of `file`.
fn is_still(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        matches!((file.metadata(), path.metadata()), (Ok(a), Ok(b)) if same(&a, &b))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}
