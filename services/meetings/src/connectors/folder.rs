//! A folder on the machine that runs meetings, laid out as the README shows it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone, Utc};
use cs_core::Visibility;
use cs_documents::folder::{
    FolderError, FolderScan, FoundArtifact, FoundMeeting, Introductions, StartsAt, scan,
};
use sha2::{Digest, Sha256};

use super::{Listed, Listing, SourceConnector};
use crate::ingest::{NewArtifact, NewMeeting};
use crate::objects::name_of;
use crate::{Error, ObjectStore};

/// A folder source.
pub struct Folder {
    root: PathBuf,
    reading: Arc<Introductions>,
}

impl Folder {
    /// At an absolute path; its documents are read by `reading`.
    pub fn new(location: &str, reading: Arc<Introductions>) -> Result<Self, Error> {
        Ok(Self { root: root(location)?, reading })
    }

    /// What is there. A share that is away shows no folder, or one that cannot be read, or what `away` knows it by.
    async fn found(&self, away: impl Fn(&FolderError) -> bool) -> Result<FolderScan, Error> {
        let (root, reading) = (self.root.clone(), self.reading.clone());
        let scanned = tokio::task::spawn_blocking(move || scan(&root, &reading))
            .await
            .map_err(|e| Error::Source(format!("the folder could not be read: {e}")))?;
        scanned.map_err(|error| match error {
            FolderError::NotFound(_) | FolderError::Io { .. } => Error::Files(io::Error::other(error)),
            error if away(&error) => Error::Files(io::Error::other(error)),
            other => Error::Source(other.to_string()),
        })
    }
}

pub(super) fn root(location: &str) -> Result<PathBuf, Error> {
    let root = PathBuf::from(location);
    if !root.is_absolute() {
        return Err(Error::invalid("location", "must be an absolute path on the machine that runs meetings"));
    }
    Ok(root)
}

#[async_trait]
impl SourceConnector for Folder {
    async fn list(&self) -> Result<Listing, Error> {
        let found = self.found(|_| false).await?;
        let listed = |m: &FoundMeeting| Listed {
            meeting_uid: m.meeting_uid.clone(),
            revision: listing_revision(m),
            error: m.error.clone(),
        };
        let shown = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        Ok(Listing {
            meetings: found.meetings.iter().map(listed).collect(),
            ignored: found.ignored.iter().map(|(path, why)| format!("{}: {why}", shown(path))).collect(),
        })
    }

    async fn fetch(
        &self,
        meeting_uid: &str,
        zone: chrono_tz::Tz,
        objects: &dyn ObjectStore,
        most: u64,
    ) -> Result<NewMeeting, Error> {
        // It was listed: where nothing is there now, the share is away.
        let found = self.found(|error| matches!(error, FolderError::Empty(_))).await?;
        let found = found.meetings.into_iter().find(|m| m.meeting_uid == meeting_uid);
        let meeting = found.ok_or(Error::NotFound("meeting at this source"))?;
        if let Some(error) = meeting.error {
            return Err(Error::Source(error));
        }
        let mut artifacts = Vec::new();
        for artifact in &meeting.artifacts {
            artifacts.push(fetch_file(artifact, objects, most).await?);
        }
        Ok(NewMeeting {
            meeting_uid: meeting.meeting_uid,
            title: meeting.title,
            body: meeting.body,
            date: meeting.date.ok_or_else(|| Error::invalid("date", "the meeting has none"))?,
            starts_at: meeting.starts_at.and_then(|at| utc(at, zone)),
            location: meeting.location,
            status: meeting.status,
            visibility: Visibility::Public,
            derivation: meeting.derivation,
            artifacts,
        })
    }
}

/// A time of the source in UTC; `None` where the city's clock skips it.
pub fn utc(at: StartsAt, zone: chrono_tz::Tz) -> Option<DateTime<Utc>> {
    match at {
        StartsAt::Offset(at) => Some(at.to_utc()),
        StartsAt::Local(at) => zone.from_local_datetime(&at).earliest().map(|at| at.to_utc()),
    }
}

async fn fetch_file(
    artifact: &FoundArtifact,
    objects: &dyn ObjectStore,
    most: u64,
) -> Result<NewArtifact, Error> {
    let new = |sha256: String, size_bytes: u64, refused: Option<String>| NewArtifact {
        kind: artifact.kind,
        title: artifact.title.clone(),
        file_name: artifact.file.clone(),
        source_url: artifact.source_url.clone(),
        sha256,
        size_bytes,
        refused,
    };
    let nameless = |why: &str| name_of(format!("{}|{}|{why}", artifact.file, artifact.size_bytes).as_bytes());
    if let Some(error) = &artifact.error {
        return Ok(new(nameless(error), artifact.size_bytes, Some(error.clone())));
    }
    if artifact.size_bytes > most {
        let reason = format!(
            "too_large: {} MB, at most {} MB are taken: split it",
            artifact.size_bytes >> 20,
            most >> 20
        );
        return Ok(new(nameless("too_large"), artifact.size_bytes, Some(reason)));
    }
    let bytes = match tokio::fs::read(&artifact.path).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let reason = format!("unreadable: {error}");
            return Ok(new(nameless(&reason), artifact.size_bytes, Some(reason)));
        }
        // It may be there at the next try: a share that is away for a moment must not turn documents into unreadable ones.
        Err(error) => return Err(Error::Files(error)),
    };
    let (sha256, size) = (name_of(&bytes), bytes.len() as u64);
    objects.put(&sha256, bytes.into()).await.map_err(Error::Objects)?;
    Ok(new(sha256, size, None))
}

/// Names the state of a meeting's files by their sizes and times, so that a scan need not read them.
fn listing_revision(meeting: &FoundMeeting) -> String {
    let mut hash = Sha256::new();
    hash.update(format!(
        "{:?}|{:?}|{:?}|{:?}|{:?}|{:?}",
        meeting.title, meeting.date, meeting.starts_at, meeting.status, meeting.body, meeting.location
    ));
    for artifact in &meeting.artifacts {
        hash.update(format!(
            "{:?}|{:?}|{:?}|{}|{:?}|{:?};",
            artifact.file,
            artifact.title,
            artifact.source_url,
            artifact.size_bytes,
            modified(&artifact.path),
            artifact.kind
        ));
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

#[cfg(test)]
mod tests {
    use cs_documents::Reader;

    use super::*;
    use crate::FileStore;

    #[tokio::test]
    async fn a_share_that_is_away_is_no_fault_of_its_meetings() {
        let dir = tempfile::tempdir().unwrap();
        let share = dir.path().join("share");
        std::fs::create_dir(&share).unwrap();
        std::fs::write(share.join("2023-01-05-city-council.txt"), "Called to order.").unwrap();
        let introductions = Arc::new(Introductions::new(Reader::InProcess));
        let folder = Folder::new(share.to_str().unwrap(), introductions).unwrap();
        let uid = folder.list().await.unwrap().meetings.remove(0).meeting_uid;
        let objects = FileStore::new(&dir.path().join("objects"));
        let fetch = || folder.fetch(&uid, chrono_tz::UTC, &objects, 1_000);
        fetch().await.unwrap();
        std::fs::remove_file(share.join("2023-01-05-city-council.txt")).unwrap();
        assert!(matches!(fetch().await, Err(Error::Files(_))), "its mount point is empty");
        assert!(
            matches!(folder.list().await, Err(Error::Source(_))),
            "of an empty folder operators are told"
        );
        std::fs::remove_dir(&share).unwrap();
        assert!(matches!(fetch().await, Err(Error::Files(_))));
        assert!(matches!(folder.list().await, Err(Error::Files(_))));
    }
}
