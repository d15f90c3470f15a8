//! What a resident follows: cities, bodies, topics, saved searches.

use cs_core::{BodyId, Caller, CityId, FollowId, Ids, SavedSearchId, UserId};
use cs_db::TenantTx;
use cs_policy::{Action, Denied, allow};

pub use crate::store::follows::Follow;
use crate::store::{follows, searches};
use crate::{Deps, Error, places};

/// Most follows of one person: the list has no pages.
const MOST: i64 = 500;
const MOST_TOPIC: usize = 64;

/// Whose follows, preferences and inbox are the caller's own.
pub(crate) fn own(caller: &Caller) -> Result<UserId, Error> {
    allow(caller, Action::ManageOwn)?;
    Ok(caller.user().ok_or(Denied::SignInFirst)?)
}

/// What can be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every meeting of a city.
    City(CityId),
    /// Every meeting of a body.
    Body(BodyId),
    /// Every meeting with a claim on a subject, by its slug.
    Topic(String),
    /// Every meeting that matches a search of the person's own.
    SavedSearch(SavedSearchId),
    /// The same, by what the search of everybody who searches the same is known by.
    Match(String),
}

impl Target {
    /// Checks the spelling.
    pub fn parse(kind: &str, target: &str) -> Result<Self, Error> {
        let wrong = |rule: &str| Error::invalid("target_id", rule);
        match kind {
            "city" => target.parse().map(Self::City).map_err(|_| wrong("must be the id of a city")),
            "body" => target.parse().map(Self::Body).map_err(|_| wrong("must be the id of a body")),
            "topic" => {
                let slug = (1..=MOST_TOPIC).contains(&target.len())
                    && target
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
                if slug {
                    Ok(Self::Topic(target.to_owned()))
                } else {
                    Err(wrong("must be a topic, such as housing"))
                }
            }
            "saved_search" => {
                target.parse().map(Self::SavedSearch).map_err(|_| wrong("must be the id of a saved search"))
            }
            _ => Err(Error::invalid("kind", "must be city, body, topic or saved_search")),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::City(_) => "city",
            Self::Body(_) => "body",
            Self::Topic(_) => "topic",
            Self::SavedSearch(_) | Self::Match(_) => "saved_search",
        }
    }

    pub(crate) fn id(&self) -> String {
        match self {
            Self::City(id) => id.to_string(),
            Self::Body(id) => id.to_string(),
            Self::Topic(slug) => slug.clone(),
            Self::SavedSearch(id) => id.to_string(),
            Self::Match(key) => key.clone(),
        }
    }
}

/// Asks meetings whether the city or body exists. Before the transaction: none is held across a call.
pub async fn check(deps: &Deps, caller: &Caller, target: &Target) -> Result<(), Error> {
    match target {
        Target::City(city) => match places::city_name(deps, caller, *city).await? {
            Some(_) => Ok(()),
            None => Err(Error::UnknownCity),
        },
        Target::Body(body) if !places::is_body(deps, caller, *body).await? => {
            Err(Error::invalid("target_id", "there is no such body"))
        }
        // A saved search is the person's own: it is looked for with the follow.
        Target::Body(_) | Target::Topic(_) | Target::SavedSearch(_) | Target::Match(_) => Ok(()),
    }
}

/// Follows what was checked. Followed before, it stays one follow; one that only the home city made becomes the
/// resident's own, and outlives a move.
pub async fn follow(tx: &mut TenantTx, caller: &Caller, ids: &Ids, target: &Target) -> Result<Follow, Error> {
    let user = own(caller)?;
    let follow = match target {
        Target::SavedSearch(id) => {
            let search = searches::one(tx, user, id.uuid()).await?.ok_or(Error::NotFound("saved search"))?;
            follows::insert(tx, ids.next(), user, &Target::Match(search.match_key), ids.now()).await?
        }
        target => follows::insert(tx, ids.next(), user, target, ids.now()).await?,
    };
    // Counted afterwards, so that what is followed already never is one too many.
    if follows::count(tx, user).await? > MOST {
        return Err(Error::invalid("target_id", format!("at most {MOST} follows: remove one first")));
    }
    Ok(follow)
}

/// Follows it no more.
pub async fn unfollow(tx: &mut TenantTx, caller: &Caller, id: FollowId) -> Result<(), Error> {
    let user = own(caller)?;
    if follows::delete(tx, user, id).await? { Ok(()) } else { Err(Error::NotFound("follow")) }
}

/// The caller's follows, oldest first.
pub async fn list(tx: &mut TenantTx, caller: &Caller) -> Result<Vec<Follow>, Error> {
    Ok(follows::of(tx, own(caller)?).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_checked_by_kind() {
        let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        assert_eq!(Target::parse("city", id).unwrap().id(), id);
        assert_eq!(Target::parse("topic", "public_safety").unwrap().kind(), "topic");
        for (kind, target) in [("city", "new-orleans"), ("body", ""), ("topic", "Two words"), ("saga", id)] {
            assert!(matches!(Target::parse(kind, target), Err(Error::Invalid(_))), "{kind} {target}");
        }
    }
}
