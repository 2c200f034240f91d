//! The file of a batch's answers: appended to where it is ours, and never touched where it is not.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use llm_infer::Error;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Request;
use crate::commands::answer::Answer;
use crate::ui::Failure;

/// No answer's line is longer; what is, is no answer.
const LONGEST_LINE: u64 = 1 << 30;

/// One line of the output.
#[derive(Serialize)]
pub struct Output<'a> {
    pub id: Option<&'a Value>,
    pub index: usize,
    pub input_hash: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// What must be known of a line that is there already.
#[derive(Deserialize)]
struct Done {
    index: usize,
    input_hash: String,
    error: Option<IgnoredAny>,
}

/// The output, open behind its last whole line.
pub struct OutputFile {
    path: PathBuf,
    file: File,
    /// Requests that have a line.
    pub finished: usize,
    /// Those of them whose line is an error.
    pub failed: usize,
}

/// Refuses an output that must not be written to, before any work.
///
/// # Errors
/// What is no regular file, and the input itself under whatever name.
pub fn require_usable(output: &Path, input: &Path) -> anyhow::Result<()> {
    let metadata = match std::fs::metadata(output) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(|error| Error::io(output, error))?,
    };
    require_regular(output, &metadata)?;
    if is_same(output, input, &metadata) {
        return Err(Failure::usage(format!("--output-jsonl: got `{}`, expected another file than the input", output.display())).into());
    }
    Ok(())
}

fn require_regular(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    if metadata.is_file() {
        return Ok(());
    }
    let got = if metadata.is_dir() { "a directory" } else { "a pipe or device" };
    let failure = Failure::usage(format!("--output-jsonl: got `{}`, {got}, expected a regular file", path.display()));
    Err(failure.with_hint("a batch is resumed from the answers in its file; `llm generate --json` prints one answer on stdout"))
}

fn is_same(output: &Path, input: &Path, metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if std::fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (metadata.dev(), metadata.ino())) {
            return true;
        }
    }
    #[cfg(not(unix))]
    let _ = metadata;
    output.canonicalize().is_ok_and(|output| input.canonicalize().is_ok_and(|input| input == output))
}

impl OutputFile {
    /// Opens `path` behind the lines that answer `requests`, and removes a torn line at its end.
    ///
    /// # Errors
    /// A file that holds anything else; it stays as it is.
    pub fn resume(path: &Path, requests: &[Request]) -> anyhow::Result<Self> {
        let io = |error| Error::io(path, error);
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        require_regular(path, &file.metadata().map_err(io)?)?;
        let mut lines = BufReader::new(&file);
        let (mut whole, mut finished, mut failed) = (0, 0, 0);
        loop {
            let line = match requests.get(finished) {
                Some(request) => next_line(&mut lines, head(finished, request)?.as_bytes()),
                None => next_line(&mut lines, &[]),
            };
            match line.map_err(io)? {
                Found::Nothing => break,
                Found::Line(line) => {
                    let done = requests.get(finished).and_then(|request| answers(&line, finished, request));
                    let done = done.ok_or_else(|| foreign(path, finished))?;
                    finished += 1;
                    failed += usize::from(done.error.is_some());
                    whole += line.len() as u64;
                }
                Found::Torn => {
                    file.set_len(whole).map_err(io)?;
                    break;
                }
                Found::Foreign => return Err(foreign(path, finished).into()),
            }
        }
        file.seek(SeekFrom::Start(whole)).map_err(io)?;
        Ok(Self { path: path.to_owned(), file, finished, failed })
    }

    /// Writes one more line.
    ///
    /// # Errors
    /// A disk that takes no more.
    pub fn append(&mut self, output: &Output) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(output)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| Error::io(&self.path, error))?;
        self.finished += 1;
        self.failed += usize::from(output.error.is_some());
        Ok(())
    }
}

/// What comes next in the file.
enum Found {
    Nothing,
    /// A whole line that begins as expected.
    Line(Vec<u8>),
    /// The beginning of the line that is expected here, without an end.
    Torn,
    Foreign,
}

/// Reads the next line where it begins with `head`; not more than its beginning where it does not.
fn next_line(lines: &mut impl BufRead, head: &[u8]) -> std::io::Result<Found> {
    let mut line = Vec::new();
    lines.take(head.len().max(1) as u64).read_to_end(&mut line)?;
    if line.is_empty() {
        return Ok(Found::Nothing);
    }
    if !head.starts_with(&line) {
        return Ok(Found::Foreign);
    }
    lines.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    Ok(match line.last() {
        Some(b'\n') => Found::Line(line),
        _ if line.len() as u64 >= LONGEST_LINE => Found::Foreign,
        _ => Found::Torn,
    })
}

/// How the line that answers `request` begins.
fn head(index: usize, request: &Request) -> serde_json::Result<String> {
    let output = Output { id: request.fields.id.as_ref(), index, input_hash: &request.fingerprint, answer: None, error: None };
    let mut head = serde_json::to_string(&output)?;
    head.pop();
    Ok(head)
}

fn answers(line: &[u8], index: usize, request: &Request) -> Option<Done> {
    let done: Done = serde_json::from_slice(line).ok()?;
    (done.index == index && done.input_hash == request.fingerprint).then_some(done)
}

fn foreign(path: &Path, line: usize) -> Failure {
    let got = format!("{}: line {}: got something else, expected the answer to this input", path.display(), line + 1);
    let hint = "the input, the model or the flags changed since, or it is no output of ours: choose another `--output-jsonl`";
    Failure::usage(got).with_hint(hint)
}
