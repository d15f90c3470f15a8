//! What was told is taken back: a meeting that was withdrawn, a document that fewer may see, a person who deleted their
//! account. Each is one transaction, the event's inbox included: a worker that dies leaves all of it or nothing. What still waits
//! to be told of a withdrawn meeting is stopped after that, and else when it is due.

use cs_core::{ArtifactId, Caller, MeetingId, UserId, Visibility};
use cs_events::{Envelope, HandlerError, dies_at, inbox};
use cs_proto::events::v1::{AccountDeleted, ArtifactVisibilityChanged, MeetingWithdrawn};

use crate::home::parse;
use crate::store::{erasure, notices};
use crate::{Deps, Error};

/// Deliveries that are stopped in one transaction.
const BATCH: i64 = 5_000;

const WITHDRAW: &str = "notifications.withdraw";
const HIDE: &str = "notifications.hide";
const ERASE: &str = "notifications.erase";

/// `meeting.withdrawn`: what is on its way is stopped, what was sent is not shown any more. What is published later
/// stands.
pub async fn withdrawn(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: MeetingWithdrawn = envelope.payload()?;
    let meeting: MeetingId = parse("meeting_id", &event.meeting_id)?;
    let version = i64::try_from(event.version).map_err(|e| HandlerError::Permanent(e.to_string()))?;
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, WITHDRAW, envelope, deps.ids.now()).await? {
        return Ok(());
    }
    // Where no version is named, all that was told so far is meant.
    let version = match (version, notices::latest(&mut tx, meeting).await?) {
        (0, Some(told)) => told.summary_version,
        (version, _) => version,
    };
    erasure::withdraw(&mut tx, meeting, version, deps.ids.now()).await?;
    tx.commit().await?;
    dies_at!("retract.withdrawn");
    // Of a whole city's followers this takes longer than a statement may.
    let mut stopped = 0;
    loop {
        let mut tx = deps.db.tenant(caller).await?;
        let some = erasure::stop_withdrawn(&mut tx, meeting, version, BATCH).await?;
        tx.commit().await?;
        stopped += some;
        if some < BATCH.unsigned_abs() {
            break;
        }
    }
    tracing::info!(meeting_id = %meeting, stopped, "a meeting was withdrawn");
    Ok(())
}

/// `artifact.visibility_changed`: nobody knows here which words were drawn from the document, so that while residents may not
/// see it, everything that is told of its meeting is told without words: in inboxes, and in what is still to be sent.
pub async fn hidden(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: ArtifactVisibilityChanged = envelope.payload()?;
    let artifact: ArtifactId = parse("artifact_id", &event.artifact_id)?;
    let meeting: MeetingId = parse("meeting_id", &event.meeting_id)?;
    let visibility: Visibility = event
        .visibility
        .parse()
        .map_err(|_| Error::invalid("visibility", "must be public, member or reviewer"))?;
    let mut tx = deps.db.tenant(caller).await?;
    if inbox::first_time(&mut tx, HIDE, envelope, deps.ids.now()).await? {
        notices::set_visibility(&mut tx, artifact, meeting, visibility, envelope.occurred_at).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// `account.deleted`: everything of the person goes; that they were erased is remembered, so that an event that comes
/// late brings nothing back.
pub async fn deleted(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: AccountDeleted = envelope.payload()?;
    let user: UserId = parse("user_id", &event.user_id)?;
    let mut tx = deps.db.tenant(caller).await?;
    if !inbox::first_time(&mut tx, ERASE, envelope, deps.ids.now()).await? {
        return Ok(());
    }
    let gone = erasure::erase(&mut tx, user, deps.ids.now()).await?;
    tx.commit().await?;
    tracing::info!(user_id = %user, gone, "a person was erased");
    Ok(())
}
