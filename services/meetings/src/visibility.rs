//! Who may see an artifact, and with it everything that is drawn from it.

use cs_core::{ArtifactId, Caller, Ids, MeetingId, Visibility};
use cs_db::TenantTx;
use cs_events::{Envelope, Fact, outbox};
use cs_policy::{Action, allow};
use cs_proto::events::v1::ArtifactVisibilityChanged;

use crate::store::{artifacts, meetings};
use crate::{Error, SCHEMA};

/// Sets it; `false` where it was so already. Who keeps copies learns of it by event, ordered by its time.
pub async fn set(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    artifact: ArtifactId,
    visibility: Visibility,
) -> Result<bool, Error> {
    allow(caller, Action::Operate)?;
    let now = ids.now();
    let found = artifacts::set_visibility(tx, artifact.uuid(), visibility.as_str(), now).await?;
    let (meeting, before) = found.ok_or(Error::NotFound("artifact"))?;
    if before == visibility.as_str() {
        return Ok(false);
    }
    meetings::touch(tx, meeting, now).await?;
    let payload = ArtifactVisibilityChanged {
        artifact_id: artifact.to_string(),
        meeting_id: MeetingId::from(meeting).to_string(),
        visibility: visibility.as_str().to_owned(),
        previous_visibility: before,
    };
    let fact = Fact {
        kind: "artifact.visibility_changed",
        resource: ("artifact", artifact.to_string()),
        key: format!("{artifact}:{}", now.timestamp_micros()),
        payload: &payload,
    };
    outbox::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(true)
}
