//! The person who asks, their sessions and identities.

use async_graphql::{Context, Object, Result};
use cs_proto::accounts::v1::ListIdentitiesRequest;

use crate::graphql::error::Fault;
use crate::graphql::scope::{Scope, read};
use crate::graphql::types::{Identity, Session, Viewer};

#[derive(Default)]
pub(super) struct ViewerQueries;

#[Object]
impl ViewerQueries {
    /// The signed-in person, or null.
    async fn viewer(&self, context: &Context<'_>) -> Result<Option<Viewer>> {
        Ok(Viewer::load(Scope::of(context)).await?)
    }

    /// The browsers in which the person is signed in.
    #[graphql(complexity = "5 * child_complexity")]
    async fn sessions(&self, context: &Context<'_>) -> Result<Vec<Session>> {
        let scope = Scope::of(context);
        let listed = scope.app.sessions.list(scope.person()?).await.map_err(|error| {
            tracing::warn!(%error, "sessions could not be listed");
            Fault::unavailable()
        })?;
        let current = scope.signed_in.as_ref().map(|who| who.session);
        Ok(listed.into_iter().map(|session| Session::new(session, current)).collect())
    }

    /// The accounts at providers by which the person can sign in.
    #[graphql(complexity = "5 * child_complexity")]
    async fn identities(&self, context: &Context<'_>) -> Result<Vec<Identity>> {
        let scope = Scope::of(context);
        scope.person()?;
        let answer = read!(scope.calls, accounts.list_identities, ListIdentitiesRequest {})?;
        Ok(answer.identities.into_iter().map(Identity::from).collect())
    }
}
