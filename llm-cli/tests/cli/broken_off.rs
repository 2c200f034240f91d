//! `llm quantize` that is ended from outside: by a full disk, or killed.
#![expect(unsafe_code, reason = "limits of a process can only be set between fork and exec")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use crate::support::{outcome, plain, run};

/// A folder with a model of 8 bits in `out`.
struct Place {
    folder: TempDir,
    out: String,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let out = folder.path().join("out").to_string_lossy().into_owned();
        let place = Self { folder, out };
        let old = run(&["quantize", "builtin", &place.out, "--scheme", "int8", "--device", "cpu"]);
        assert_eq!(old.code, 0, "{}", old.stderr);
        place
    }

    /// Puts a model of 4 bits in the place of the other.
    fn replace(&self) -> Command {
        plain(&["quantize", "builtin", &self.out, "--scheme", "int4", "--device", "cpu", "--force"])
    }

    fn weights(&self) -> Vec<u8> {
        std::fs::read(Path::new(&self.out).join("model.safetensors")).expect("weights")
    }

    fn partial(&self) -> Option<PathBuf> {
        let mut entries = std::fs::read_dir(self.folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        entries.find(|path| path.extension().is_some_and(|extension| extension == "partial"))
    }

    fn names(&self) -> usize {
        std::fs::read_dir(self.folder.path()).expect("a folder").count()
    }
}

#[test]
fn f59_a_full_disk_leaves_the_old_model() {
    let place = Place::new();
    let old = place.weights();
    let mut command = place.replace();
    // Files of at most 64 KiB stand for a disk with as little room.
    // SAFETY: between fork and exec only two system calls are made.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: 1 << 16, rlim_max: 1 << 16 };
            if libc::setrlimit(libc::RLIMIT_FSIZE, &limit) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    let full = outcome(&mut assert_cmd::Command::from_std(command));
    assert_eq!((full.code, full.stdout.as_str()), (4, ""), "{}", full.stderr);
    assert!(full.stderr.contains(": the file needs "), "{}", full.stderr);
    assert!(place.weights() == old && place.names() == 1, "the old model, and nothing else");
}

/// Kills `child` once `reached` is true, unless it ends before.
fn kill_when(mut child: Child, reached: impl Fn() -> bool) {
    while child.try_wait().expect("a child").is_none() && !reached() {
        std::thread::yield_now();
    }
    // One that has ended is not there to be killed.
    drop(child.kill());
    child.wait().expect("a child");
}

/// The nightly script kills at a hundred random moments; here it is while the new folder grows.
#[test]
fn f60_a_killed_process_leaves_the_old_model_or_the_new_one() {
    let place = Place::new();
    let old = place.weights();
    let quiet =
        |mut command: Command| command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("runs");
    for begun in ["", "model.safetensors", "tokenizer.json", "config.json"] {
        kill_when(quiet(place.replace()), || place.partial().is_some_and(|folder| folder.join(begun).exists()));
        let left = place.weights();
        let checked = run(&["inspect", &place.out, "--check", "--json"]);
        assert!(checked.code == 0 && (left == old || left.len() < old.len()), "{begun}: {}", checked.stderr);
    }
    let last = outcome(&mut assert_cmd::Command::from_std(place.replace()));
    assert_eq!(last.code, 0, "{}", last.stderr);
    assert!(place.weights().len() < old.len() && place.names() == 1, "what was left is gone");
}
