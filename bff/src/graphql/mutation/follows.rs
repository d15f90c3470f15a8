//! What a person follows.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_proto::notifications::v1 as pb;

use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::{Follow, UserError};

/// One of the four.
#[derive(InputObject, Debug)]
struct FollowInput {
    city_id: Option<ID>,
    body_id: Option<ID>,
    /// The slug of a topic.
    topic: Option<String>,
    /// A saved search of the person's own.
    saved_search_id: Option<ID>,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct FollowPayload {
    follow: Option<Follow>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct UnfollowInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct UnfollowPayload {
    /// Of what is not followed any more.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

fn target(input: &FollowInput) -> Result<(&'static str, String), Fault> {
    match (&input.city_id, &input.body_id, &input.topic, &input.saved_search_id) {
        (Some(city), None, None, None) => Ok(("city", Kind::City.own(city, "input.cityId")?)),
        (None, Some(body), None, None) => Ok(("body", Kind::Body.own(body, "input.bodyId")?)),
        (None, None, Some(topic), None) => Ok(("topic", topic.clone())),
        (None, None, None, Some(search)) => {
            Ok(("saved_search", Kind::SavedSearch.own(search, "input.savedSearchId")?))
        }
        _ => Err(Fault::input("input", "give one of cityId, bodyId, topic and savedSearchId")),
    }
}

#[derive(Default)]
pub(super) struct FollowMutations;

#[Object]
impl FollowMutations {
    /// Follows a city, a body, a topic or a saved search. What is followed already stays as it is.
    async fn follow(&self, context: &Context<'_>, input: FollowInput) -> Result<FollowPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let (kind, target_id) = target(&input)?;
        let idempotency_key = input.idempotency_key.clone().unwrap_or_default();
        let request = pb::FollowRequest { kind: kind.to_owned(), target_id, idempotency_key };
        let change =
            async { write!(scope.calls, notifications.follow, request)?.follow.ok_or_else(Fault::internal) };
        let outcome = once(scope, "follow", input.idempotency_key.as_ref(), &input, change).await?;
        let (follow, user_errors) = outcome.parts();
        Ok(FollowPayload { follow: follow.map(Arc::new).map(Follow), user_errors })
    }

    /// Ends a follow.
    async fn unfollow(&self, context: &Context<'_>, input: UnfollowInput) -> Result<UnfollowPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let request = pb::UnfollowRequest { id: Kind::Follow.own(&input.id, "input.id")? };
        let change = async { Ok(write!(scope.calls, notifications.unfollow, request)?.id) };
        let outcome = once(scope, "unfollow", input.idempotency_key.as_ref(), &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(UnfollowPayload { id: id.map(|id| Kind::Follow.id(&id)), user_errors })
    }
}
