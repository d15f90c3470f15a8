//! The embedded engine: tantivy's postings scored by our own formula, vectors beside them in memory.
//!
//! ```text
//! DIR/engine.json          the format's version
//! DIR/lock                 held while a process has the directory open
//! DIR/tenants/TENANT/      a tantivy index a tenant
//! DIR/damaged/TENANT/      what was set aside to be built again
//! ```
//!
//! Start at `search.rs` for reading and at `writer.rs` for writing.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod columns;
mod disk;
mod facets;
mod filter;
mod keyword;
mod schema;
mod search;
mod semantic;
mod shard;
mod snapshot;
mod union;
mod vectors;
mod writer;

use self::shard::Shard;
use self::writer::What;
use super::{
    Applied, Counts, Held, IndexError, IndexStats, Part, PassageDoc, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use crate::rank::RankParams;

/// Version of what is on disk. A change of the analysis or of the fields is a new one.
const FORMAT: u32 = 1;

/// What to do with a tenant's index that does not agree with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Fail with [`IndexError::Corrupt`].
    Refuse,
    /// Set it aside and start empty; the caller fills it again from the services.
    StartEmpty,
}

/// A tenant's index that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Whose it is: index it again.
    pub tenant: Uuid,
    /// What was found.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
}

/// The embedded engine over one directory.
pub struct EmbeddedIndex {
    root: PathBuf,
    params: RankParams,
    shards: RwLock<HashMap<Uuid, Arc<Shard>>>,
    // Held, never read: closing the file lets the lock go.
    _lock: File,
}

impl EmbeddedIndex {
    /// Opens a directory, or makes it. Gives the tenants whose index was damaged and now is empty.
    pub fn open(
        root: &Path,
        params: RankParams,
        on_damage: OnDamage,
    ) -> Result<(Self, Vec<Damaged>), IndexError> {
        fs::create_dir_all(root.join("tenants"))?;
        let lock = File::create(root.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => IndexError::InUse(root.to_owned()),
            TryLockError::Error(error) => IndexError::Io(error),
        })?;
        check_format(root)?;
        let mut damaged = Vec::new();
        let mut shards = HashMap::new();
        for entry in fs::read_dir(root.join("tenants"))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(tenant) = name.to_str().and_then(|name| Uuid::parse_str(name).ok()) else {
                // What an erasure left behind when it was interrupted.
                fs::remove_dir_all(entry.path())?;
                continue;
            };
            let shard = match Shard::open(&entry.path()) {
                Err(IndexError::Corrupt { reason, .. }) if on_damage == OnDamage::StartEmpty => {
                    set_aside(root, tenant, &entry.path())?;
                    tracing::warn!(%tenant, reason, "a damaged search index was set aside and is built again");
                    damaged.push(Damaged { tenant, reason });
                    Shard::open(&entry.path())
                }
                opened => opened,
            }?;
            shards.insert(tenant, Arc::new(shard));
        }
        Ok((Self { root: root.to_owned(), params, shards: RwLock::new(shards), _lock: lock }, damaged))
    }

    fn shard(&self, tenant: Uuid) -> Option<Arc<Shard>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    fn shard_or_new(&self, tenant: Uuid) -> Result<Arc<Shard>, IndexError> {
        if let Some(shard) = self.shard(tenant) {
            return Ok(shard);
        }
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = shards.get(&tenant) {
            return Ok(Arc::clone(shard));
        }
        let shard = Arc::new(Shard::open(&self.path_of(tenant))?);
        shards.insert(tenant, Arc::clone(&shard));
        Ok(shard)
    }

    fn path_of(&self, tenant: Uuid) -> PathBuf {
        self.root.join("tenants").join(tenant.to_string())
    }
}

fn check_format(root: &Path) -> Result<(), IndexError> {
    let path = root.join("engine.json");
    match fs::read(&path) {
        Ok(bytes) => {
            let corrupt =
                |e: serde_json::Error| IndexError::Corrupt { path: path.clone(), reason: e.to_string() };
            let Format { format } = serde_json::from_slice(&bytes).map_err(corrupt)?;
            if format > FORMAT {
                return Err(IndexError::NewerFormat {
                    path: root.to_owned(),
                    found: format,
                    supported: FORMAT,
                });
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = serde_json::to_vec(&Format { format: FORMAT }).map_err(engine)?;
            let temporary = root.join("engine.json.new");
            fs::write(&temporary, bytes)?;
            Ok(fs::rename(temporary, path)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn set_aside(root: &Path, tenant: Uuid, path: &Path) -> Result<(), IndexError> {
    let aside = root.join("damaged").join(tenant.to_string());
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::create_dir_all(root.join("damaged"))?;
    Ok(fs::rename(path, aside)?)
}

fn engine(error: impl std::fmt::Display) -> IndexError {
    IndexError::Engine(error.to_string())
}

#[async_trait]
impl SearchIndex for EmbeddedIndex {
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
        let shard = self.shard_or_new(tenant)?;
        let mut lengths = docs.iter().map(|d| d.vector.len()).filter(|len| *len > 0);
        let expected = match shard.snapshot().dims {
            0 => lengths.next().unwrap_or(0),
            dims => dims,
        };
        if let Some(found) = lengths.find(|len| *len != expected) {
            return Err(IndexError::Dimensions { expected, found });
        }
        shard.change(What::Replace { meeting, part, version, docs }).await
    }

    async fn set_visibility(
        &self,
        tenant: Uuid,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError> {
        self.shard_or_new(tenant)?.change(What::Visibility { artifact, version, visibility }).await
    }

    async fn erase_tenant(&self, tenant: Uuid) -> Result<(), IndexError> {
        let shard = self.shards.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
        let Some(shard) = shard else { return Ok(()) };
        let path = self.path_of(tenant);
        let erased = path.with_extension("erased");
        let close = move || {
            shard.close();
            // Renamed first: what is left by a crash in between is removed at the next start.
            fs::rename(&path, &erased)?;
            fs::remove_dir_all(&erased)
        };
        Ok(tokio::task::spawn_blocking(close).await.map_err(engine)??)
    }

    async fn search(&self, request: SearchRequest) -> Result<SearchResponse, IndexError> {
        let Some(shard) = self.shard(request.tenant) else {
            return Ok(super::shown::nothing(&request));
        };
        let snapshot = shard.snapshot();
        let params = self.params.clone();
        tokio::task::spawn_blocking(move || search::search(&snapshot, &params, &request))
            .await
            .map_err(engine)?
    }

    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError> {
        Ok(self.shard(tenant).and_then(|s| s.snapshot().ledger.parts.get(&(meeting, part)).copied()))
    }

    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError> {
        Ok(self.shard(tenant).map(|s| s.snapshot().bodies(visible)).unwrap_or_default())
    }

    fn embedders(&self, tenant: Uuid) -> Option<Vec<String>> {
        self.shard(tenant).map(|s| s.snapshot().embedders())
    }

    async fn meetings(&self, tenant: Uuid) -> Result<BTreeMap<Held, Counts>, IndexError> {
        Ok(self.shard(tenant).map(|s| s.snapshot().meetings()).unwrap_or_default())
    }

    async fn stats(&self, tenant: Uuid) -> Result<IndexStats, IndexError> {
        Ok(self.shard(tenant).map(|s| s.snapshot().stats()).unwrap_or_default())
    }

    async fn flush(&self) -> Result<(), IndexError> {
        let shards: Vec<_> =
            self.shards.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for shard in shards {
            shard.change(What::Nothing).await?;
        }
        Ok(())
    }
}
