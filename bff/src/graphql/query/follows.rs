//! What the person follows.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};
use cs_proto::notifications::v1::ListFollowsRequest;

use crate::graphql::scope::{Scope, read};
use crate::graphql::types::Follow;

#[derive(Default)]
pub(super) struct FollowQueries;

#[Object]
impl FollowQueries {
    /// What the person follows.
    #[graphql(complexity = "10 * child_complexity")]
    async fn follows(&self, context: &Context<'_>) -> Result<Vec<Follow>> {
        let scope = Scope::of(context);
        scope.person()?;
        let answer = read!(scope.calls, notifications.list_follows, ListFollowsRequest {})?;
        Ok(answer.follows.into_iter().map(Arc::new).map(Follow).collect())
    }
}
