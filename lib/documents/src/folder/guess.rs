//! What a document's own first pages say, where its name is silent.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::NaiveDate;
use cs_core::document::ArtifactKind;

use super::names;
use super::walk::File;
use crate::Reader;
use crate::error::ExtractError;
use crate::limits::MAX_INPUT_BYTES;

/// Documents remembered at most.
const MOST_KNOWN: usize = 20_000;
/// How soon one that took too long is read again at first, and at the latest. Each time it takes too long again, the wait
/// doubles: a machine under load costs minutes, and a document that never ends costs its reader's time ever more rarely.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How documents introduce themselves, read once as long as they do not change: sources are scanned again and again, and
/// one that keeps its reader busy to the limit must not do so each time. It is tried again after a while, though: it may
/// have been the machine that was slow.
#[derive(Debug)]
pub struct Introductions {
    reader: Reader,
    first_wait: Duration,
    known: Mutex<HashMap<PathBuf, Known>>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    read: Read,
    /// When it took too long: until when that holds, and how long that was from then.
    again: Option<(Instant, Duration)>,
}

impl Known {
    fn holds(&self) -> bool {
        self.again.is_none_or(|(until, _)| Instant::now() < until)
    }
}

/// What came of reading one.
type Read = Result<Introduction, ExtractError>;
/// Tells whether a file has changed.
type Stamp = (u64, Option<SystemTime>);

/// What the beginning of a document says.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    pub(super) date: Option<NaiveDate>,
    /// The kind its title says.
    pub(super) kind: Option<ArtifactKind>,
    /// The body its title names; within, `None` is the city's own.
    pub(super) body: Option<Option<String>>,
}

impl Introductions {
    /// Read by `reader`.
    pub fn new(reader: Reader) -> Self {
        Self { reader, first_wait: FIRST_WAIT, known: Mutex::default() }
    }

    /// The same, with another first wait before a document that took too long is read again.
    pub fn patient(self, first_wait: Duration) -> Self {
        Self { first_wait, ..self }
    }

    pub(super) fn of(&self, file: &File) -> Read {
        let modified = std::fs::metadata(&file.path).and_then(|m| m.modified()).ok();
        let stamp = (file.size, modified);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waited = None;
        if let Some(before) = known().get(&file.path).filter(|before| before.stamp == stamp) {
            if before.holds() {
                return before.read.clone();
            }
            waited = before.again.map(|(_, wait)| wait);
        }
        let read = self.read(&file.path, file.size);
        let again = matches!(read, Err(ExtractError::Timeout(_))).then(|| {
            let wait = waited.map_or(self.first_wait, |wait| wait.saturating_mul(2)).min(LONGEST_WAIT);
            (Instant::now() + wait, wait)
        });
        // What is no fault of the document may go well the next time.
        if !read.as_ref().is_err_and(ExtractError::is_transient) {
            let mut known = known();
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(file.path.clone(), Known { stamp, read: read.clone(), again });
        }
        read
    }

    fn read(&self, path: &Path, size: u64) -> Result<Introduction, ExtractError> {
        if size > MAX_INPUT_BYTES {
            return Err(ExtractError::TooLarge(format!(
                "{} MB, at most {} MB are read",
                size >> 20,
                MAX_INPUT_BYTES >> 20
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| ExtractError::Reader(e.to_string()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let read = self.reader.introduction(&name, bytes.into())?;
        let text = read.text.text.as_str();
        Ok(Introduction {
            date: names::date_in_content(text),
            kind: if is_captions(read.media_type) { Some(ArtifactKind::Transcript) } else { kind(text) },
            body: body(text),
        })
    }
}

/// The kind its title says: the first line that is little more than the word.
fn kind(text: &str) -> Option<ArtifactKind> {
    let lines = text.lines().take(60);
    let mut titles = lines.filter(|l| l.split_whitespace().count() <= 6);
    titles.find_map(|l| names::kind(&names::words(l)).filter(|k| *k != ArtifactKind::Packet))
}

/// The body its title names.
fn body(text: &str) -> Option<Option<String>> {
    let titles = text.lines().take(40).filter(|l| (1..=8).contains(&l.split_whitespace().count()));
    // "THE COUNCIL" heads the papers of its committees too.
    let named: Vec<_> = titles.filter_map(|l| names::body(&names::words(l))).collect();
    named.iter().find(|b| b.is_some()).or(named.first()).cloned()
}

fn is_captions(media_type: &str) -> bool {
    ["text/vtt", "application/x-subrip", "application/json"].contains(&media_type)
}
