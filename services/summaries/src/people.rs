//! What is kept here about people: their flags. They take them along, and the flags go with them.

use cs_core::{Caller, ClaimId, FlagId, UserId};
use cs_db::TenantTx;
use cs_events::{Envelope, HandlerError, inbox};
use cs_policy::{Action, Denied, allow};
use cs_proto::events::v1::AccountDeleted;
use serde_json::{Value, json};

use crate::store::flags;
use crate::summarize::parse;
use crate::{Deps, Error, read};

const HANDLER: &str = "summaries.erase";
/// Most flags, the newest.
const MOST: i64 = 1_000;

/// `account.deleted`: the person's flags go, and none comes back.
pub(crate) async fn deleted(deps: &Deps, caller: &Caller, envelope: &Envelope) -> Result<(), HandlerError> {
    let event: AccountDeleted = envelope.payload()?;
    let user: UserId = parse(&event.user_id)?;
    let mut tx = deps.db.tenant(caller).await?;
    if inbox::first_time(&mut tx, HANDLER, envelope, deps.ids.now()).await? {
        let gone = flags::erase(&mut tx, user, deps.ids.now()).await?;
        tx.commit().await?;
        tracing::info!(user_id = %user, gone, "a person's flags were erased");
    }
    Ok(())
}

/// The caller's own flags: an object with a member a table.
pub(crate) async fn export(tx: &mut TenantTx, caller: &Caller) -> Result<Value, Error> {
    allow(caller, Action::ManageOwn)?;
    let user = caller.user().ok_or(Denied::SignInFirst)?;
    let flags: Vec<Value> = flags::of(tx, user, MOST)
        .await?
        .into_iter()
        .map(|flag| {
            json!({
                "id": FlagId::from(flag.id).to_string(),
                "claim_id": ClaimId::from(flag.claim_id).to_string(),
                "reason": flag.reason,
                "note": flag.note,
                "created_at": read::rfc3339(flag.created_at),
                "closed_at": flag.closed_at.map(read::rfc3339),
            })
        })
        .collect();
    Ok(json!({"claim_flags": flags}))
}
