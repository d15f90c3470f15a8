//! Who somebody is: the caller's own account, and what others may see of it.

use std::collections::BTreeSet;

use cs_core::{Caller, UserId};
use cs_db::TenantTx;
use cs_policy::{Action, Denied, allow};

use crate::{Error, User, store};

/// Most people in one request.
const MOST: usize = 100;

/// Whose account is the caller's own.
pub(crate) fn own(caller: &Caller) -> Result<UserId, Error> {
    allow(caller, Action::ManageOwn)?;
    Ok(caller.user().ok_or(Denied::SignInFirst)?)
}

/// The caller's own account.
pub async fn viewer(tx: &mut TenantTx, caller: &Caller) -> Result<User, Error> {
    let user = own(caller)?;
    store::user(tx, user).await?.ok_or(Error::NotFound("account"))
}

/// What a caller sees of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All of it: oneself, or an operator or service asks.
    Whole(User),
    /// Their name.
    Name(UserId, String),
}

/// Whether a caller sees all of other people, or only what they are called. Nobody sees either without being somebody.
pub(crate) fn sees_whole(caller: &Caller) -> Result<bool, Error> {
    match allow(caller, Action::Operate) {
        Err(denied) if caller.user().is_none() => Err(denied.into()),
        allowed => Ok(allowed.is_ok()),
    }
}

/// The people named, in the order asked for; those who are not there are left out.
pub async fn batch(tx: &mut TenantTx, caller: &Caller, ids: &[UserId]) -> Result<Vec<Seen>, Error> {
    let all = sees_whole(caller)?;
    if ids.len() > MOST {
        return Err(Error::invalid("ids", format!("at most {MOST} at once")));
    }
    let mut users = store::users(tx, ids).await?;
    let mut wanted = BTreeSet::new();
    Ok(ids
        .iter()
        .filter(|id| wanted.insert(**id))
        .filter_map(|id| users.iter().position(|user| user.id == *id).map(|at| users.swap_remove(at)))
        .map(|user| {
            if all || caller.user() == Some(user.id) {
                Seen::Whole(user)
            } else {
                Seen::Name(user.id, user.display_name)
            }
        })
        .collect())
}
