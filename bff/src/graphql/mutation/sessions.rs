//! A person's sessions and the identities they sign in with.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use cs_proto::accounts::v1::UnlinkIdentityRequest;
use cs_proto::errors::v1::Reason;

use crate::auth::oidc::{self, LinkError};
use crate::auth::session::Which;
use crate::graphql::error::Fault;
use crate::graphql::global_id::Kind;
use crate::graphql::idempotent::once;
use crate::graphql::scope::{Scope, write};
use crate::graphql::types::UserError;

#[derive(InputObject, Debug)]
struct EndSessionInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct EndSessionPayload {
    /// Of the session that is over.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct LinkIdentityInput {
    /// One of those that `/auth/session` names.
    provider: String,
    /// A path of this site, where the browser goes when it is done.
    #[graphql(default = "/")]
    return_to: String,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct LinkIdentityPayload {
    /// Where the browser goes next, within ten minutes: a fresh sign-in with the identity of this session, then one with
    /// the other. It works once, and in this session only.
    location: Option<String>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Debug)]
struct UnlinkIdentityInput {
    id: ID,
    idempotency_key: Option<String>,
}

#[derive(SimpleObject)]
struct UnlinkIdentityPayload {
    /// Of the identity that is not linked any more. Sessions that began with it are over.
    id: Option<ID>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub(super) struct SessionMutations;

fn lost(error: impl std::fmt::Display) -> Fault {
    tracing::warn!(%error, "the session store does not answer");
    Fault::unavailable()
}

#[Object]
impl SessionMutations {
    /// Signs a browser of the person's out. Its open subscriptions end within seconds.
    async fn end_session(&self, context: &Context<'_>, input: EndSessionInput) -> Result<EndSessionPayload> {
        let scope = Scope::of(context);
        let person = scope.person()?;
        let own = Kind::Session.own(&input.id, "input.id")?;
        let change = async {
            let session = own.parse().map_err(|_| Fault::input("input.id", "must be the id of a Session"))?;
            let ended = scope.app.sessions.end(person, session).await.map_err(lost)?;
            let who =
                ended.ok_or_else(|| Fault::from(cs_rpc::status(Reason::NotFound, "no such session", &[])))?;
            scope.app.memory.forget();
            oidc::revoke(&scope.app, &who).await;
            Ok(own.clone())
        };
        let outcome = once(scope, "endSession", input.idempotency_key.as_ref(), &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(EndSessionPayload { id: id.map(|id| Kind::Session.id(&id)), user_errors })
    }

    /// Begins to link another account at an identity provider, so that the person can sign in with either.
    async fn link_identity(
        &self,
        context: &Context<'_>,
        input: LinkIdentityInput,
    ) -> Result<LinkIdentityPayload> {
        let scope = Scope::of(context);
        scope.person()?;
        let who = scope.signed_in.as_ref().ok_or_else(Fault::unauthenticated)?;
        let change = async {
            oidc::ask_to_link(&scope.app, who, &input.provider, &input.return_to).await.map_err(|error| {
                match error {
                    LinkError::Provider => Fault::input("input.provider", "names no identity provider"),
                    LinkError::ReturnTo => Fault::input("input.returnTo", "must be a path of this site"),
                    LinkError::Store(error) => lost(error),
                }
            })
        };
        let outcome = once(scope, "linkIdentity", input.idempotency_key.as_ref(), &input, change).await?;
        let (location, user_errors) = outcome.parts();
        Ok(LinkIdentityPayload { location, user_errors })
    }

    /// Takes an account at an identity provider away from the person's. The last one stays.
    async fn unlink_identity(
        &self,
        context: &Context<'_>,
        input: UnlinkIdentityInput,
    ) -> Result<UnlinkIdentityPayload> {
        let scope = Scope::of(context);
        let person = scope.person()?;
        let own = Kind::Identity.own(&input.id, "input.id")?;
        let change = async {
            let request = UnlinkIdentityRequest { identity_id: own.clone() };
            let answer = write!(scope.calls, accounts.unlink_identity, request)?;
            if let Some(gone) = answer.identity {
                let which = Which::Subject { issuer: &gone.issuer, subject: &gone.subject };
                let these = |row: &crate::auth::session::Row| row.user == person.uuid();
                let ended = scope.app.sessions.end_where(which, these).await.map_err(lost)?;
                scope.app.memory.forget();
                oidc::revoke_later(&scope.app, ended);
            }
            Ok(own.clone())
        };
        let outcome = once(scope, "unlinkIdentity", input.idempotency_key.as_ref(), &input, change).await?;
        let (id, user_errors) = outcome.parts();
        Ok(UnlinkIdentityPayload { id: id.map(|id| Kind::Identity.id(&id)), user_errors })
    }
}
