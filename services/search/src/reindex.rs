//! Builds an index anew from what the services keep, while another one serves.
//!
//! A pass indexes every meeting; what changed meanwhile is indexed again, until a pass finds nothing; what the services
//! do not have any more is removed; then counts and samples are compared. Every step can be done again: the version of
//! a meeting's documents is the time at which the build began, so what an interrupted build has done is skipped.

mod back;
mod rebuild;
mod restore;
mod verify;

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use cs_core::{Caller, MeetingId};
use cs_proto::meetings::v1::Meeting;
use uuid::Uuid;

use crate::index::{IndexError, Part};
use crate::{Deps, Error, indexer};

pub use back::{go_back, go_back_in_opensearch};
pub use rebuild::{Rebuilt, fill, has_meetings, rebuild, tenants};
pub use restore::{Restored, outdated, restore};
pub use verify::{Differences, Verified, confirm, verify};

/// Clocks of two machines may differ by so much.
const CLOCKS: chrono::Duration = chrono::Duration::minutes(2);

/// Where a build stands, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many meetings were looked at; so many of them were indexed, the others were there.
    Building {
        /// Looked at.
        seen: usize,
        /// Indexed by this call.
        indexed: usize,
    },
    /// So many had changed meanwhile.
    CaughtUp(usize),
    /// So many meetings differed from the services, and were indexed once more.
    Mended(usize),
    /// It holds what the services have.
    Verified(Verified),
}

/// Why a new index must not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// A service, the embedder or the index failed: run it again, it goes on where it was.
    #[error("{0}: run it again, it goes on where it stopped")]
    Interrupted(#[from] Error),
    /// The new index is not what the services have.
    #[error("the new index was not taken into use, the one before serves on: {0}")]
    Differs(Differences),
}

impl From<IndexError> for ReindexError {
    fn from(error: IndexError) -> Self {
        Self::Interrupted(error.into())
    }
}

/// What a build has indexed, and how old each meeting was then: a pass indexes none twice that has not changed.
#[derive(Debug, Default)]
pub struct Seen(HashMap<String, String>);

impl Seen {
    fn insert(&mut self, meeting: &Meeting) {
        self.0.insert(meeting.id.clone(), meeting.updated_at.clone());
    }

    fn has(&self, meeting: &Meeting) -> bool {
        self.0.get(&meeting.id) == Some(&meeting.updated_at)
    }
}

/// Builds `deps.index` for the caller's tenant: every meeting that it has not in the version `since` yet. Gives how
/// many were indexed.
pub async fn build(
    deps: &Deps,
    caller: &Caller,
    since: DateTime<Utc>,
    seen: &mut Seen,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<usize, ReindexError> {
    let (mut after, mut looked_at, mut indexed) = (String::new(), 0, 0);
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        for meeting in &meetings {
            looked_at += 1;
            if !is_built(deps, caller, meeting, since).await? {
                indexer::index_meeting(deps, caller, meeting, since).await?;
                seen.insert(meeting);
                indexed += 1;
            }
            progress(Progress::Building { seen: looked_at, indexed });
        }
        match next {
            Some(cursor) => after = cursor,
            None => return Ok(indexed),
        }
    }
}

async fn is_built(
    deps: &Deps,
    caller: &Caller,
    meeting: &Meeting,
    since: DateTime<Utc>,
) -> Result<bool, Error> {
    let there = deps.index.version(caller.tenant.uuid(), id(meeting)?, Part::Documents).await?;
    Ok(there.is_some_and(|version| version >= since.timestamp_millis()))
}

/// Indexes what changed since a time, removes what the services do not have any more, and gives how much that was.
pub async fn catch_up(
    deps: &Deps,
    caller: &Caller,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    seen: &mut Seen,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<usize, ReindexError> {
    let (mut after, mut changed, mut known) = (String::new(), 0, BTreeSet::new());
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        for meeting in &meetings {
            known.insert(id(meeting)?);
            // A time that cannot be read counts as late: indexing once more does no harm.
            let touched = meeting.updated_at.parse::<DateTime<Utc>>().unwrap_or(now);
            if touched + CLOCKS >= since && !(seen.has(meeting) && has_claims(deps, caller, meeting).await?) {
                indexer::index_meeting(deps, caller, meeting, now).await?;
                seen.insert(meeting);
                changed += 1;
            }
        }
        match next {
            Some(cursor) => after = cursor,
            None => break,
        }
    }
    let tenant = caller.tenant.uuid();
    let there = deps.index.meetings(tenant).await.map_err(Error::from)?;
    let gone: BTreeSet<Uuid> = there.keys().map(|held| held.meeting).filter(|m| !known.contains(m)).collect();
    for meeting in gone {
        remove(deps, tenant, meeting, now).await?;
        changed += 1;
    }
    progress(Progress::CaughtUp(changed));
    Ok(changed)
}

/// Whether the claims of the current summary are there. Meetings learns of a summary by event, and so is touched later.
async fn has_claims(deps: &Deps, caller: &Caller, meeting: &Meeting) -> Result<bool, Error> {
    let there = deps.index.version(caller.tenant.uuid(), id(meeting)?, Part::Claims).await?;
    Ok(match indexer::current_summary(deps, caller, meeting).await? {
        Some(summary) => there.is_some_and(|there| u64::try_from(there).is_ok_and(|v| v >= summary.version)),
        None => there.is_none(),
    })
}

/// Takes a meeting that the services do not have out of the index.
async fn remove(deps: &Deps, tenant: Uuid, meeting: Uuid, now: DateTime<Utc>) -> Result<(), Error> {
    for part in Part::ALL {
        let there = deps.index.version(tenant, meeting, part).await?;
        let version = there.unwrap_or_default().max(match part {
            Part::Documents => now.timestamp_millis(),
            Part::Claims => 0,
        });
        deps.index.remove_part(tenant, meeting, part, version).await?;
    }
    Ok(())
}

fn id(meeting: &Meeting) -> Result<Uuid, Error> {
    meeting.id.parse::<MeetingId>().map(MeetingId::uuid).map_err(|e| Error::invalid("id", e.to_string()))
}
