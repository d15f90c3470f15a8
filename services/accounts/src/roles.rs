//! Grants of roles by whoever answers for a tenant.

use cs_core::{Caller, Ids, Role, UserId};
use cs_db::TenantTx;
use cs_policy::{Action, allow};

use crate::store::{self, Origin, deletion};
use crate::tenants::at_terminal;
use crate::{Error, User};

/// Who is to get a role.
#[derive(Clone, Debug)]
pub enum Grantee {
    /// A person.
    User(UserId),
    /// The person behind an identity.
    Identity {
        /// The provider.
        issuer: String,
        /// The person's name there.
        subject: String,
    },
}

/// Whether a caller may grant roles at all.
pub(crate) fn may_grant(caller: &Caller) -> Result<(), Error> {
    if !at_terminal(caller) {
        allow(caller, Action::Administer)?;
    }
    Ok(())
}

/// Grants a role for good; granted again, nothing changes.
pub async fn grant(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    grantee: &Grantee,
    role: Role,
) -> Result<User, Error> {
    may_grant(caller)?;
    let id = held(tx, grantee).await?;
    store::grant(tx, id, &[role].into(), Origin::Operator, &caller.subject.to_string(), ids.now()).await?;
    tracing::info!(user_id = %id, role = role.as_str(), actor = %caller.subject, "role granted");
    store::user(tx, id).await?.ok_or(Error::NotFound("person"))
}

/// Takes back a role that was granted for good; where none was, nothing changes. What a provider says stays its word, and
/// the tenant keeps an owner.
pub async fn revoke(
    tx: &mut TenantTx,
    caller: &Caller,
    grantee: &Grantee,
    role: Role,
) -> Result<User, Error> {
    may_grant(caller)?;
    let id = held(tx, grantee).await?;
    if role == Role::Owner {
        deletion::lock_owners(tx).await?;
    }
    let revoked = store::revoke(tx, id, role).await?;
    if revoked && role == Role::Owner && !store::anybody_has(tx, role).await? {
        return Err(Error::LastOwner);
    }
    tracing::info!(user_id = %id, role = role.as_str(), actor = %caller.subject, revoked, "role revoked");
    store::user(tx, id).await?.ok_or(Error::NotFound("person"))
}

/// The person meant, whose row is held until the transaction ends.
async fn held(tx: &mut TenantTx, grantee: &Grantee) -> Result<UserId, Error> {
    let id = match grantee {
        Grantee::User(id) => Some(*id),
        Grantee::Identity { issuer, subject } => store::user_of_identity(tx, issuer, subject).await?,
    };
    let id = id.ok_or(Error::NotFound("person; they sign in once before a role can be granted"))?;
    if !store::lock_user(tx, id).await? {
        return Err(Error::NotFound("person"));
    }
    Ok(id)
}
