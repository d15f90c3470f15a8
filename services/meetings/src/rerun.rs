//! Takes a meeting through the pipeline again, on the documents that are kept.

use cs_core::{Caller, Ids, MeetingId, RunId};
use cs_db::TenantTx;
use cs_policy::{Action, allow};

use crate::store::{artifacts, meetings, runs};
use crate::{Error, extract, ingest, messages};

/// Begins a run. Artifacts that were never read are tried again; texts that are there are used.
pub async fn rerun(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    meeting: MeetingId,
) -> Result<RunId, Error> {
    allow(caller, Action::Operate)?;
    if meetings::lock(tx, meeting).await?.is_none() {
        return Err(Error::NotFound("meeting"));
    }
    let (run, now): (RunId, _) = (ids.next(), ids.now());
    runs::begin(tx, run, meeting.uuid(), "rerun", now).await?;
    meetings::set_run(tx, meeting.uuid(), run.uuid(), "ingested", None, now).await?;
    for artifact in artifacts::of_meetings(tx, &[meeting.uuid()], messages::ALL_TAGS).await? {
        if artifact.status == "fetched" {
            ingest::request_extraction(tx, caller, ids, &artifact, run).await?;
        }
    }
    extract::advance(tx, caller, ids, meeting).await?;
    Ok(run)
}
