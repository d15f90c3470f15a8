//! A folder of documents as a source of meetings. The README shows the layout; every file but the documents is optional, and
//! what is not said is derived from names and content.

mod city;
mod describe;
mod group;
mod guess;
mod manifest;
mod names;
mod walk;

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};
use cs_core::document::ArtifactKind;

pub use city::CityToml;
pub use guess::Introductions;

/// What a folder holds. Every file under it is the artifact of a meeting, describes one, or is ignored for a reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FolderScan {
    /// `city.toml` at the top of the folder.
    pub city: CityToml,
    /// By date, then by `meeting_uid`.
    pub meetings: Vec<FoundMeeting>,
    /// Files that belong to no meeting, each with the reason.
    pub ignored: Vec<(PathBuf, String)>,
}

/// A meeting found in a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundMeeting {
    /// Given by `meeting.json`, else made of body and date, such as `city-council-2023-03-09`.
    pub meeting_uid: String,
    /// What the meeting is called.
    pub title: String,
    /// Who met.
    pub body: String,
    /// The day it was held; missing only where `error` says why.
    pub date: Option<NaiveDate>,
    /// When it began, if `meeting.json` says.
    pub starts_at: Option<StartsAt>,
    /// Where, if `meeting.json` says.
    pub location: Option<String>,
    /// Its state in the words of `meeting.json`.
    pub status: Option<String>,
    /// By kind, then by file.
    pub artifacts: Vec<FoundArtifact>,
    /// What was derived, and from what.
    pub derivation: Vec<String>,
    /// Why this meeting cannot be taken in; the others go on.
    pub error: Option<String>,
}

/// When a meeting began, as far as the source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartsAt {
    /// On the clock of the city.
    Local(NaiveDateTime),
    /// With an offset from UTC.
    Offset(DateTime<FixedOffset>),
}

/// A file of a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundArtifact {
    /// Where to read it.
    pub path: PathBuf,
    /// Its name relative to the meeting's folder, or to the folder scanned for loose files; parts joined by `/`.
    pub file: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// What it is called.
    pub title: String,
    /// Where it was published.
    pub source_url: Option<String>,
    /// Its size; compare with [`crate::limits::MAX_INPUT_BYTES`] before reading.
    pub size_bytes: u64,
    /// Why it cannot be read: named by `meeting.json` but missing, or outside of the folder.
    pub error: Option<String>,
}

/// Why a folder could not be scanned.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Nothing is there.
    #[error(
        "{0}: no such file or folder; give the path of a document, a meeting's folder or a folder of those"
    )]
    NotFound(PathBuf),
    /// No file in it.
    #[error(
        "{0}: the folder holds no documents; put agendas, minutes or captions in it (such as 2023-03-09-regular-meeting/minutes.pdf)"
    )]
    Empty(PathBuf),
    /// The system refused.
    #[error("{path}: {source}; check that this user may read it")]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More files than a scan takes.
    #[error("{path}: more than {most} files; ingest its parts one by one")]
    TooMany {
        /// The folder scanned.
        path: PathBuf,
        /// The bound.
        most: usize,
    },
    /// `city.toml` cannot be read.
    #[error("{path}: {message}; correct it or remove it")]
    City {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
}

/// Finds the meetings in a file, a meeting's folder, or a folder of such at any depth. What names do not say, `reading`
/// finds in the documents; it blocks.
pub fn scan(path: &Path, reading: &Introductions) -> Result<FolderScan, FolderError> {
    let tree = walk::walk(path)?;
    if tree.files.is_empty() && tree.ignored.is_empty() && tree.empty.is_empty() {
        return Err(FolderError::Empty(path.to_owned()));
    }
    group::group(tree, reading)
}
