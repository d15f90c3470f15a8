//! Builds an index anew from what the services keep, while another one serves.
//!
//! A pass indexes every meeting; what changed meanwhile is indexed again, until a pass finds nothing; what the services
//! do not have any more is removed; then counts and samples are compared. Every step can be done again: the version of
//! a meeting's documents is the time at which the build began, so what an interrupted build has done is skipped.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cs_core::{Caller, MeetingId};
use cs_proto::meetings::v1::Meeting;
use uuid::Uuid;

use crate::index::{Filters, MAX_FIRST, Mode, Part, PassageDoc, SearchRequest, Visibility, VisibleTags};
use crate::query::{ParsedQuery, parse};
use crate::{Deps, Error, indexer};

/// Meetings whose passages are looked for in the new index.
const SAMPLES: usize = 20;
/// Words of a sample that are searched.
const SAMPLE_WORDS: usize = 12;
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
    /// So many passages were looked for and found.
    Verified(usize),
}

/// Why a new index must not be used.
#[derive(Debug, thiserror::Error)]
pub enum ReindexError {
    /// A service, the embedder or the index failed: run it again, it goes on where it was.
    #[error("{0}: run it again, it goes on where it stopped")]
    Interrupted(#[from] Error),
    /// The new index is not what the services have.
    #[error("the new index was not taken into use: {0}")]
    Differs(String),
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
    for gone in deps.index.meetings(tenant).await.map_err(Error::from)? {
        if known.contains(&gone) {
            continue;
        }
        for part in Part::ALL {
            let there = deps.index.version(tenant, gone, part).await.map_err(Error::from)?;
            let version = there.unwrap_or_default().max(match part {
                Part::Documents => now.timestamp_millis(),
                Part::Claims => 0,
            });
            deps.index.remove_part(tenant, gone, part, version).await.map_err(Error::from)?;
        }
        changed += 1;
    }
    progress(Progress::CaughtUp(changed));
    Ok(changed)
}

/// Compares the new index with the services: every meeting with text is there and no other, and a passage of each of
/// some meetings is found by its words.
pub async fn verify(
    deps: &Deps,
    caller: &Caller,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), ReindexError> {
    let tenant = caller.tenant.uuid();
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let (meetings, next) = indexer::list(deps, caller, after).await?;
        all.extend(meetings);
        match next {
            Some(cursor) => after = cursor,
            None => break,
        }
    }
    let there: BTreeSet<Uuid> = deps.index.meetings(tenant).await.map_err(Error::from)?.into_iter().collect();
    let known: BTreeSet<Uuid> = all.iter().map(id).collect::<Result<_, _>>()?;
    if let Some(stray) = there.difference(&known).next() {
        return Err(ReindexError::Differs(format!(
            "it has meeting {}, which meetings does not have",
            MeetingId::from(*stray)
        )));
    }
    let step = all.len().div_ceil(SAMPLES).max(1);
    let mut found = 0;
    for meeting in all.iter().step_by(step) {
        let docs = indexer::passages_of(deps, caller, meeting).await?;
        let Some(sample) = docs.get(docs.len() / 2) else { continue };
        if !is_found(deps, tenant, sample).await? {
            return Err(ReindexError::Differs(format!(
                "a passage of meeting {} is not found in it",
                meeting.id
            )));
        }
        found += 1;
    }
    progress(Progress::Verified(found));
    Ok(())
}

async fn is_found(deps: &Deps, tenant: Uuid, sample: &PassageDoc) -> Result<bool, Error> {
    let words: Vec<&str> = sample.text.split_whitespace().take(SAMPLE_WORDS).collect();
    // Typed as words: what looks like an operator in a document is none here.
    let query = ParsedQuery { words: words.join(" "), ..parse("") };
    let request = SearchRequest {
        tenant,
        visible: VisibleTags::of(Visibility::ALL),
        query,
        vector: None,
        mode: Mode::Keyword,
        filters: Filters { meetings: vec![sample.meeting_id], ..Filters::default() },
        first: MAX_FIRST,
        after: None,
        group_by_meeting: false,
    };
    let answer = deps.index.search(request).await?;
    Ok(answer.hits.iter().any(|hit| hit.passage.id == sample.id))
}

fn id(meeting: &Meeting) -> Result<Uuid, Error> {
    meeting.id.parse::<MeetingId>().map(MeetingId::uuid).map_err(|e| Error::invalid("id", e.to_string()))
}
