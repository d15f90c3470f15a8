//! A sign-in: the person behind a verified identity, found or made.
//!
//! Only `(issuer, subject)` finds a person: an equal e-mail address never does. Whoever signs in twice at once is one
//! person, since one transaction at a time resolves an identity. The provider's roles are replaced each time, those that
//! other providers gave stay theirs; what the person chose to be called stays.

use std::collections::BTreeSet;

use cs_core::{Caller, IdentityId, Ids, Role, UserId};
use cs_db::{DbError, TenantTx};
use cs_policy::{Action, allow};

use crate::store::{self, Origin};
use crate::{Error, Identity, User};

/// OpenID Connect Core §2 gives a subject at most 255 characters; issuers are addresses.
const MOST_SUBJECT: usize = 255;
const MOST_ISSUER: usize = 2048;
const MOST_NAME: usize = 100;
const MOST_EMAIL: usize = 320;
/// What a person is called whose provider says nothing.
const NAMELESS: &str = "Resident";

/// What a provider says of a person.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The provider.
    pub issuer: String,
    /// The person's name there.
    pub subject: String,
    /// What to call them first.
    pub display_name: String,
    /// Empty where it is not given.
    pub email: String,
    /// Roles that the provider's groups stand for, for as long as it says so.
    pub roles: Vec<String>,
}

/// Finds or makes the person; `true` where they were made.
pub async fn resolve(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    claims: &Claims,
) -> Result<(User, bool), Error> {
    allow(caller, Action::Serve)?;
    check(&claims.issuer, &claims.subject)?;
    let roles = parse_roles(&claims.roles)?;
    let email = Some(claims.email.trim()).filter(|e| !e.is_empty() && e.len() <= MOST_EMAIL);
    let now = ids.now();

    store::lock_identity(tx, &claims.issuer, &claims.subject).await?;
    let found = store::user_of_identity(tx, &claims.issuer, &claims.subject).await?;
    let user = match found {
        Some(user) => {
            if let Some(email) = email {
                store::set_email(tx, user, email, now).await?;
            }
            user
        }
        None => {
            let user: UserId = ids.next();
            let name = first_name(&claims.display_name, email);
            store::insert_user(tx, user, &name, email, now).await.map_err(no_tenant)?;
            store::insert_identity(tx, ids.next(), user, (&claims.issuer, &claims.subject), now).await?;
            user
        }
    };
    let user = as_said(tx, ids, user, &claims.issuer, &roles).await?;
    Ok((user, found.is_none()))
}

/// Writes which roles a provider stands for now; the person as sessions of that provider see them.
async fn as_said(
    tx: &mut TenantTx,
    ids: &Ids,
    user: UserId,
    issuer: &str,
    roles: &BTreeSet<Role>,
) -> Result<User, Error> {
    store::keep_provider_roles(tx, user, issuer, roles).await?;
    store::grant(tx, user, roles, Origin::Provider, issuer, ids.now()).await?;
    store::user_by(tx, user, issuer).await?.ok_or(Error::NotFound("account"))
}

/// The person behind an identity, as sessions that began with it see them. Makes nobody and changes nothing.
pub async fn look_up(
    tx: &mut TenantTx,
    caller: &Caller,
    (issuer, subject): (&str, &str),
) -> Result<User, Error> {
    allow(caller, Action::Serve)?;
    check(issuer, subject)?;
    let user = store::user_of_identity(tx, issuer, subject).await?.ok_or(Error::NotFound("account"))?;
    store::user_by(tx, user, issuer).await?.ok_or(Error::NotFound("account"))
}

/// The caller's own identities.
pub async fn list(tx: &mut TenantTx, caller: &Caller) -> Result<Vec<Identity>, Error> {
    let user = crate::users::own(caller)?;
    Ok(store::identities(tx, user).await?)
}

/// Links a verified identity to a person, with the roles that its provider says. Once more changes nothing; another
/// person's stays theirs.
pub async fn link(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    user: UserId,
    (issuer, subject): (&str, &str),
    roles: &[String],
) -> Result<User, Error> {
    allow(caller, Action::Serve)?;
    check(issuer, subject)?;
    let roles = parse_roles(roles)?;
    store::lock_identity(tx, issuer, subject).await?;
    store::user(tx, user).await?.ok_or(Error::NotFound("account"))?;
    match store::user_of_identity(tx, issuer, subject).await? {
        Some(known) if known == user => {}
        Some(_) => return Err(Error::IdentityTaken),
        None => store::insert_identity(tx, ids.next(), user, (issuer, subject), ids.now()).await?,
    }
    as_said(tx, ids, user, issuer, &roles).await
}

/// Takes one of the caller's own identities away, with the roles that came with it; never the last one.
pub async fn unlink(tx: &mut TenantTx, caller: &Caller, identity: IdentityId) -> Result<Identity, Error> {
    let user = crate::users::own(caller)?;
    // Two at once would each leave the other's: one waits.
    store::lock_user(tx, user).await?;
    let mut own = store::identities(tx, user).await?;
    let at = own.iter().position(|one| one.id == identity.uuid()).ok_or(Error::NotFound("identity"))?;
    if own.len() == 1 {
        return Err(Error::LastIdentity);
    }
    let gone = own.swap_remove(at);
    store::delete_identity(tx, gone.id).await?;
    store::drop_roles_of(tx, user, &gone.issuer).await?;
    Ok(gone)
}

fn check(issuer: &str, subject: &str) -> Result<(), Error> {
    for (field, text, most) in [("issuer", issuer, MOST_ISSUER), ("subject", subject, MOST_SUBJECT)] {
        if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
            return Err(Error::invalid(
                field,
                format!("must have 1 to {most} bytes and no control characters"),
            ));
        }
    }
    Ok(())
}

fn no_tenant(error: DbError) -> Error {
    match error {
        DbError::Refused { rule, .. } if rule == "users_tenant" => Error::NotFound("tenant"),
        other => other.into(),
    }
}

fn parse_roles(words: &[String]) -> Result<BTreeSet<Role>, Error> {
    words
        .iter()
        .map(|word| word.parse())
        .collect::<Result<_, cs_core::UnknownRole>>()
        .map_err(|e| Error::invalid("roles", e.to_string()))
}

/// A provider's name is anybody's text: what cannot be shown is left out rather than the sign-in refused.
fn first_name(given: &str, email: Option<&str>) -> String {
    let clean = |text: &str| -> String {
        let shown: String = text.chars().filter(|c| !c.is_control()).collect();
        shown.trim().chars().take(MOST_NAME).collect()
    };
    let from_email = email.and_then(|e| e.split('@').next()).unwrap_or_default();
    [given, from_email, NAMELESS].into_iter().map(clean).find(|n| !n.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_name_can_always_be_shown() {
        assert_eq!(first_name(" Ada\u{0}\n Lovelace ", None), "Ada Lovelace");
        assert_eq!(first_name("\u{7}", Some("ada@example.org")), "ada");
        assert_eq!(first_name("", None), NAMELESS);
        assert_eq!(first_name(&"é".repeat(300), None).chars().count(), MOST_NAME);
    }
}
