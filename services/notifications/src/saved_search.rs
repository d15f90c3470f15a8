//! Searches that a resident keeps, to repeat them or to be told of meetings that match.

use cs_core::document::{ArtifactKind, UnknownArtifactKind};
use cs_core::{BodyId, Caller, CityId, Ids, SavedSearchId};
use cs_db::TenantTx;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::follow::{self, Target, own};
use crate::hand_over::hex;
use crate::store::searches as store;
pub use crate::store::searches::SavedSearch;

/// Most searches of one person: the list has no pages.
const MOST: i64 = 100;
const LONGEST_NAME: usize = 100;
const LONGEST_QUERY: usize = 1000;
const MOST_PLACES: usize = 20;

/// Where is searched; empty lists: everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// In these cities.
    pub city_ids: Vec<String>,
    /// In these bodies.
    pub body_ids: Vec<String>,
    /// In these kinds of documents.
    pub artifact_kinds: Vec<String>,
}

impl Filter {
    /// The kinds of documents, which are words here.
    ///
    /// # Errors
    /// A word that names none.
    pub fn kinds(&self) -> Result<Vec<ArtifactKind>, UnknownArtifactKind> {
        self.artifact_kinds.iter().map(|kind| kind.parse()).collect()
    }
}

/// What is to be kept.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What the person calls it; empty: its words.
    pub name: String,
    /// What is searched.
    pub query: String,
    /// Where.
    pub filter: Filter,
    /// Whether to be told of meetings that match.
    pub follow: bool,
}

/// Keeps a search, and follows it where that is asked.
pub async fn save(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    wanted: Wanted,
) -> Result<SavedSearch, Error> {
    let user = own(caller)?;
    let query = wanted.query.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = query.chars().count();
    if length == 0 || length > LONGEST_QUERY {
        return Err(Error::invalid("query", format!("must have 1 to {LONGEST_QUERY} characters")));
    }
    let name = wanted.name.trim();
    let name = if name.is_empty() { query.chars().take(LONGEST_NAME).collect() } else { name.to_owned() };
    if name.chars().count() > LONGEST_NAME {
        return Err(Error::invalid("name", format!("must have at most {LONGEST_NAME} characters")));
    }
    let filter = checked(wanted.filter)?;
    let search = SavedSearch {
        id: ids.next::<SavedSearchId>().uuid(),
        name,
        match_key: match_key(&query, &filter)?,
        query,
        filter,
        created_at: ids.now(),
        followed: false,
    };
    let id = store::put(tx, search.id.into(), user, &search).await?;
    if store::count(tx, user).await? > MOST {
        return Err(Error::invalid("query", format!("at most {MOST} saved searches: remove one first")));
    }
    if wanted.follow {
        follow::follow(tx, caller, ids, &Target::SavedSearch(id.into())).await?;
    }
    store::one(tx, user, id).await?.ok_or(Error::NotFound("saved search"))
}

/// The caller's searches, oldest first.
pub async fn list(tx: &mut TenantTx, caller: &Caller) -> Result<Vec<SavedSearch>, Error> {
    Ok(store::of(tx, own(caller)?).await?)
}

/// Keeps a search no more, and follows it no more.
pub async fn delete(tx: &mut TenantTx, caller: &Caller, id: SavedSearchId) -> Result<(), Error> {
    if store::delete(tx, own(caller)?, id).await? { Ok(()) } else { Err(Error::NotFound("saved search")) }
}

fn checked(mut filter: Filter) -> Result<Filter, Error> {
    for (field, ids) in [("filter.city_ids", &filter.city_ids), ("filter.body_ids", &filter.body_ids)] {
        let known = |id: &String| {
            if field.contains("city") { id.parse::<CityId>().is_ok() } else { id.parse::<BodyId>().is_ok() }
        };
        if ids.len() > MOST_PLACES || !ids.iter().all(known) {
            return Err(Error::invalid(field, format!("must be at most {MOST_PLACES} ids")));
        }
    }
    // A kind that search does not know would be refused there, long after its owner could put it right.
    if let Err(unknown) = filter.kinds() {
        return Err(Error::invalid("filter.artifact_kinds", unknown.to_string()));
    }
    if filter.artifact_kinds.len() > MOST_PLACES {
        return Err(Error::invalid(
            "filter.artifact_kinds",
            format!("must be at most {MOST_PLACES} kinds of documents"),
        ));
    }
    for list in [&mut filter.city_ids, &mut filter.body_ids, &mut filter.artifact_kinds] {
        list.sort();
        list.dedup();
    }
    Ok(filter)
}

/// What the same search of many people has in common.
fn match_key(query: &str, filter: &Filter) -> Result<String, Error> {
    let filter = serde_json::to_string(filter).map_err(|_| Error::invalid("filter", "cannot be kept"))?;
    Ok(hex(&format!("{}\u{1f}{filter}", query.to_lowercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_search_has_one_key() {
        let filter = |ids: &[&str]| Filter {
            city_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Filter::default()
        };
        let (a, b) = ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW");
        let key = |query: &str, ids: &[&str]| match_key(query, &checked(filter(ids)).unwrap()).unwrap();
        assert_eq!(key("Short-term rentals", &[a, b]), key("short-term Rentals", &[b, a, b]));
        assert_ne!(key("rentals", &[a]), key("rentals", &[b]));
        assert!(checked(filter(&["new-orleans"])).is_err());
    }
}
