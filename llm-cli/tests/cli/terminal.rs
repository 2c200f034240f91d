//! Conversations on a terminal, which a pseudo terminal stands in for.
#![expect(unsafe_code, reason = "pseudo terminals can only be had through the C library")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Child;

use crate::support::{Copy, plain};

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    screen: File,
    shown: Vec<u8>,
}

impl Terminal {
    fn open(model: &str, more: &[&str]) -> Self {
        let (mut ours, mut theirs) = (0, 0);
        let null = std::ptr::null_mut();
        // SAFETY: both descriptors are valid places to write to, and the optional arguments may be null.
        assert_eq!(unsafe { libc::openpty(&mut ours, &mut theirs, null, null.cast(), null.cast()) }, 0);
        // SAFETY: `openpty` succeeded, so both are open and nobody else's.
        let (screen, theirs) = unsafe {
            // The programs of other tests must not hold this terminal.
            libc::fcntl(ours, libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(theirs, libc::F_SETFD, libc::FD_CLOEXEC);
            (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
        };
        let mut command = plain(&[&["chat", model, "--ignore-eos", "--device", "cpu"], more].concat());
        let copy = || theirs.try_clone().expect("a descriptor");
        command.stdin(copy()).stdout(copy()).stderr(copy()).env("TERM", "xterm");
        // SAFETY: between fork and exec only two system calls are made: a new session, whose terminal is standard input.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let mut terminal = Self { child: command.spawn().expect("runs"), screen, shown: Vec::new() };
        terminal.wait_for(">>> ");
        terminal
    }

    fn type_keys(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).expect("typed");
    }

    /// Reads until `text` is shown, and returns all that came before it.
    fn wait_for(&mut self, text: &str) -> Vec<u8> {
        loop {
            if let Some(at) = self.shown.windows(text.len()).position(|window| window == text.as_bytes()) {
                return self.shown.drain(..at + text.len()).collect();
            }
            self.read();
        }
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        let count = self.screen.read(&mut bytes).expect("the program is still there");
        self.shown.extend(&bytes[..count]);
    }

    /// Waits for the end; the few last words fit into the terminal's buffer.
    fn exit_code(mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }
}

#[test]
fn f57_ctrl_c_stops_an_answer_and_the_conversation_goes_on() {
    let model = Copy::endless();
    let mut terminal = Terminal::open(&model.path(), &["--max-tokens", "90000"]);
    terminal.type_keys("hello\r");
    terminal.wait_for("hello");
    while terminal.shown.len() < 200 {
        terminal.read();
    }
    terminal.type_keys("\x03");
    terminal.wait_for(">>> ");
    terminal.type_keys("/stats\r");
    let stats = String::from_utf8_lossy(&terminal.wait_for(" of 100000")).into_owned();
    assert!(stats.contains("messages: 2"), "{stats}");
    terminal.wait_for(">>> ");
    terminal.type_keys("\x04");
    assert_eq!(terminal.exit_code(), Some(0));
}

#[test]
fn f57_ctrl_c_twice_at_the_prompt_leaves() {
    let model = Copy::endless();
    let mut terminal = Terminal::open(&model.path(), &[]);
    terminal.type_keys("\x03");
    terminal.wait_for("Ctrl-C again");
    terminal.wait_for(">>> ");
    terminal.type_keys("\x03");
    assert_eq!(terminal.exit_code(), Some(130));
}

#[test]
fn commands_act_on_the_conversation() {
    let model = Copy::of("llama");
    let mut terminal = Terminal::open(&model.path(), &["--temperature", "0", "--max-tokens", "4"]);
    let saved = model.file("saved.safetensors").to_string_lossy().into_owned();
    let save = format!("/save {saved}");
    let load = format!("/load {saved}");
    let refused = ["/nope", "/set temperature=nan"];
    let steps = [
        ("hello", ""),
        (save.as_str(), ""),
        ("/reset", ""),
        ("/stats", "messages: 0"),
        (load.as_str(), ""),
        ("/stats", "messages: 2"),
        ("/system be brief", ""),
        ("/stats", "messages: 3"),
        ("/regenerate", ""),
        ("/set top-k=3", ""),
        ("/set", "top_k=3"),
        ("/nope", "no such command"),
        ("/set logit_bias={\"99999\":1}", "error: logit_bias: got 99999=1"),
        ("/set temperature=nan", "expected a finite number"),
        ("/save /nope/x", "error: /nope/x: "),
        ("hello again", ""),
        ("/help", "/regenerate"),
    ];
    for (line, expected) in steps {
        terminal.type_keys(&format!("{line}\r"));
        let shown = String::from_utf8_lossy(&terminal.wait_for(">>> ")).into_owned();
        assert!(shown.contains(expected), "{line}: {shown}");
        assert_eq!(shown.contains("error: "), expected.contains("error: ") || refused.contains(&line), "{line}: {shown}");
    }
    terminal.type_keys("two\\\r");
    terminal.wait_for("... ");
    terminal.type_keys("lines\r");
    terminal.wait_for(">>> ");
    terminal.type_keys("/exit\r");
    assert_eq!(terminal.exit_code(), Some(0));
}
