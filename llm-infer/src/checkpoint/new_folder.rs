//! Folders that appear whole or not at all: filled beside their place, flushed to the disk, then renamed.
//!
//! One process at a time works on a target, and removes what a killed one had left, see [`Claim`]. Where a folder is replaced, old and new change places in one
//! step of the file system (`renameat2`), so that at every moment one of them has the name.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::claim::{Claim, hidden};
use crate::{Error, Result};

/// A folder under a temporary name beside its target; removed again unless it is finished.
#[derive(Debug)]
pub(crate) struct NewFolder {
    temporary: PathBuf,
    target: PathBuf,
    /// Dropped last.
    claim: Claim,
}

impl NewFolder {
    /// Starts a folder that will become `target`; one that is there already is replaced only with `force`, and only by
    /// [`NewFolder::finish`].
    ///
    /// # Errors
    ///
    /// A target that exists or cannot be replaced, or that another process works on, and [`Error::Io`].
    pub fn create(target: &Path, force: bool) -> Result<Self> {
        if target.file_name().is_none() {
            return Err(Error::request("OUT", format!("`{}`", target.display()), "the name of a folder"));
        }
        refuse_existing(target, force)?;
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        let claim = Claim::of(target)?;
        // Again, as another process may have finished meanwhile.
        refuse_existing(target, force)?;
        let temporary = hidden(target, &format!("{}.partial", std::process::id()));
        std::fs::create_dir(&temporary).map_err(|error| Error::io(&temporary, error))?;
        Ok(Self { temporary, target: target.to_owned(), claim })
    }

    /// Where the files go.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// What dead processes had left beside the target, and is gone now.
    pub fn removed(&self) -> &[PathBuf] {
        self.claim.removed()
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
