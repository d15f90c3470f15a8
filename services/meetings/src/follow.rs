//! Learns by event what became of a run: `summary.gated` and `meeting.published`.
//!
//! Both may come twice, late, and in either order. A run that has ended stays as it is; a publication is recorded
//! once a version, and an older version never takes a newer one's place.

use cs_core::{Caller, MeetingId, RunId};
use cs_db::TenantTx;
use cs_events::{Envelope, HandlerError, inbox};
use cs_proto::events::v1::{MeetingPublished, SummaryGated};

use crate::store::{meetings, runs};
use crate::{Deps, Error};

const HANDLER: &str = "meetings.follow";

/// The gate has spoken, or the run failed on the way to it.
pub async fn gated(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: SummaryGated = envelope.payload()?;
    let (run, meeting) = (parse::<RunId>(&event.run_id)?, parse::<MeetingId>(&event.meeting_id)?);
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        return Ok(());
    }
    let (state, reason) = verdict(&event);
    end_run(&mut tx, deps, run, meeting, state, reason.as_deref(), &event).await?;
    Ok(tx.commit().await?)
}

fn verdict(event: &SummaryGated) -> (&'static str, Option<String>) {
    let reasons = (!event.reasons.is_empty()).then(|| event.reasons.join("; "));
    match event.verdict.as_str() {
        "pass" => ("published", None),
        "limited_confidence" => ("limited_confidence", reasons),
        "reject" => ("rejected", reasons),
        _ => ("failed", Some(event.failure.clone())),
    }
}

async fn end_run(
    tx: &mut TenantTx,
    deps: &Deps,
    run: RunId,
    meeting: MeetingId,
    state: &str,
    reason: Option<&str>,
    event: &SummaryGated,
) -> Result<(), Error> {
    let Some(known) = runs::lock(tx, run.uuid()).await? else {
        return Err(Error::NotFound("run"));
    };
    if matches!(known.state.as_str(), "published" | "limited_confidence" | "rejected") {
        return Ok(());
    }
    let now = deps.ids.now();
    runs::advance(tx, run.uuid(), state, reason, now).await?;
    runs::set_claims(tx, run.uuid(), event.claims_proposed, event.claims_verified, event.ecr).await?;
    meetings::set_run(tx, meeting.uuid(), run.uuid(), state, reason, now).await?;
    Ok(())
}

/// A summary became current.
pub async fn published(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: MeetingPublished = envelope.payload()?;
    let meeting = parse::<MeetingId>(&event.meeting_id)?;
    let version = i64::try_from(event.version).map_err(|e| HandlerError::Permanent(e.to_string()))?;
    let mut tx = deps.db.tenant(caller).await?;
    if inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        meetings::publish(&mut tx, meeting.uuid(), version, deps.ids.now()).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn parse<T: std::str::FromStr<Err = cs_core::InvalidId>>(id: &str) -> Result<T, HandlerError> {
    id.parse().map_err(|e: cs_core::InvalidId| HandlerError::Permanent(e.to_string()))
}
