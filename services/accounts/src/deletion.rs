//! A person leaves: the account, its identities and its grants are gone, and every service is told.
//!
//! Who signs in with the same identity afterwards is somebody new. Nobody is anonymised: nothing that stays refers to the
//! row of a person. What others did on somebody's word keeps the word's id (`role_grants.granted_by`).

use cs_core::{Caller, Ids, UserId};
use cs_db::TenantTx;
use cs_events::{Envelope, Fact, outbox};
use cs_proto::events::v1::AccountDeleted;

use crate::store::{self, deletion};
use crate::{Error, SCHEMA};

/// What a person writes, so that nothing is deleted by mistake.
pub const CONFIRMATION: &str = "delete my account";

/// Deletes the caller's own account; gives its id. A repetition changes and tells nothing.
pub async fn delete(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    confirmation: &str,
) -> Result<UserId, Error> {
    let id = crate::users::own(caller)?;
    if confirmation != CONFIRMATION {
        return Err(Error::invalid("confirmation", format!("write {CONFIRMATION:?} to delete it for good")));
    }
    // A sign-in under way is done first, or finds nobody and makes somebody new.
    let mut identities = store::identities(tx, id).await?;
    identities.sort_by(|a, b| (&a.issuer, &a.subject).cmp(&(&b.issuer, &b.subject)));
    for identity in &identities {
        store::lock_identity(tx, &identity.issuer, &identity.subject).await?;
    }
    if !store::lock_user(tx, id).await? {
        return if deletion::is_deleted(tx, id).await? { Ok(id) } else { Err(Error::NotFound("account")) };
    }
    deletion::lock_owners(tx).await?;
    if deletion::is_only_owner(tx, id).await? {
        return Err(Error::LastOwner);
    }
    let version = deletion::delete(tx, id, ids.now()).await?;
    let payload = AccountDeleted { user_id: id.to_string(), version: version.unsigned_abs() };
    let fact = Fact {
        kind: "account.deleted",
        resource: ("account", id.to_string()),
        key: format!("{id}:{version}"),
        payload: &payload,
    };
    outbox::put(tx, &Envelope::new(SCHEMA, caller, ids, fact)?).await?;
    tracing::info!(user_id = %id, "an account was deleted by its person");
    Ok(id)
}
