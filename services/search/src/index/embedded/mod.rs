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
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

mod columns;
mod deadline;
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

use self::deadline::Deadline;
use self::shard::Shard;
use self::writer::What;
use super::pages::Pages;
use super::{
    Applied, Counts, Held, IndexError, IndexStats, Part, PassageDoc, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use crate::rank::RankParams;

/// Version of what is on disk. A change of the analysis or of the fields is a new one.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "engine.json";
const DAMAGED: &str = "damaged";
/// Longest a search may take, its wait for a turn included.
const DEADLINE: Duration = Duration::from_secs(5);
/// Searches at once, a core: each spreads over the cores by itself, and more of them only slow each other down.
const AT_ONCE_A_CORE: usize = 2;

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
    pages: Arc<Pages>,
    turns: Arc<Semaphore>,
    deadline: Duration,
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
        let mut damaged = Vec::new();
        match check_format(root) {
            Err(IndexError::Corrupt { reason, .. }) if on_damage == OnDamage::StartEmpty => {
                // Nobody knows in which format the tenants' indexes are, so none of them is read.
                let tenants = tenants(root)?;
                fs::remove_file(root.join(FORMAT_FILE))?;
                for (tenant, path) in tenants {
                    damaged.push(aside(root, tenant, &path, reason.clone())?);
                }
                check_format(root)
            }
            checked => checked,
        }?;
        let mut shards = HashMap::new();
        for (tenant, path) in tenants(root)? {
            let shard = match Shard::open(&path) {
                Err(IndexError::Corrupt { reason, .. }) if on_damage == OnDamage::StartEmpty => {
                    damaged.push(aside(root, tenant, &path, reason)?);
                    Shard::open(&path)
                }
                opened => opened,
            }?;
            shards.insert(tenant, Arc::new(shard));
        }
        // Set aside by a process that ended before it had built them again.
        for tenant in set_aside(root)? {
            if damaged.iter().all(|d| d.tenant != tenant) {
                damaged.push(Damaged {
                    tenant,
                    reason: "it was damaged before, and not built again".to_owned(),
                });
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let index = Self {
            root: root.to_owned(),
            params,
            shards: RwLock::new(shards),
            pages: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE_A_CORE * cores)),
            deadline: DEADLINE,
            _lock: lock,
        };
        Ok((index, damaged))
    }

    /// The same with other limits: so many searches at once, each of them for so long, its wait for a turn included.
    #[must_use]
    pub fn limited(self, at_once: usize, deadline: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once)), deadline, ..self }
    }

    /// Whether it holds no tenant's passages at all.
    pub fn is_empty(&self) -> bool {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What was damaged has been built again: what was set aside goes.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_damaged(&self) -> Result<(), IndexError> {
        remove(&self.root.join(DAMAGED))
    }

    /// Forgets a tenant in a directory that nobody has open.
    pub(super) fn erase_files(root: &Path, tenant: Uuid) -> Result<(), IndexError> {
        for kept in ["tenants", DAMAGED] {
            remove(&root.join(kept).join(tenant.to_string()))?;
        }
        Ok(())
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
    let path = root.join(FORMAT_FILE);
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

/// The tenants that have a directory. What an erasure left behind when it was interrupted is removed.
fn tenants(root: &Path) -> Result<Vec<(Uuid, PathBuf)>, IndexError> {
    let mut tenants = Vec::new();
    for entry in fs::read_dir(root.join("tenants"))? {
        let entry = entry?;
        match entry.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok()) {
            Some(tenant) => tenants.push((tenant, entry.path())),
            None => fs::remove_dir_all(entry.path())?,
        }
    }
    Ok(tenants)
}

/// Sets a damaged index aside, so that an empty one can take its place.
fn aside(root: &Path, tenant: Uuid, path: &Path, reason: String) -> Result<Damaged, IndexError> {
    let aside = root.join(DAMAGED).join(tenant.to_string());
    remove(&aside)?;
    fs::create_dir_all(root.join(DAMAGED))?;
    fs::rename(path, aside)?;
    tracing::warn!(%tenant, reason, "a damaged search index was set aside and is built again");
    Ok(Damaged { tenant, reason })
}

/// The tenants whose index was set aside.
fn set_aside(root: &Path) -> Result<Vec<Uuid>, IndexError> {
    match fs::read_dir(root.join(DAMAGED)) {
        Ok(entries) => {
            let tenant = |name: std::ffi::OsString| Uuid::parse_str(name.to_str()?).ok();
            entries
                .map(|entry| Ok(entry?.file_name()))
                .filter_map(|name| name.map(tenant).transpose())
                .collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn remove(path: &Path) -> Result<(), IndexError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
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
        self.pages.forget(tenant);
        let shard = self.shards.write().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
        remove(&self.root.join(DAMAGED).join(tenant.to_string()))?;
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
        let deadline = Deadline::new(Instant::now(), self.deadline);
        let turn = tokio::time::timeout(deadline.left(), Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| deadline.late())?
            .map_err(|_| IndexError::Closed)?;
        let (snapshot, params, pages) = (shard.snapshot(), self.params.clone(), Arc::clone(&self.pages));
        let searched = move || {
            // Given back when it is done, not when its asker has gone.
            let _turn = turn;
            search::search(&snapshot, &params, &pages, &request, deadline)
        };
        tokio::task::spawn_blocking(searched).await.map_err(engine)?
    }

    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError> {
        Ok(self.shard(tenant).and_then(|s| s.snapshot().ledger.parts.get(&(meeting, part)).copied()))
    }

    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError> {
        Ok(self.shard(tenant).map(|s| s.snapshot().bodies(visible)).unwrap_or_default())
    }

    async fn embedders(&self, tenant: Uuid) -> Option<Vec<String>> {
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
