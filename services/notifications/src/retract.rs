//! What was told is taken back: a meeting that was withdrawn, a person who deleted their account.

use cs_core::{Caller, MeetingId, UserId};
use cs_events::{Envelope, HandlerError, inbox};
use cs_proto::events::v1::{AccountDeleted, MeetingWithdrawn};

use crate::Deps;
use crate::home::parse;
use crate::store::{erasure, notices};

const WITHDRAW: &str = "notifications.withdraw";
const ERASE: &str = "notifications.erase";

/// `meeting.withdrawn`: what is on its way is stopped, what was sent is not shown any more. What is published later
/// stands.
pub async fn withdrawn(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: MeetingWithdrawn = envelope.payload()?;
    let meeting: MeetingId = parse("meeting_id", &event.meeting_id)?;
    let version = i64::try_from(event.version).map_err(|e| HandlerError::Permanent(e.to_string()))?;
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, WITHDRAW, envelope).await? {
        return Ok(());
    }
    // Where no version is named, all that was told so far is meant.
    let version = match (version, notices::latest(&mut tx, meeting).await?) {
        (0, Some(told)) => told.summary_version,
        (version, _) => version,
    };
    let stopped = erasure::withdraw(&mut tx, meeting, version, deps.ids.now()).await?;
    tx.commit().await?;
    tracing::info!(meeting_id = %meeting, stopped, "a meeting was withdrawn");
    Ok(())
}

/// `account.deleted`: everything of the person goes; that they were erased is remembered, so that an event that comes
/// late brings nothing back.
pub async fn deleted(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: AccountDeleted = envelope.payload()?;
    let user: UserId = parse("user_id", &event.user_id)?;
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, ERASE, envelope).await? {
        return Ok(());
    }
    let gone = erasure::erase(&mut tx, user, deps.ids.now()).await?;
    tx.commit().await?;
    tracing::info!(user_id = %user, gone, "a person was erased");
    Ok(())
}
