//! The OpenSearch engine: candidates, exact scores and filters there, the ranking here.
//!
//! ```text
//! PREFIX-TENANT        an alias: what is searched and written
//! PREFIX-TENANT-v3     the version behind it; the one before stays until the next, for going back
//! PREFIX               an index template with the layout
//! ```
//!
//! A tenant has an index of its own, so that no other tenant's words weigh in its scores and none of its passages can
//! be reached by a filter forgotten. Start at `search.rs` for reading and at `writer.rs` for writing.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

mod breaker;
mod client;
mod document;
mod filter;
mod indexes;
mod layout;
mod legs;
mod search;
mod stats;
mod union;
mod wire;
mod writer;

use self::client::{CallError, Client, Method};
use self::document::part_key;
pub use self::indexes::Generation;
use self::writer::{What, Writer};
use super::pages::Pages;
use super::{
    Applied, Counts, Held, IndexError, IndexStats, Part, PassageDoc, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use crate::rank::RankParams;

/// Longest a change may take.
const WRITE: Duration = Duration::from_secs(60);
/// So long it is remembered which models made a tenant's vectors.
const MAKERS_KNOWN: Duration = Duration::from_secs(5);

/// How the engine is reached and what it holds.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is; a name and password in it are sent as basic authentication.
    pub url: Url,
    /// What its indexes' names begin with.
    pub prefix: String,
    /// Dimensions of the vectors.
    pub dimensions: usize,
    /// How hits are ranked.
    pub params: RankParams,
    /// Longest a search may take; past it what was found is answered and flagged, or nothing.
    pub deadline: Duration,
}

impl Options {
    /// With everything else as usual.
    pub fn new(url: Url, dimensions: usize) -> Self {
        Self {
            url,
            prefix: "councilsense".to_owned(),
            dimensions,
            params: RankParams::default(),
            deadline: Duration::from_secs(2),
        }
    }
}

/// The OpenSearch engine.
pub struct OpenSearchIndex {
    client: Arc<Client>,
    options: Options,
    /// Writes behind the alias, or into a version that is being built.
    target: Target,
    writers: Mutex<HashMap<Uuid, Arc<Writer>>>,
    pages: Pages,
    makers: Mutex<HashMap<Uuid, (Instant, Vec<String>)>>,
    /// The template is there, and what is searched was found laid out as it should be.
    prepared: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Alias,
    Version(u32),
}

impl OpenSearchIndex {
    /// Reaches the engine, puts the template there, and refuses indexes that are laid out otherwise.
    pub async fn connect(options: Options) -> Result<Self, IndexError> {
        let index = Self::lazy(options)?;
        index.prepare_once().await?;
        Ok(index)
    }

    /// The same without asking the engine anything yet: it may be down, and then searches say so.
    pub fn lazy(options: Options) -> Result<Self, IndexError> {
        let client = Arc::new(Client::new(options.url.clone())?);
        Ok(Self::over(client, options, Target::Alias))
    }

    fn over(client: Arc<Client>, options: Options, target: Target) -> Self {
        Self {
            client,
            options,
            target,
            writers: Mutex::default(),
            pages: Pages::default(),
            makers: Mutex::default(),
            prepared: AtomicBool::new(false),
        }
    }

    /// What [`OpenSearchIndex::connect`] does at first, where the engine was away then.
    async fn prepare_once(&self) -> Result<(), IndexError> {
        if !self.prepared.load(Ordering::Acquire) {
            self.prepare().await?;
            self.prepared.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn call_failed(&self, error: CallError) -> IndexError {
        self.client.told(error)
    }

    fn writer(&self, tenant: Uuid) -> Arc<Writer> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Writer::new(Arc::clone(&self.client), self.target == Target::Alias));
        Arc::clone(writers.entry(tenant).or_insert_with(new))
    }

    async fn change(&self, tenant: Uuid, what: What) -> Result<Applied, IndexError> {
        let index = self.writable(tenant).await?;
        let writer = self.writer(tenant);
        let result = writer.change(&index, what).await;
        if matches!(result, Err(IndexError::Engine(_))) {
            // It may have gone from the engine: it is looked for again before the next change.
            *writer.known.lock().await = false;
        }
        result
    }
}

fn engine(error: impl std::fmt::Display) -> IndexError {
    IndexError::Engine(error.to_string())
}

#[async_trait]
impl SearchIndex for OpenSearchIndex {
    async fn replace_meeting(
        &self,
        tenant: Uuid,
        meeting: Uuid,
        part: Part,
        version: i64,
        docs: Vec<PassageDoc>,
    ) -> Result<Applied, IndexError> {
        if let Some(stray) = docs.iter().find(|d| d.tenant_id != tenant || d.meeting_id != meeting) {
            return Err(IndexError::Misplaced(stray.id.clone()));
        }
        let expected = self.options.dimensions;
        let mut lengths = docs.iter().map(|d| d.vector.len()).filter(|len| *len > 0);
        if let Some(found) = lengths.find(|len| *len != expected) {
            return Err(IndexError::Dimensions { expected, found });
        }
        self.change(tenant, What::Replace { part: part_key(meeting, part), version, docs }).await
    }

    async fn set_visibility(
        &self,
        tenant: Uuid,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError> {
        self.change(tenant, What::Visibility { artifact, version, visibility }).await
    }

    async fn erase_tenant(&self, tenant: Uuid) -> Result<(), IndexError> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
        self.makers.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
        self.pages.forget(tenant);
        self.delete_all_of(tenant).await
    }

    async fn search(&self, request: SearchRequest) -> Result<SearchResponse, IndexError> {
        let index = self.name_of(request.tenant);
        search::search(&self.client, &self.options, &self.pages, &index, &request).await
    }

    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError> {
        let path = format!("/{}/_doc/{}", self.name_of(tenant), writer::whole(&part_key(meeting, part)));
        match self.client.json::<Value>(Method::Get, &path, None, WRITE).await {
            Ok(found) => Ok(found.pointer("/_source/version").and_then(Value::as_i64)),
            Err(CallError::NotFound(_)) => Ok(None),
            Err(error) => Err(self.call_failed(error)),
        }
    }

    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError> {
        stats::bodies(&self.client, &self.name_of(tenant), visible, self.options.deadline).await
    }

    async fn embedders(&self, tenant: Uuid) -> Option<Vec<String>> {
        let known = || self.makers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, names)) = known().get(&tenant)
            && asked.elapsed() < MAKERS_KNOWN
        {
            return Some(names.clone());
        }
        // One that does not answer now says so when it is searched.
        let asked = stats::embedders(&self.client, &self.name_of(tenant), self.options.deadline).await;
        let names = asked.inspect_err(|error| tracing::debug!(%error, "the models are not known")).ok()?;
        known().insert(tenant, (Instant::now(), names.clone()));
        Some(names)
    }

    async fn meetings(&self, tenant: Uuid) -> Result<BTreeMap<Held, Counts>, IndexError> {
        stats::meetings(&self.client, &self.name_of(tenant)).await
    }

    async fn stats(&self, tenant: Uuid) -> Result<IndexStats, IndexError> {
        stats::stats(&self.client, &self.name_of(tenant)).await
    }

    async fn flush(&self) -> Result<(), IndexError> {
        // A change is durable and searchable when it returns; what is left is what waits for its turn.
        let writers: Vec<_> =
            self.writers.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for writer in writers {
            writer.idle().await;
        }
        Ok(())
    }

    async fn ready(&self) -> Result<(), IndexError> {
        let body = json!({ "size": 0, "timeout": "1s" });
        let path = format!("/{}-*/_search?allow_no_indices=true", self.options.prefix);
        let within = Duration::from_secs(1);
        self.client
            .json::<Value>(Method::Post, &path, Some(&body), within)
            .await
            .map_err(|e| self.call_failed(e))?;
        self.prepare_once().await
    }
}
