//! Where cities publish. A connector lists meetings and fetches one; it decides nothing.

mod folder;

use std::sync::Arc;

use async_trait::async_trait;
use cs_documents::folder::Introductions;

use crate::ingest::NewMeeting;
use crate::{Error, ObjectStore};

pub use folder::{Folder, utc};

/// A meeting in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its identity within the city.
    pub meeting_uid: String,
    /// Changes whenever the listing or a file does.
    pub revision: String,
    /// Why it cannot be taken in, where it cannot.
    pub error: Option<String>,
}

/// What a source publishes now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its meetings.
    pub meetings: Vec<Listed>,
    /// What is there and belongs to no meeting, each with the reason.
    pub ignored: Vec<String>,
}

/// One kind of source.
#[async_trait]
pub trait SourceConnector: Send + Sync {
    /// Everything that is published now.
    async fn list(&self) -> Result<Listing, Error>;
    /// One meeting, with the bytes of its documents put into `objects`; files above `most` bytes are named, not taken.
    async fn fetch(
        &self,
        meeting_uid: &str,
        zone: chrono_tz::Tz,
        objects: &dyn ObjectStore,
        most: u64,
    ) -> Result<NewMeeting, Error>;
}

/// Whether there is a connector for such a source.
pub fn check(kind: &str, location: &str) -> Result<(), Error> {
    match kind {
        "folder" => folder::root(location).map(drop),
        other => Err(Error::UnknownSourceKind(other.to_owned())),
    }
}

/// The connector of a source. What strangers' documents say is learned by `reading`.
pub fn open(
    kind: &str,
    location: &str,
    reading: &Arc<Introductions>,
) -> Result<Box<dyn SourceConnector>, Error> {
    match kind {
        "folder" => Ok(Box::new(Folder::new(location, reading.clone())?)),
        other => Err(Error::UnknownSourceKind(other.to_owned())),
    }
}
