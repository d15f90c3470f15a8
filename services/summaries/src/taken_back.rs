//! What is taken back after it was published: a document that fewer may see, a meeting that was withdrawn.

use cs_core::{ArtifactId, Caller, MeetingId};
use cs_events::{Envelope, HandlerError, inbox};
use cs_proto::events::v1::{ArtifactVisibilityChanged, MeetingWithdrawn};

use crate::Deps;
use crate::store::taken_back as store;
use crate::summarize::parse;

const HANDLER: &str = "summaries.taken_back";

/// `artifact.visibility_changed`: claims that quote the document are for those who may see it.
pub(crate) async fn hidden(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: ArtifactVisibilityChanged = envelope.payload()?;
    let artifact: ArtifactId = parse(&event.artifact_id)?;
    let mut tx = deps.db.tenant(caller).await?;
    if inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        store::set_visibility(&mut tx, artifact, &event.visibility, envelope.occurred_at).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// `meeting.withdrawn`: none of its summaries is shown any more.
pub(crate) async fn withdrawn(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: MeetingWithdrawn = envelope.payload()?;
    let meeting: MeetingId = parse(&event.meeting_id)?;
    let mut tx = deps.db.tenant(caller).await?;
    if inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        store::withdraw(&mut tx, meeting, envelope.occurred_at).await?;
        tx.commit().await?;
    }
    Ok(())
}
