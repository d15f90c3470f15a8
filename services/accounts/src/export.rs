//! What is kept here about a person, for them to take along: an object with a member a table.

use cs_core::{Caller, IdentityId};
use cs_db::TenantTx;
use serde_json::{Value, json};

use crate::messages::rfc3339;
use crate::store::{self, deletion};
use crate::{Error, users};

/// The caller's own account, identities and grants.
pub async fn account(tx: &mut TenantTx, caller: &Caller) -> Result<Value, Error> {
    let user = users::viewer(tx, caller).await?;
    let identities: Vec<Value> = store::identities(tx, user.id)
        .await?
        .into_iter()
        .map(|identity| {
            json!({
                "id": IdentityId::from(identity.id).to_string(),
                "issuer": identity.issuer,
                "subject": identity.subject,
                "created_at": rfc3339(identity.created_at),
            })
        })
        .collect();
    let grants: Vec<Value> = deletion::grants(tx, user.id)
        .await?
        .into_iter()
        .map(|grant| {
            json!({"role": grant.role, "origin": grant.origin, "created_at": rfc3339(grant.created_at)})
        })
        .collect();
    Ok(json!({
        "users": {
            "id": user.id.to_string(),
            "display_name": user.display_name,
            "email": user.email,
            "home_city_id": user.home_city.map(|city| city.to_string()),
            "locale": user.locale,
            "time_zone": user.time_zone,
            "version": user.version,
            "created_at": rfc3339(user.created_at),
        },
        "identities": identities,
        "role_grants": grants,
    }))
}
