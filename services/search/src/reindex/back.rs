//! Back to the version before, told what it has missed.
//!
//! What was hidden or withdrawn since the switch was told to the version that is used, and to no other. So the one before
//! is caught up with the services first, and the tags of documents are told once more: a word that it has from before
//! would stand against what is in fresh passages.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use cs_core::{ArtifactId, Caller, Clock, TenantId};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_rpc::Channel;
use cs_text::embed::Embedder;

use super::rebuild::DEADLINE;
use super::{CLOCKS, Progress, ReindexError, Seen, catch_up, tenants};
use crate::index::opensearch::OpenSearchIndex;
use crate::index::versions::VersionedIndex;
use crate::index::{Applied, IndexError, SearchIndex, Visibility};
use crate::{Deps, Error, indexer};

/// Takes the version before of an engine that serves meanwhile into use again, and gives its name.
///
/// # Errors
/// When there is none, or something does not answer: then what is used stays in use.
pub async fn go_back(
    deps: &Deps,
    versioned: &VersionedIndex,
    accounts: &AccountsClient<Channel>,
    clock: &dyn Clock,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<String, ReindexError> {
    let building = versioned.begin_back(clock.now()).await?;
    let before = Deps { index: building.index(), deadline: DEADLINE, ..deps.clone() };
    let since = building.since();
    let mut seen = Seen::default();
    let began = clock.now();
    let callers = tenants(accounts, &deps.outbound).await?;
    for caller in &callers {
        let before = like_before(&before, caller).await;
        tell(&before, caller, since, began, Told::Alone, &mut seen, progress).await?;
    }
    let known: BTreeSet<TenantId> = callers.iter().map(|caller| caller.tenant).collect();
    let last_pass = async {
        for caller in tenants(accounts, &deps.outbound).await? {
            let from = if known.contains(&caller.tenant) { began } else { since };
            let before = like_before(&before, &caller).await;
            tell(&before, &caller, from, clock.now(), Told::Alone, &mut seen, progress).await?;
        }
        Ok::<_, ReindexError>(())
    };
    building.switch(last_pass).await
}

/// The same for the tenants of an OpenSearch; gives of how many. `deps.index` is not asked.
///
/// # Errors
/// When no tenant has a version before, or something does not answer.
pub async fn go_back_in_opensearch(
    deps: &Deps,
    live: &OpenSearchIndex,
    callers: &[Caller],
    clock: &dyn Clock,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<usize, ReindexError> {
    let generations = live.generations().await?;
    let mut ready = Vec::new();
    for caller in callers {
        let tenant = caller.tenant.uuid();
        let Some(generation) = generations.get(&tenant) else { continue };
        let Some(current) = generation.current else { continue };
        let Some(version) = generation.versions.iter().copied().filter(|v| *v < current).max() else {
            continue;
        };
        let since = live.made_at(tenant, current).await?.unwrap_or(DateTime::UNIX_EPOCH);
        let index: Arc<dyn SearchIndex> = Arc::new(live.at_version_there(tenant, version).await?);
        let before = like_before(&Deps { index, deadline: DEADLINE, ..deps.clone() }, caller).await;
        let (mut seen, mut from) = (Seen::default(), since);
        // The second pass is short, and so is the time until the switch.
        for _ in 0..2 {
            let began = clock.now();
            tell(&before, caller, from, began, Told::Alone, &mut seen, progress).await?;
            from = began;
        }
        ready.push((caller, before, version, from, seen));
    }
    let to: Vec<_> = ready.iter().map(|(caller, _, version, ..)| (caller.tenant.uuid(), *version)).collect();
    if to.is_empty() {
        return Err(IndexError::NoVersionBefore("the one that is used".to_owned()).into());
    }
    live.switch(&to).await?;
    // What was told to the other one after the last pass.
    for (caller, before, _, from, mut seen) in ready {
        tell(&before, caller, from, clock.now(), Told::ByOthers, &mut seen, progress).await?;
    }
    Ok(to.len())
}

/// Without the embedder where another one made the vectors that are there: what is new is found by words then.
async fn like_before(deps: &Deps, caller: &Caller) -> Deps {
    let made_by = deps.index.embedders(caller.tenant.uuid()).await.unwrap_or_default();
    let same = |embedder: &Arc<dyn Embedder>| made_by.iter().all(|name| name == embedder.version());
    Deps { embedder: deps.embedder.clone().filter(same), ..deps.clone() }
}

/// Who else tells the version meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nobody.
    Alone,
    /// Whoever takes events.
    ByOthers,
}

/// Tells a version what the services changed since a time.
async fn tell(
    deps: &Deps,
    caller: &Caller,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    told: Told,
    seen: &mut Seen,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), ReindexError> {
    tell_tags(deps, caller, since, now, told).await?;
    catch_up(deps, caller, since, now, seen, progress).await?;
    Ok(())
}

/// Tells who may read what: of every document that not everybody may read, and of all that belong to a meeting that was
/// touched since.
async fn tell_tags(
    deps: &Deps,
    caller: &Caller,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    told: Told,
) -> Result<(), Error> {
    // A word that is on its way is younger than that, and wins.
    let version = (now - CLOCKS).timestamp_millis();
    let tenant = caller.tenant.uuid();
    let mut after = String::new();
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        let touched: BTreeSet<&str> = meetings
            .iter()
            .filter(|m| m.updated_at.parse::<DateTime<Utc>>().unwrap_or(now) + CLOCKS >= since)
            .map(|m| m.id.as_str())
            .collect();
        for (artifact, tag) in indexer::tags(deps, caller, &meetings).await? {
            if tag == Visibility::Public && !touched.contains(artifact.meeting_id.as_str()) {
                continue;
            }
            let id = artifact.id.parse::<ArtifactId>().map_err(|e| Error::invalid("id", e.to_string()))?;
            let applied = deps.index.set_visibility(tenant, id.uuid(), version, tag).await?;
            // One that nobody else tells has heard that word before it was left: what the services say is later.
            if let (Applied::Stale { indexed }, Told::Alone) = (applied, told) {
                deps.index.set_visibility(tenant, id.uuid(), indexed, tag).await?;
            }
        }
        match next {
            Some(cursor) => after = cursor,
            None => return Ok(()),
        }
    }
}
