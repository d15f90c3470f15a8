//! Reading in a process of its own: what a document does to its reader ends with the reader.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use cs_core::document::ExtractedText;

use crate::detect::Format;
use crate::error::ExtractError;
use crate::extract::{Extracted, extract, introduction};
use crate::limits::{MAX_CHARACTERS, MAX_INPUT_BYTES};

/// The argument by which the program runs as a reader of one document.
pub const CHILD_COMMAND: &str = "extract-child";

/// What one document may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall clock.
    pub time: Duration,
    /// Address space of the reader, bytes.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory_bytes: 2 << 30 }
    }
}

/// What goes before the bytes of the document, on a line of its own.
#[derive(Serialize, Deserialize)]
struct Request {
    name: String,
    memory_bytes: u64,
    part: Part,
}

/// How much of a document is wanted.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Part {
    Whole,
    Introduction,
}

impl Part {
    pub(crate) fn read(self, name: &str, bytes: &[u8]) -> Result<Extracted, ExtractError> {
        match self {
            Self::Whole => extract(name, bytes),
            Self::Introduction => introduction(name, bytes),
        }
    }
}

/// [`Extracted`] as it comes over the pipe.
#[derive(Deserialize)]
struct Answer {
    media_type: String,
    text: ExtractedText,
    pages: Option<u32>,
}

impl Answer {
    fn known(self) -> Result<Extracted, ExtractError> {
        let media_type = Format::ALL.into_iter().map(Format::media_type).find(|m| *m == self.media_type);
        let media_type = media_type.ok_or_else(|| ExtractError::Reader("it is of another version".into()))?;
        Ok(Extracted { media_type, text: self.text, pages: self.pages })
    }
}

/// Most of what a reader may answer: every character escaped, and as much again for sections and marks.
const MAX_ANSWER_BYTES: u64 = MAX_CHARACTERS as u64 * 16;
/// Most of what a reader may complain.
const MAX_COMPLAINT_BYTES: u64 = 64 << 10;

/// The reader: takes a request line and the bytes of a document from standard input, answers with JSON on standard output.
pub fn run_child() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> std::io::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().lock().take(MAX_INPUT_BYTES + (1 << 20)).read_to_end(&mut input)?;
    let line = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let request: Request = serde_json::from_slice(&input[..line])?;
    bound_memory(request.memory_bytes)?;
    let document = input.get(line + 1..).unwrap_or_default();
    let result = request.part.read(&request.name, document);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    serde_json::to_writer(&mut out, &result)?;
    out.flush()
}

#[cfg(unix)]
fn bound_memory(bytes: u64) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let bound = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Core, bound(0))?;
    // Not every system lets the address space be bounded; there the deadline is the only bound.
    if cfg!(target_os = "linux") {
        setrlimit(Resource::As, bound(bytes))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn bound_memory(_: u64) -> std::io::Result<()> {
    Ok(())
}

/// Reads a document in a process of its own: `exe` is this program, started as `exe extract-child`.
pub async fn extract_isolated(
    exe: &Path,
    limits: Limits,
    name: &str,
    bytes: Bytes,
) -> Result<Extracted, ExtractError> {
    read_isolated(exe, limits, Part::Whole, name, bytes).await
}

pub(crate) async fn read_isolated(
    exe: &Path,
    limits: Limits,
    part: Part,
    name: &str,
    bytes: Bytes,
) -> Result<Extracted, ExtractError> {
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(ExtractError::TooLarge(format!(
            "{} MB, at most {} MB are read",
            bytes.len() >> 20,
            MAX_INPUT_BYTES >> 20
        )));
    }
    // Dropping the future at the deadline drops the child, and that kills it.
    match tokio::time::timeout(limits.time, speak(exe, limits, part, name, bytes)).await {
        Ok(result) => result,
        Err(_) => Err(ExtractError::Timeout(u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX))),
    }
}

async fn speak(
    exe: &Path,
    limits: Limits,
    part: Part,
    name: &str,
    bytes: Bytes,
) -> Result<Extracted, ExtractError> {
    let fault = |what: &str, e: &dyn std::fmt::Display| ExtractError::Reader(format!("{what}: {e}"));
    let mut child = Command::new(exe)
        .arg(CHILD_COMMAND)
        // The reader needs nothing of this process, least of all its secrets.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| fault("it could not be started", &e))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(ExtractError::Reader("it has no pipes".into()));
    };
    let request = Request { name: name.to_owned(), memory_bytes: limits.memory_bytes, part };
    let mut head = serde_json::to_vec(&request).map_err(|e| fault("its request", &e))?;
    head.push(b'\n');
    let ask = async move {
        // A reader that dies early stops listening; how it ended says more than the broken pipe.
        let _ = stdin.write_all(&head).await;
        let _ = stdin.write_all(&bytes).await;
    };
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let mut stdout = stdout.take(MAX_ANSWER_BYTES);
    let mut stderr = stderr.take(MAX_COMPLAINT_BYTES);
    let (_, out, _) = tokio::join!(ask, stdout.read_to_end(&mut answer), stderr.read_to_end(&mut complaint));
    out.map_err(|e| fault("its answer", &e))?;
    let status = child.wait().await.map_err(|e| fault("its end", &e))?;
    if status.success() {
        let answer: Result<Answer, ExtractError> =
            serde_json::from_slice(&answer).map_err(|e| fault("its answer", &e))?;
        return answer?.known();
    }
    let complaint = String::from_utf8_lossy(&complaint);
    if complaint.contains("memory allocation") {
        return Err(ExtractError::TooLarge(format!(
            "reading it takes more than {} MB of memory",
            limits.memory_bytes >> 20
        )));
    }
    if status.code().is_some() {
        let last = complaint.lines().last().unwrap_or("no reason given").to_owned();
        return Err(ExtractError::Reader(last));
    }
    Err(ExtractError::Damaged(format!("its content ended the reader: {status}")))
}
