//! Folders that appear whole or not at all: filled beside their place, flushed to the disk, then renamed.
//!
//! A lock file beside the target lets one process at a time work on it; the system releases the lock of a process that was killed,
//! so that what such a one left behind is known for dead and removed. Where a folder is replaced, old and new change places in one
//! step of the file system (`renameat2`), so that at every moment one of them has the name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A folder under a temporary name beside its target; removed again unless it is finished.
#[derive(Debug)]
pub(crate) struct NewFolder {
    temporary: PathBuf,
    target: PathBuf,
    /// What dead processes had left.
    removed: Vec<PathBuf>,
    /// Dropped last.
    _lock: Lock,
}

impl NewFolder {
    /// Starts a folder that will become `target`; one that is there already is replaced only with `force`, and only by
    /// [`NewFolder::finish`].
    ///
    /// # Errors
    ///
    /// A target that exists or cannot be replaced, or that another process works on, and [`Error::Io`].
    pub fn create(target: &Path, force: bool) -> Result<Self> {
        let Some(name) = target.file_name() else {
            return Err(Error::request("OUT", format!("`{}`", target.display()), "the name of a folder"));
        };
        refuse_existing(target, force)?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        let lock = Lock::acquire(hidden(target, name, "lock"), target)?;
        let removed = clean(parent, target, name)?;
        // Again, as another process may have finished meanwhile.
        refuse_existing(target, force)?;
        let temporary = hidden(target, name, &format!("{}.partial", std::process::id()));
        std::fs::create_dir(&temporary).map_err(|error| Error::io(&temporary, error))?;
        Ok(Self { temporary, target: target.to_owned(), removed, _lock: lock })
    }

    /// Where the files go.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// What dead processes had left beside the target, and is gone now.
    pub fn removed(&self) -> &[PathBuf] {
        &self.removed
    }

    /// Flushes the files to the disk and takes the target's name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; what was at the target is then still there.
    pub fn finish(self) -> Result<()> {
        self.finish_by(&|from, to| rename(from, to))
    }

    fn finish_by(self, rename: &dyn Fn(&Path, &Path) -> io::Result<()>) -> Result<()> {
        for entry in std::fs::read_dir(&self.temporary).map_err(|error| Error::io(&self.temporary, error))? {
            let path = entry.map_err(|error| Error::io(&self.temporary, error))?.path();
            File::open(&path).and_then(|file| file.sync_all()).map_err(|error| Error::io(&path, error))?;
        }
        sync_folder(&self.temporary);
        rename(&self.temporary, &self.target).map_err(|error| {
            let message = format!("the finished folder could not be renamed to it ({error}); choose a place on another file system");
            Error::io(&self.target, io::Error::new(error.kind(), message))
        })?;
        sync_folder(self.target.parent().unwrap_or(Path::new(".")));
        Ok(())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // Unfinished, or the old folder after the two changed places, or nothing.
        drop(std::fs::remove_dir_all(&self.temporary));
    }
}

/// `.NAME.SUFFIX` beside `target`.
fn hidden(target: &Path, name: &std::ffi::OsStr, suffix: &str) -> PathBuf {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".");
    hidden.push(suffix);
    target.with_file_name(hidden)
}

/// Nothing may be at `target`; with `force` there may be a model, or an empty folder.
fn refuse_existing(target: &Path, force: bool) -> Result<()> {
    let shown = target.display();
    let refuse = |got: String, hint: &str| Err(Error::request("OUT", got, "the name of a new folder").with_hint(hint));
    let metadata = match target.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(target, error)),
    };
    if !metadata.is_dir() {
        return refuse(format!("`{shown}`, a file or link that is there already"), "choose another name, or remove it first");
    }
    if !force {
        return refuse(format!("`{shown}`, which is there already"), "`--force` replaces it once the new one is complete");
    }
    let entries = std::fs::read_dir(target).map_err(|error| Error::io(target, error))?.count();
    if entries > 0 && !target.join("config.json").is_file() {
        return refuse(format!("`{shown}`, which holds something else than a model"), "`--force` replaces only folders of models");
    }
    Ok(())
}

/// Removes what dead processes left, and gives a folder its name back that one of them had moved aside.
fn clean(parent: &Path, target: &Path, name: &std::ffi::OsStr) -> Result<Vec<PathBuf>> {
    let prefix = format!(".{}.", name.to_string_lossy());
    let mut removed = Vec::new();
    for entry in std::fs::read_dir(parent).map_err(|error| Error::io(parent, error))? {
        let entry = entry.map_err(|error| Error::io(parent, error))?;
        let found = entry.file_name().to_string_lossy().into_owned();
        let Some((process, kind)) = found.strip_prefix(&prefix).and_then(|rest| rest.split_once('.')) else { continue };
        if process.is_empty() || !process.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let path = entry.path();
        match kind {
            "old" if target.symlink_metadata().is_err() => std::fs::rename(&path, target).map_err(|error| Error::io(&path, error))?,
            "old" | "partial" => {
                std::fs::remove_dir_all(&path).map_err(|error| Error::io(&path, error))?;
                removed.push(path);
            }
            _ => {}
        }
    }
    Ok(removed)
}

/// Gives the folder `from` the name `to`; a folder that has it gets the name `from`.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_err() {
        return std::fs::rename(from, to);
    }
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    // Two steps: a process that is killed between them leaves the old folder aside, where `clean` finds it.
    let old = from.with_extension("old");
    std::fs::rename(to, &old)?;
    match std::fs::rename(from, to) {
        Ok(()) => std::fs::rename(&old, from),
        Err(error) => std::fs::rename(&old, to).and(Err(error)),
    }
}

/// Makes the names in a folder durable; a system that cannot flush folders has done what it can.
fn sync_folder(folder: &Path) {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    #[cfg(unix)]
    drop(File::open(folder).and_then(|folder| folder.sync_all()));
    #[cfg(not(unix))]
    let _ = folder;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A folder with a model `m` whose configuration is `old`.
    fn with_old() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m");
        std::fs::create_dir(&target).unwrap();
        std::fs::write(target.join("config.json"), "old").unwrap();
        (folder, target)
    }

    fn config(target: &Path) -> String {
        std::fs::read_to_string(target.join("config.json")).unwrap()
    }

    #[test]
    fn a_folder_appears_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/m");
        let new = NewFolder::create(&target, false).unwrap();
        std::fs::write(new.path().join("config.json"), "new").unwrap();
        assert!(!target.exists());
        new.finish().unwrap();
        assert_eq!((config(&target), names(&folder.path().join("deep"))), ("new".to_owned(), vec!["m".to_owned()]));
    }

    #[test]
    fn f58_what_exists_is_replaced_only_when_forced() {
        let (folder, target) = with_old();
        let error = NewFolder::create(&target, false).unwrap_err();
        assert!(error.to_string().contains("which is there already") && error.hint().unwrap().contains("--force"), "{error}");
        let new = NewFolder::create(&target, true).unwrap();
        std::fs::write(new.path().join("config.json"), "new").unwrap();
        assert_eq!(config(&target), "old");
        new.finish().unwrap();
        assert_eq!((config(&target), names(folder.path())), ("new".to_owned(), vec!["m".to_owned()]));
    }

    #[test]
    fn f58_only_models_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "dear").unwrap();
        assert!(NewFolder::create(folder.path(), true).unwrap_err().to_string().contains("something else than a model"));
        assert!(NewFolder::create(&folder.path().join("thesis.txt"), true).is_err());
        assert!(NewFolder::create(Path::new("/"), true).is_err());
        assert_eq!(names(folder.path()), ["thesis.txt"]);
    }

    #[test]
    fn f59_what_is_dropped_unfinished_leaves_the_old() {
        let (folder, target) = with_old();
        drop(NewFolder::create(&target, true).unwrap());
        assert_eq!((config(&target), names(folder.path())), ("old".to_owned(), vec!["m".to_owned()]));
    }

    #[test]
    fn f61_what_dead_processes_left_is_removed() {
        let (folder, target) = with_old();
        std::fs::create_dir(folder.path().join(".m.1234.partial")).unwrap();
        std::fs::write(folder.path().join(".m.lock"), "").unwrap();
        std::fs::write(folder.path().join(".m.txt.partial"), "somebody else's").unwrap();
        std::fs::rename(&target, folder.path().join(".m.77.old")).unwrap();
        let new = NewFolder::create(&target, true).unwrap();
        assert_eq!((new.removed(), config(&target).as_str()), (&[folder.path().join(".m.1234.partial")][..], "old"));
        drop(new);
        assert_eq!(names(folder.path()), [".m.txt.partial", "m"]);
    }

    #[test]
    fn f61_a_target_has_one_writer() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m");
        let first = NewFolder::create(&target, false).unwrap();
        let error = NewFolder::create(&target, false).unwrap_err();
        assert!(error.to_string().contains("which another process is writing"), "{error}");
        first.finish().unwrap();
        assert!(NewFolder::create(&target, true).is_ok());
    }

    #[test]
    fn f63_a_rename_that_fails_leaves_the_old() {
        let (folder, target) = with_old();
        let new = NewFolder::create(&target, true).unwrap();
        let error = new.finish_by(&|_, _| Err(io::ErrorKind::Unsupported.into())).unwrap_err();
        assert!(error.to_string().contains("could not be renamed"), "{error}");
        assert_eq!((config(&target), names(folder.path())), ("old".to_owned(), vec!["m".to_owned()]));
    }
}
