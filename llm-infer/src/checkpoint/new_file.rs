//! Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Writes `bytes` to `path`, replacing what is there only once they are safely on the disk.
///
/// # Errors
///
/// [`Error::Io`]; an old file is then as it was.
pub(crate) fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let file = NewFile::create(path.as_ref())?;
    file.write(|file| file.write_all(bytes))?;
    file.finish()
}

/// Finds out whether [`write_atomic`] could write `path`, without a trace.
///
/// # Errors
///
/// [`Error::Io`].
pub(crate) fn require_writable(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io(path, io::ErrorKind::IsADirectory.into()));
    }
    NewFile::create(path).map(drop)
}

/// A file under a temporary name beside its target; removed again unless it is finished.
pub(super) struct NewFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl NewFile {
    /// Starts a file that will become `target`.
    pub fn create(target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // Two threads may write the same file, each its own.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let temporary = target.with_file_name(format!(".{name}.{}-{count}.partial", std::process::id()));
        // One that a killed process left; `create_new` then follows no link that someone else put there.
        drop(std::fs::remove_file(&temporary));
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary);
        let file = file.map_err(|error| Error::io(&temporary, error))?;
        Ok(Self { file, temporary, target: target.to_owned() })
    }

    /// Where it lies until it is finished.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Takes the room for `bytes`.
    pub fn reserve(&self, bytes: u64) -> Result<()> {
        reserve(&self.file, bytes).map_err(|error| Error::io(&self.target, named(error, bytes)))
    }

    /// Writes to it; a failure names the target.
    pub fn write(&self, write: impl FnOnce(&mut &File) -> io::Result<()>) -> Result<()> {
        write(&mut &self.file).map_err(|error| Error::io(&self.target, error))
    }

    /// Flushes to the disk and takes the target's name.
    pub fn finish(self) -> Result<()> {
        self.write(|file| file.sync_all())?;
        std::fs::rename(&self.temporary, &self.target).map_err(|error| Error::io(&self.target, error))?;
        // The rename itself is durable once the folder is; a system that cannot flush folders has done what it can.
        #[cfg(unix)]
        if let Some(folder) = self.target.parent().and_then(|folder| File::open(folder).ok()) {
            drop(folder.sync_all());
        }
        Ok(())
    }
}

/// A full disk with the bytes that would have been enough.
pub(super) fn named(error: io::Error, needed: u64) -> io::Error {
    match error.kind() {
        kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
            io::Error::new(kind, format!("{error}: the file needs {needed} bytes"))
        }
        _ => error,
    }
}

/// Takes the room for `bytes`, where the file system can promise it.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => {}
        done => return Ok(done?),
    }
    file.set_len(bytes)
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After `finish` nothing has this name.
        drop(std::fs::remove_file(&self.temporary));
    }
}
