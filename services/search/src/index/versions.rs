//! The embedded engine with versions beside each other: one is used, the next is built while it serves, and the one
//! before stays for going back.
//!
//! ```text
//! DATA/index.json       which is used, and which was before
//! DATA/index/           the first version
//! DATA/index-2/         the second
//! DATA/index-3/since    the third is being built, from what the services have had since then
//! ```

mod pointer;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, OwnedMutexGuard, RwLock as Gate};
use uuid::Uuid;

use self::pointer::Pointer;
use super::embedded::{Damaged, EmbeddedIndex, OnDamage};
use super::{
    Applied, Counts, Held, IndexError, IndexStats, Part, PassageDoc, SearchIndex, SearchRequest,
    SearchResponse, Visibility, VisibleTags,
};
use crate::rank::RankParams;

/// In a version that is being built: since when.
const SINCE: &str = "since";
/// A version that was used a moment ago is held by the searches that began in it.
const LET_GO: Duration = Duration::from_millis(100);
const LET_GO_TRIES: usize = 50;

/// The embedded engine over a data directory. Cheap to clone.
#[derive(Clone)]
pub struct VersionedIndex(Arc<Inner>);

struct Inner {
    data: PathBuf,
    params: RankParams,
    used: RwLock<Used>,
    /// Changes pass it together; a switch waits for those under way, and those behind it go to what is used then.
    gate: Gate<()>,
    /// One build or switch at a time.
    turn: Arc<Mutex<()>>,
    /// What is used lacks passages, until another version is built.
    lacking: AtomicBool,
}

struct Used {
    index: Arc<EmbeddedIndex>,
    pointer: Pointer,
}

/// The next version while it is built, or the one before while it is caught up. Dropped before it is used, it stays, and
/// the next build goes on with it.
pub struct Building {
    owner: VersionedIndex,
    index: Arc<EmbeddedIndex>,
    pointer: Pointer,
    since: DateTime<Utc>,
    /// Whether it is to hold everything: the one before may have been damaged as well.
    is_whole: bool,
    _turn: OwnedMutexGuard<()>,
}

impl VersionedIndex {
    /// Opens the version that is used, or makes the first. Gives the tenants whose index is empty since it was damaged.
    ///
    /// # Errors
    /// When the directory is in use, of a newer format, or damaged beyond what `on_damage` lets pass.
    pub fn open(
        data: &Path,
        params: RankParams,
        on_damage: OnDamage,
    ) -> Result<(Self, Vec<Damaged>), IndexError> {
        let pointer = Pointer::read(data)?;
        let (index, damaged) = EmbeddedIndex::open(&data.join(&pointer.current), params.clone(), on_damage)?;
        let used = RwLock::new(Used { index: Arc::new(index), pointer });
        let inner = Inner {
            data: data.to_owned(),
            params,
            used,
            gate: Gate::new(()),
            turn: Arc::default(),
            lacking: AtomicBool::new(false),
        };
        Ok((Self(Arc::new(inner)), damaged))
    }

    /// Whether it holds no tenant's passages at all.
    pub fn is_empty(&self) -> bool {
        self.used().is_empty()
    }

    /// Says whether what is used lacks passages until it is built anew: answers say so then. Ends by itself when a
    /// version that was built is taken into use.
    pub fn set_lacking(&self, lacking: bool) {
        self.0.lacking.store(lacking, Ordering::Relaxed);
    }

    /// The name of the version that is used.
    pub fn name(&self) -> String {
        self.0.used.read().unwrap_or_else(PoisonError::into_inner).pointer.current.clone()
    }

    /// What was damaged has been built again: what was set aside goes.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn repaired(&self) -> Result<(), IndexError> {
        self.used().forget_damaged()
    }

    fn used(&self) -> Arc<EmbeddedIndex> {
        Arc::clone(&self.0.used.read().unwrap_or_else(PoisonError::into_inner).index)
    }

    fn pointer(&self) -> Pointer {
        self.0.used.read().unwrap_or_else(PoisonError::into_inner).pointer.clone()
    }

    fn turn(&self) -> Result<OwnedMutexGuard<()>, IndexError> {
        Arc::clone(&self.0.turn).try_lock_owned().map_err(|_| IndexError::Building)
    }

    /// Begins the next version, or goes on with one that was begun.
    ///
    /// # Errors
    /// [`IndexError::Building`] while one is being built; else when there is no room for it.
    pub async fn begin(&self, now: DateTime<Utc>) -> Result<Building, IndexError> {
        let turn = self.turn()?;
        let pointer = self.pointer().advanced();
        let path = self.0.data.join(&pointer.current);
        let params = self.0.params.clone();
        let opened = tokio::task::spawn_blocking(move || begin(&path, &params, now)).await.map_err(engine)?;
        let (since, index) = opened?;
        let pointer = Pointer { apart: Some(since), ..pointer };
        Ok(Building {
            owner: self.clone(),
            index: Arc::new(index),
            pointer,
            since,
            is_whole: true,
            _turn: turn,
        })
    }

    /// Opens the version before, to be taken into use again once it was told what it has missed: what was hidden since,
    /// it would show.
    ///
    /// # Errors
    /// [`IndexError::NoVersionBefore`] where there is none; [`IndexError::Building`] while one is being built.
    pub async fn begin_back(&self, now: DateTime<Utc>) -> Result<Building, IndexError> {
        let turn = self.turn()?;
        let used = self.pointer();
        let Some(back) = used.back(&self.0.data) else {
            return Err(IndexError::NoVersionBefore(used.current));
        };
        let path = self.0.data.join(&back.current);
        let mut tries = 0;
        let index = loop {
            let (path, params) = (path.clone(), self.0.params.clone());
            match tokio::task::spawn_blocking(move || reopen(&path, &params)).await.map_err(engine)? {
                Err(IndexError::InUse(_)) if tries < LET_GO_TRIES => tries += 1,
                opened => break opened?,
            }
            tokio::time::sleep(LET_GO).await;
        };
        Ok(Building {
            owner: self.clone(),
            index: Arc::new(index),
            // What is used now goes on being told until the switch.
            pointer: Pointer { apart: Some(now), ..back },
            // Where nobody knows since when, everything is looked at again.
            since: used.apart.unwrap_or(DateTime::UNIX_EPOCH),
            is_whole: false,
            _turn: turn,
        })
    }

    /// Lets everything that begins from now on use another version.
    fn take(&self, index: Arc<EmbeddedIndex>, pointer: Pointer) -> Result<(), IndexError> {
        pointer.write(&self.0.data)?;
        let before = {
            let mut used = self.0.used.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *used, Used { index, pointer })
        };
        // Its writing threads are waited for: not here, where searches are answered.
        tokio::task::spawn_blocking(move || drop(before));
        Ok(())
    }
}

impl Building {
    /// What is being filled.
    pub fn index(&self) -> Arc<EmbeddedIndex> {
        Arc::clone(&self.index)
    }

    /// Since when: what the services changed later must be caught up with.
    pub fn since(&self) -> DateTime<Utc> {
        self.since
    }

    /// Takes it into use, and gives its name. Changes wait while `last_pass` brings over what it lacks; so none is
    /// missed, and none is seen before it is there. Searches go on.
    ///
    /// # Errors
    /// Those of `last_pass`, and when the pointer cannot be written: the version before is used then.
    pub async fn switch<E: From<IndexError>>(
        self,
        last_pass: impl Future<Output = Result<(), E>>,
    ) -> Result<String, E> {
        let _alone = self.owner.0.gate.write().await;
        last_pass.await?;
        self.index.flush().await?;
        let (data, pointer) = (&self.owner.0.data, self.pointer.clone());
        match fs::remove_file(data.join(&pointer.current).join(SINCE)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(IndexError::from(error).into()),
            _ => {}
        }
        self.owner.take(Arc::clone(&self.index), pointer.clone())?;
        if self.is_whole {
            self.owner.set_lacking(false);
        }
        if let Err(error) = pointer.sweep(data) {
            tracing::warn!(%error, "a version of the search index that nobody needs cannot be removed");
        }
        Ok(pointer.current)
    }
}

/// Opens what an interrupted build has left, or begins anew; gives since when.
fn begin(
    path: &Path,
    params: &RankParams,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, EmbeddedIndex), IndexError> {
    let since = fs::read_to_string(path.join(SINCE)).ok().and_then(|since| since.trim().parse().ok());
    if let Some(since) = since
        && let Ok(index) = reopen(path, params)
    {
        return Ok((since, index));
    }
    // Nothing is there, or nothing that can be gone on with.
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir_all(path)?;
    fs::write(path.join(SINCE), now.to_rfc3339())?;
    Ok((now, reopen(path, params)?))
}

fn reopen(path: &Path, params: &RankParams) -> Result<EmbeddedIndex, IndexError> {
    EmbeddedIndex::open(path, params.clone(), OnDamage::Refuse).map(|(index, _)| index)
}

fn engine(error: impl std::fmt::Display) -> IndexError {
    IndexError::Engine(error.to_string())
}

#[async_trait]
impl SearchIndex for VersionedIndex {
    async fn replace_meeting(
        &self,
        tenant: Uuid,
        meeting: Uuid,
        part: Part,
        version: i64,
        docs: Vec<PassageDoc>,
    ) -> Result<Applied, IndexError> {
        let _passing = self.0.gate.read().await;
        self.used().replace_meeting(tenant, meeting, part, version, docs).await
    }

    async fn set_visibility(
        &self,
        tenant: Uuid,
        artifact: Uuid,
        version: i64,
        visibility: Visibility,
    ) -> Result<Applied, IndexError> {
        let _passing = self.0.gate.read().await;
        self.used().set_visibility(tenant, artifact, version, visibility).await
    }

    async fn erase_tenant(&self, tenant: Uuid) -> Result<(), IndexError> {
        let _passing = self.0.gate.read().await;
        self.used().erase_tenant(tenant).await?;
        // Going back must not bring it back. The version before is nobody's to write, so it is only files.
        match self.pointer().previous.map(|before| self.0.data.join(before)) {
            Some(before) => EmbeddedIndex::erase_files(&before, tenant),
            None => Ok(()),
        }
    }

    async fn search(&self, request: SearchRequest) -> Result<SearchResponse, IndexError> {
        self.used().search(request).await
    }

    async fn version(&self, tenant: Uuid, meeting: Uuid, part: Part) -> Result<Option<i64>, IndexError> {
        self.used().version(tenant, meeting, part).await
    }

    async fn bodies(&self, tenant: Uuid, visible: VisibleTags) -> Result<Vec<(Uuid, String)>, IndexError> {
        self.used().bodies(tenant, visible).await
    }

    async fn embedders(&self, tenant: Uuid) -> Option<Vec<String>> {
        self.used().embedders(tenant).await
    }

    fn is_lacking(&self) -> bool {
        self.0.lacking.load(Ordering::Relaxed)
    }

    async fn meetings(&self, tenant: Uuid) -> Result<BTreeMap<Held, Counts>, IndexError> {
        self.used().meetings(tenant).await
    }

    async fn stats(&self, tenant: Uuid) -> Result<IndexStats, IndexError> {
        self.used().stats(tenant).await
    }

    async fn flush(&self) -> Result<(), IndexError> {
        let _passing = self.0.gate.read().await;
        self.used().flush().await
    }

    fn versioned(&self) -> Option<VersionedIndex> {
        Some(self.clone())
    }
}
