//! `GET /auth/link`: a person proves who they are with the identity they have, then with the one to be linked.
//!
//! Both sign-ins are fresh (`prompt=login`, `max_age=0`, `auth_time` checked): neither a session left open here nor one
//! left open at a provider is enough. An equal e-mail address plays no part.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use cs_core::UserId;
use cs_proto::accounts::v1::{LinkIdentityRequest, User};
use openidconnect::CsrfToken;
use serde::Deserialize;
use tower_sessions::Session;

use super::login::Begin;
use super::provider::Claims;
use super::{Provider, SignInError, person};
use crate::app::App;
use crate::auth::local_path;
use crate::auth::session::{LinkAsked, Purpose, SIGNED_IN, SignedIn, StoreError};
use crate::http::RequestContext;

#[derive(Deserialize)]
pub(crate) struct Asked {
    ticket: String,
}

const UNKNOWN: SignInError =
    SignInError::BadRequest("This is not known here, or it took too long. Begin again.");

/// Why nothing can be linked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("there is no such identity provider")]
    Provider,
    #[error("returnTo must be a path of this site")]
    ReturnTo,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a person's browser goes to link an identity: an address that works once, in the session that asked for it.
pub(crate) async fn ask(
    app: &App,
    who: &SignedIn,
    provider: &str,
    return_to: &str,
) -> Result<String, LinkError> {
    // One that is another tenant's is none here: its groups would become roles where it has no say.
    if !app.provider(provider).is_some_and(|found| person::may_speak_for(found, who.tenant)) {
        return Err(LinkError::Provider);
    }
    let return_to = local_path(return_to).ok_or(LinkError::ReturnTo)?.to_owned();
    let ticket = CsrfToken::new_random_len(32);
    let asked = LinkAsked { session: who.session, user: who.user, provider: provider.to_owned(), return_to };
    app.sessions.begin(ticket.secret(), &who.session.to_string(), &asked).await?;
    Ok(format!("/auth/link?ticket={}", ticket.secret()))
}

pub(crate) async fn link(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, SignInError> {
    // Each asks the store.
    app.rates.take_refused(context.from).await.map_err(SignInError::TooMany)?;
    let Query(asked) = asked.map_err(|_| UNKNOWN)?;
    let origin = context.origin.as_deref().ok_or(UNKNOWN)?;
    let who: SignedIn = session
        .get(SIGNED_IN)
        .await
        .map_err(|e| SignInError::Unavailable(format!("the session store does not answer: {e}")))?
        .ok_or(UNKNOWN)?;
    let asked: LinkAsked = app
        .sessions
        .take(&asked.ticket, &who.session.to_string())
        .await
        .map_err(|e| SignInError::Unavailable(e.to_string()))?
        .filter(|asked: &LinkAsked| asked.user == who.user && asked.session == who.session)
        .ok_or(UNKNOWN)?;
    let first = app.provider(&who.provider).ok_or(UNKNOWN)?;
    let begin = Begin { origin, return_to: &asked.return_to, previous: Some(who.session) };
    let purpose = Purpose::ProveFirst {
        user: who.user,
        tenant: who.tenant,
        subject: who.subject,
        other: asked.provider,
    };
    begin.at(&app, &headers, first, purpose).await
}

/// Links the identity of `claims`, where its provider may speak for the person's tenant; the person with it.
pub(super) async fn linked(
    app: &App,
    context: &RequestContext,
    (user, tenant): (UserId, cs_core::TenantId),
    provider: &Provider,
    claims: &Claims,
) -> Result<User, SignInError> {
    person::checked(provider, claims.additional_claims(), tenant)?;
    let request = LinkIdentityRequest {
        user_id: user.to_string(),
        issuer: provider.config.issuer.clone(),
        subject: claims.subject().as_str().to_owned(),
        roles: person::said(provider, claims),
    };
    app.clients.link_identity(tenant, context.trace, request).await.map_err(|status| match status.code() {
        tonic::Code::AlreadyExists => SignInError::Taken,
        code => SignInError::Unavailable(format!("accounts: {code:?} {}", status.message())),
    })
}
