//! Somebody says that a claim is wrong.

use cs_core::{Caller, ClaimId, FlagId, Ids, MeetingId};
use cs_db::TenantTx;
use cs_policy::{Action, Denied, allow};
use cs_proto::summaries::v1 as pb;

use crate::store::flags::{self, FlagRow};
use crate::{Error, read, store};

/// What can be wrong with a claim.
const REASONS: [&str; 4] = ["not_in_source", "misleading", "outdated", "other"];
/// Longest note, in characters.
const LONGEST_NOTE: usize = 1_000;
/// A person's open flags.
const MOST_OPEN: i64 = 100;

/// Flags a claim that the caller can see.
pub(crate) async fn flag(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    claim: ClaimId,
    reason: &str,
    note: &str,
) -> Result<pb::Flag, Error> {
    allow(caller, Action::ManageOwn)?;
    let user = caller.user().ok_or(Denied::SignInFirst)?;
    if !REASONS.contains(&reason) {
        return Err(Error::invalid("reason", format!("must be one of {}", REASONS.join(", "))));
    }
    let note = note.trim();
    if note.chars().count() > LONGEST_NOTE {
        return Err(Error::invalid("note", format!("has at most {LONGEST_NOTE} characters")));
    }
    let seen = store::claims_by_id(tx, &[claim.uuid()], &read::tags(caller)).await?;
    if seen.is_empty() {
        return Err(Error::NotFound("claim"));
    }
    let id: FlagId = ids.next();
    let flag = flags::put(tx, id, claim, user, reason, note, ids.now()).await?;
    // One that is open already takes no more room.
    if flag.id == id.uuid() && flags::open_of(tx, user).await? > MOST_OPEN {
        return Err(Error::TooManyFlags(MOST_OPEN));
    }
    let meeting = seen.first().map(|claim| MeetingId::from(claim.meeting_id).to_string());
    tracing::info!(event = "claim.flagged", claim_id = %claim, meeting_id = meeting, reason, "a claim was flagged");
    Ok(told(flag))
}

pub(crate) fn told(row: FlagRow) -> pb::Flag {
    pb::Flag {
        id: FlagId::from(row.id).to_string(),
        claim_id: ClaimId::from(row.claim_id).to_string(),
        reason: row.reason,
        note: row.note,
        created_at: read::rfc3339(row.created_at),
    }
}
