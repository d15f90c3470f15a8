//! Searches that a person keeps.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::{SavedSearch, UserError};

#[derive(InputObject, Debug)]
struct SaveSearchInput {
    /// Left out: the words that are searched.
    name: Option<String>,
    query: String,
    city_ids: Option<Vec<ID>>,
    body_ids: Option<Vec<ID>>,
    /// Such as minutes.
    artifact_kinds: Option<Vec<String>>,
    /// Whether to be told of meetings that match it.
    follow: Option<bool>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct SaveSearchPayload {
    saved_search: Option<SavedSearch>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct DeleteSavedSearchInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct DeleteSavedSearchPayload {
    /// Of what is not kept any more.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct SavedSearchMutations;

#[Object]
impl SavedSearchMutations {
    /// Keeps a search. The same one again gets the new name.
    async fn save_search(&self, context: &Context<'_>, input: SaveSearchInput) -> Result<SaveSearchPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let owns = |kind: Kind, ids: &Option<Vec<ID>>, field: &str| -> Result<Vec<String>, Fault> {
            ids.iter().flatten().map(|id| kind.own(id, field)).collect()
        };
        let request = pb::SaveSearchRequest {
            name: input.name.clone().unwrap_or_default(),
            query: input.query.clone(),
            filter: Some(pb::SavedSearchFilter {
                city_ids: owns(Kind::City, &input.city_ids, "input.cityIds")?,
                body_ids: owns(Kind::Body, &input.body_ids, "input.bodyIds")?,
                artifact_kinds: input.artifact_kinds.clone().unwrap_or_default(),
            }),
            follow: input.follow.unwrap_or(false),
            idempotency_key: input.idempotency_key.clone().unwrap_or_default(),
        };
        let change = async {
            write!(scope.calls, notifications.save_search, request)?.saved_search.ok_or_else(Fault::internal)
        };
        let outcome = once(scope, "saveSearch", input.idempotency_key.as_ref(), &input, change).await?;
        let (saved, user_errors) = outcome.parts();
        Ok(SaveSearchPayload { saved_search: saved.map(Into::into), user_errors })
    }

    /// Keeps a search no more, and follows it no more.
    async fn delete_saved_search(
        &self,
        context: &Context<'_>,
        input: DeleteSavedSearchInput,
    ) -> Result<DeleteSavedSearchPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::DeleteSavedSearchRequest { id: Kind::SavedSearch.own(&input.id, "input.id")? };
        let change = async { Ok(write!(scope.calls, notifications.delete_saved_search, request)?.id) };
        let outcome =
            once(scope, "deleteSavedSearch", input.idempotency_key.as_ref(), &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(DeleteSavedSearchPayload { id: id.map(|id| Kind::SavedSearch.id(&id)), user_errors })
    }
}
