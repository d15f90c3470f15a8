//! Takes a meeting through the pipeline again, on the documents that are kept.

use cs_core::{Caller, Ids, MeetingId, RunId};
use cs_db::TenantTx;
use cs_policy::{Action, Denied, allow};

use crate::store::{artifacts, meetings, runs};
use crate::{Error, extract, ingest, messages};

/// Most characters of an idempotency key.
const LONGEST_KEY: usize = 200;

/// Whether the caller may begin a run: reviewers do, and operators, under policies of their own too.
pub(crate) fn may(caller: &Caller) -> Result<(), Denied> {
    allow(caller, Action::Operate).or_else(|_| allow(caller, Action::Review))
}

/// Begins a run. Artifacts that were never read, or whose reader failed, are tried again; texts that are there are used.
/// The same `idempotency_key` gives the same run; an empty one is none.
pub async fn rerun(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    meeting: MeetingId,
    idempotency_key: &str,
) -> Result<RunId, Error> {
    may(caller)?;
    if idempotency_key.len() > LONGEST_KEY {
        return Err(Error::invalid("idempotency_key", format!("has at most {LONGEST_KEY} bytes")));
    }
    // One that was withdrawn is not there for anybody any more.
    if meetings::lock(tx, meeting).await?.is_none_or(|meeting| meeting.is_withdrawn) {
        return Err(Error::NotFound("meeting"));
    }
    if let Some(run) = runs::by_key(tx, idempotency_key).await? {
        return Ok(run);
    }
    let run = begin(tx, ids, meeting, "rerun", idempotency_key).await?;
    for artifact in artifacts::of_meetings(tx, &[meeting.uuid()], messages::ALL_TAGS).await? {
        if artifact.was_given_up() {
            artifacts::retry(tx, artifact.id).await?;
        }
        if artifact.status == "fetched" || artifact.was_given_up() {
            ingest::request_extraction(tx, caller, ids, &artifact, run).await?;
        }
    }
    extract::advance(tx, caller, ids, meeting).await?;
    Ok(run)
}

/// Begins a run whose documents are in. The caller holds the meeting's lock.
pub(crate) async fn begin(
    tx: &mut TenantTx,
    ids: &Ids,
    meeting: MeetingId,
    started_by: &str,
    idempotency_key: &str,
) -> Result<RunId, Error> {
    let (run, now): (RunId, _) = (ids.next(), ids.now());
    runs::begin(tx, run, meeting.uuid(), started_by, idempotency_key, now).await?;
    meetings::set_run(tx, meeting.uuid(), run.uuid(), "ingested", None, now).await?;
    Ok(run)
}
