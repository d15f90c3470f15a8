//! Takes a meeting away from readers. What is kept stays kept; the index and notifications learn of it by event.

use cs_core::{BodyId, Caller, CityId, Ids, MeetingId};
use cs_db::TenantTx;
use cs_events::{Envelope, Fact, outbox};
use cs_policy::{Action, allow};
use cs_proto::events::v1::MeetingWithdrawn;

use crate::store::meetings;
use crate::{Error, SCHEMA};

/// Longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// Withdraws a meeting; `false` where it was withdrawn already.
pub async fn withdraw(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    meeting: MeetingId,
    reason: &str,
) -> Result<bool, Error> {
    allow(caller, Action::Operate)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
        return Err(Error::invalid("reason", format!("say why in 1 to {LONGEST_REASON} characters")));
    }
    let Some(known) = meetings::lock(tx, meeting).await? else {
        return Err(Error::NotFound("meeting"));
    };
    let Some(version) = meetings::withdraw(tx, meeting.uuid(), reason, ids.now()).await? else {
        return Ok(false);
    };
    let payload = MeetingWithdrawn {
        meeting_id: meeting.to_string(),
        city_id: CityId::from(known.city_id).to_string(),
        body_id: BodyId::from(known.body_id).to_string(),
        version: version.unsigned_abs(),
        reason: reason.to_owned(),
    };
    let fact = Fact {
        kind: "meeting.withdrawn",
        resource: ("meeting", meeting.to_string()),
        key: format!("{meeting}:withdrawn"),
        payload: &payload,
    };
    outbox::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    Ok(true)
}
