//! Searches that a resident keeps.

use async_graphql::{ID, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::global_id::Kind;
use crate::graphql::scalars::DateTime;

/// A search that the person keeps.
#[derive(SimpleObject)]
pub(crate) struct SavedSearch {
    id: ID,
    name: String,
    query: String,
    filter: SavedSearchFilter,
    created_at: DateTime,
    /// Whether the person is told of meetings that match it.
    followed: bool,
}

/// Where is searched; empty lists: everywhere.
#[derive(SimpleObject)]
pub(crate) struct SavedSearchFilter {
    city_ids: Vec<ID>,
    body_ids: Vec<ID>,
    artifact_kinds: Vec<String>,
}

impl From<pb::SavedSearch> for SavedSearch {
    fn from(search: pb::SavedSearch) -> Self {
        let filter = search.filter.unwrap_or_default();
        Self {
            id: Kind::SavedSearch.id(&search.id),
            name: search.name,
            query: search.query,
            filter: SavedSearchFilter {
                city_ids: filter.city_ids.iter().map(|id| Kind::City.id(id)).collect(),
                body_ids: filter.body_ids.iter().map(|id| Kind::Body.id(id)).collect(),
                artifact_kinds: filter.artifact_kinds,
            },
            created_at: DateTime(search.created_at),
            followed: search.followed,
        }
    }
}
