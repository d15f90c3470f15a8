//! Builds an index anew from what the services keep, while another one serves.
//!
//! A pass indexes every meeting; what changed meanwhile is indexed again, until a pass finds nothing; what the services
//! do not have any more is removed; then counts and samples are compared. Every step can be done again: the version of
//! a meeting's documents is the time at which the build began, so what an interrupted build has done is skipped.

mod verify;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cs_core::{Caller, MeetingId};
use cs_proto::meetings::v1::Meeting;
use uuid::Uuid;

use crate::index::Part;
use crate::{Deps, Error, indexer};

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

/// Builds `deps.index` for the caller's tenant: every meeting that it has not in the version `since` yet. Gives how
/// many were indexed.
pub async fn build(
    deps: &Deps,
    caller: &Caller,
    since: DateTime<Utc>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<usize, ReindexError> {
    let (mut after, mut seen, mut indexed) = (String::new(), 0, 0);
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        for meeting in &meetings {
            seen += 1;
            if !is_built(deps, caller, meeting, since).await? {
                indexer::index_meeting(deps, caller, meeting, since).await?;
                indexed += 1;
            }
            progress(Progress::Building { seen, indexed });
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
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<usize, ReindexError> {
    let (mut after, mut changed, mut known) = (String::new(), 0, BTreeSet::new());
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        for meeting in &meetings {
            known.insert(id(meeting)?);
            // A time that cannot be read counts as late: indexing once more does no harm.
            let touched = meeting.updated_at.parse::<DateTime<Utc>>().unwrap_or(now);
            if touched + CLOCKS >= since {
                indexer::index_meeting(deps, caller, meeting, now).await?;
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
