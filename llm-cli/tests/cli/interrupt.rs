//! Ctrl-C: no test waits by the clock; each waits for a byte or for the end of the process.
#![expect(unsafe_code, reason = "signals can only be sent through the C library")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use crate::support::{Copy, plain};

fn speaking(model: &Copy, more: &[&str]) -> Child {
    let path = model.path();
    let base = ["generate", &path, "--prompt", "a", "--ignore-eos", "--max-tokens", "90000", "--device", "cpu"];
    let mut child = plain(&[&base, more].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    child.stdin.take();
    child
}

fn interrupt(child: &Child) {
    let id = i32::try_from(child.id()).expect("a process id");
    // SAFETY: the process is our child and not yet waited for, so the id is its own.
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
}

#[test]
fn f57_the_first_stops_the_answer() {
    let model = Copy::endless();
    let mut child = speaking(&model, &[]);
    let mut first = [0];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a byte");
    interrupt(&child);
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.ends_with(b"\n"));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn f57_the_second_ends_the_process() {
    let model = Copy::endless();
    let mut child = speaking(&model, &[]);
    let mut first = [0];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a byte");
    // Nobody reads on: the first may find the process waiting for room in the pipe.
    interrupt(&child);
    while child.try_wait().expect("a child").is_none() {
        interrupt(&child);
        std::thread::yield_now();
    }
    assert_eq!(child.wait().expect("a child").code(), Some(130));
}

#[test]
fn f57_the_first_stops_an_evaluation() {
    let model = Copy::endless();
    let text = model.file("text.txt");
    std::fs::write(&text, "The cat sat on the mat. ".repeat(4096)).expect("written");
    let arguments =
        ["eval", &model.path(), "--text", &text.to_string_lossy(), "--context", "2048", "--stride", "1", "--device", "cpu", "-v"];
    let mut child = plain(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    // The last word before the work begins.
    let said = BufReader::new(child.stderr.as_mut().expect("piped")).lines();
    assert!(said.map_while(Result::ok).any(|line| line.contains("context 2048")));
    interrupt(&child);
    let output = child.wait_with_output().expect("ends");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(130), &b""[..]));
}

#[test]
fn f57_the_first_ends_a_process_that_waits_for_its_prompt() {
    let model = Copy::of("llama");
    let path = model.path();
    for arguments in [&["generate", &path][..], &["chat", &path], &["tokenize", &path], &["eval", &path, "--text", "-"]] {
        let mut child = plain(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
        // More than a pipe holds: once it is written, the process reads.
        child.stdin.as_mut().expect("piped").write_all(&[b'a'; 1 << 18]).expect("read");
        interrupt(&child);
        let mut said = Vec::new();
        child.stdout.as_mut().expect("piped").read_to_end(&mut said).expect("ends");
        assert_eq!((child.wait().expect("a child").code(), said.len()), (Some(130), 0), "{arguments:?}");
    }
}
