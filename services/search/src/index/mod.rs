//! The index: what every engine does.
//!
//! An engine gives candidates and exact scores; the order of hits is made by [`crate::rank`] alike for all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use uuid::Uuid;

pub mod embedded;
pub mod opensearch;
pub(crate) mod pages;
mod request;
mod response;
pub(crate) mod shown;
mod types;
pub mod versions;

pub use cs_core::Visibility;
pub use request::{Filters, MAX_FIRST, Mode, SearchRequest};
pub use response::{Explanation, Facets, Hit, SearchResponse, Span};
pub use types::{BODY_LABEL, Counts, Held, Part, PassageDoc, PassageKind, VisibleTags};

/// What can go wrong in an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process has the directory open.
    #[error(
        "the search index at {0} is in use by another process: stop it first, or choose another data directory"
    )]
    InUse(PathBuf),
    /// Written by a later version of this program.
    #[error(
        "the search index at {path} has format {found}, this program reads up to {supported}: update the program, or delete the directory and run `councilsense reindex`"
    )]
    NewerFormat {
        /// Where.
        path: PathBuf,
        /// What the directory says.
        found: u32,
        /// What this program reads.
        supported: u32,
    },
    /// What is on disk does not agree with itself.
    #[error("the search index at {path} is damaged ({reason}): run `councilsense reindex` to build it again")]
    Corrupt {
        /// Where.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file that says which version is used cannot be read.
    #[error("{path} is not what was written: delete it to use the first version, {}, again", path.with_extension("").display())]
    Pointer {
        /// The file.
        path: PathBuf,
    },
    /// The next version is being built.
    #[error("the next version of the search index is being built: wait until it is used")]
    Building,
    /// There is nothing to go back to.
    #[error("there is no version of the search index before {0}")]
    NoVersionBefore(String),
    /// A vector's length is not that of the vectors already there.
    #[error(
        "a vector has {found} dimensions, this index holds vectors of {expected}: run `councilsense reindex` after changing the embedding model"
    )]
    Dimensions {
        /// Of the index.
        expected: usize,
        /// Of the vector given.
        found: usize,
    },
    /// A passage was handed over under another tenant or meeting than its own.
    #[error("passage {0} belongs to another tenant or meeting than it was indexed for")]
    Misplaced(String),
    /// A cursor that was not made by this index.
    #[error("the cursor is not one of this search: start again without it")]
    BadCursor,
    /// An index in the engine is not laid out as this program writes and reads it.
    #[error(
        "the search index {index} is laid out otherwise than this program needs ({difference}): run `councilsense reindex` to build the next version, or point --opensearch-url at another cluster"
    )]
    Layout {
        /// Its name.
        index: String,
        /// The first differences, as path: found, expected.
        difference: String,
    },
    /// The engine is another process, and does not answer.
    #[error("the search engine at {engine} cannot be reached ({reason}): it is tried again by itself")]
    Unavailable {
        /// Where it should be.
        engine: String,
        /// What was seen.
        reason: String,
    },
    /// There was no turn, or no time, for a search.
    #[error("nothing was found within {0:?}, for too much is searched at once: ask again in a moment")]
    Late(std::time::Duration),
    /// Reading or writing failed.
    #[error("the search index cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// The engine failed.
    #[error("the search engine failed: {0}")]
    Engine(String),
    /// The index is shutting down.
    #[error("the search index is closed")]
    Closed,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is durable and searchable.
    Yes,
    /// A later version was there already; nothing changed.
    Stale {
        /// The version that is there.
        indexed: i64,
    },
}

/// What a tenant's index holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Passages and claims that can be found by somebody.
    pub passages: u64,
    /// Meetings with at least one of them.
    pub meetings: u64,
    /// Those with a vector.
    pub with_vector: u64,
    /// Dimensions of the vectors; 0 while there are none.
    pub dimensions: usize,
    /// Embedding models in use; more than one means that a re-index is due.
    pub embedders: Vec<String>,
    /// Chunkers in use; more than one means that a re-index is due.
    pub chunkers: Vec<String>,
}

/// A search engine over passages. Changes are idempotent and ordered by an external version, so that events may come
/// twice and in any order: an older version never overwrites a newer one. A change that has returned is durable and
/// is seen by every later search.
#[async_trait]
pub trait SearchIndex: Send + Sync {
    /// Replaces one part of a meeting by these passages. The same version again replaces it again.
    async fn replace_meeting(
        &self,
        tenant: Uuid,
        meeting: Uuid,
        part: Part,
        version: i64,
        docs: Vec<PassageDoc>,
    ) -> Result<Applied, IndexError>;

    /// Removes one part of a meeting, and remembers the version, so that a late event does not bring it back.
    async fn remove_part(
        &self,
        tenant: Uuid,
        meeting: Uuid,
        part: Part,
        version: i64,
    ) -> Result<Applied, IndexError> {
        self.replace_meeting(tenant, meeting, part, version, Vec::new()).await
    }

    /// Changes who may read everything derived from an artifact. `version` orders such changes of one artifact.
    async fn set_visibility(
        &self,
        tenant: Uuid,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError>;

    /// Forgets everything of a tenant, versions too.
    async fn erase_tenant(&self, tenant: Uuid) -> Result<(), IndexError>;

    /// Searches one tenant's visible passages.
    async fn search(&self, request: SearchRequest) -> Result<SearchResponse, IndexError>;

    /// The version of a meeting's part that is indexed (or removed), if any.
    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError>;

    /// The bodies of visible passages with their names, sorted, for `body:` in a query.
    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError>;

    /// The embedding models of a tenant's vectors, where that is known without asking for long. A query's vector of
    /// another model must not be compared with them.
    async fn embedders(&self, _tenant: Uuid) -> Option<Vec<String>> {
        None
    }

    /// Whether it is known to lack passages until it has been built anew.
    fn is_lacking(&self) -> bool {
        false
    }

    /// Every meeting of which there is a passage or a claim, whoever may see it, and how many of each.
    async fn meetings(&self, tenant: Uuid) -> Result<BTreeMap<Held, Counts>, IndexError>;

    /// What a tenant's index holds.
    async fn stats(&self, tenant: Uuid) -> Result<IndexStats, IndexError>;

    /// Waits until every change handed over before is durable and searchable.
    async fn flush(&self) -> Result<(), IndexError>;

    /// This engine, where it keeps versions beside each other in this process and can build the next one by itself.
    fn versioned(&self) -> Option<versions::VersionedIndex> {
        None
    }

    /// Whether it can answer now. An engine inside this process always can.
    async fn ready(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
