//! `GET /auth/callback`: the provider's answer becomes a session.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use cs_core::{Role, UserId};
use cs_proto::accounts::v1::{ResolveIdentityRequest, User};
use openidconnect::{AuthorizationCode, Nonce, OAuth2TokenResponse, PkceCodeVerifier, RequestTokenError};
use time::OffsetDateTime;
use tower_sessions::{Expiry, Session};
use uuid::Uuid;

use super::provider::Claims;
use super::{Provider, SignInError};
use crate::app::App;
use crate::auth::session::{SIGNED_IN, SignInUnderWay, SignedIn};
use crate::http::RequestContext;

/// Longest parameter taken.
const LONGEST: usize = 4096;
/// Longest user agent kept with a session.
const AGENT: usize = 200;

#[derive(Default)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

pub(crate) async fn callback(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let answer = match parse(query.as_deref().unwrap_or_default()) {
        Ok(answer) => answer,
        Err(error) => return error.into_response(),
    };
    let done = finish(&app, &context, &session, &headers, &answer).await;
    let mut response = match done {
        Ok(return_to) => Redirect::to(&return_to).into_response(),
        Err(error) => error.into_response(),
    };
    if let Some(cookie) = answer.state.as_deref().and_then(|state| app.cookies.end(state)) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn parse(query: &str) -> Result<Answer, SignInError> {
    const WRONG: SignInError = SignInError::BadRequest("This is not the answer to a sign-in of ours.");
    let mut answer = Answer::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = match &*name {
            "state" => &mut answer.state,
            "code" => &mut answer.code,
            "iss" => &mut answer.iss,
            "error" => &mut answer.error,
            // Providers add parameters of their own.
            _ => continue,
        };
        if value.len() > LONGEST || place.replace(value.into_owned()).is_some() {
            return Err(WRONG);
        }
    }
    Ok(answer)
}

async fn finish(
    app: &App,
    context: &RequestContext,
    session: &Session,
    headers: &HeaderMap,
    answer: &Answer,
) -> Result<String, SignInError> {
    const UNKNOWN: SignInError =
        SignInError::BadRequest("This sign-in is not known here, or it took too long. Begin again.");
    let state = answer.state.as_deref().ok_or(UNKNOWN)?;
    let browser = app.cookies.browser(headers, state).ok_or(UNKNOWN)?;
    let under_way = app
        .sessions
        .take(state, browser)
        .await
        .map_err(|e| SignInError::Unavailable(e.to_string()))?
        .ok_or(UNKNOWN)?;
    let provider =
        app.providers.iter().find(|provider| provider.config.id == under_way.provider).ok_or(UNKNOWN)?;
    provider.check_iss(answer.iss.as_deref()).await?;
    if let Some(error) = answer.error.as_deref() {
        return Err(match error {
            "server_error" | "temporarily_unavailable" => {
                SignInError::Unavailable(format!("{} answered {error}", provider.config.id))
            }
            _ => SignInError::Refused(format!("{} answered with an error", provider.config.id)),
        });
    }
    let code = answer.code.clone().ok_or(SignInError::BadRequest("The answer carries no code."))?;
    let (claims, refresh_token) = redeem(provider, code, &under_way).await?;
    let who = person(app, context, headers, provider, &claims, refresh_token).await?;

    let unavailable =
        |e: tower_sessions::session::Error| SignInError::Unavailable(format!("the session store: {e}"));
    let ends_at =
        OffsetDateTime::from_unix_timestamp(who.ends_at.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // A new id, whatever this browser had before.
    session.cycle_id().await.map_err(unavailable)?;
    session.set_expiry(Some(Expiry::AtDateTime(ends_at)));
    session.insert(SIGNED_IN, &who).await.map_err(unavailable)?;
    session.save().await.map_err(unavailable)?;
    if let Some(previous) = under_way.previous {
        app.sessions.end_previous(previous).await.map_err(|e| SignInError::Unavailable(e.to_string()))?;
    }
    tracing::info!(event = "sign_in.done", user_id = %who.user, tenant_id = %who.tenant, "a person signed in");
    Ok(under_way.return_to)
}

async fn redeem(
    provider: &Provider,
    code: String,
    under_way: &SignInUnderWay,
) -> Result<(Claims, Option<String>), SignInError> {
    let client = provider.client(&under_way.origin).await?;
    let tokens = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|e| SignInError::Unavailable(format!("{} has no token endpoint: {e}", provider.config.id)))?
        .set_pkce_verifier(PkceCodeVerifier::new(under_way.verifier.clone()))
        .request_async(&provider.fetch)
        .await
        .map_err(|error| match error {
            RequestTokenError::ServerResponse(refusal) => {
                SignInError::Refused(format!("the token endpoint answered {:?}", refusal.error()))
            }
            RequestTokenError::Request(error) => {
                SignInError::Unavailable(format!("the token endpoint does not answer: {error}"))
            }
            // The answer itself may hold a token, so it is not shown.
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                SignInError::Refused("the token endpoint's answer cannot be read".to_owned())
            }
        })?;
    let nonce = Nonce::new(under_way.nonce.clone());
    let claims = provider.verify(&tokens, &nonce, &under_way.origin).await?;
    Ok((claims, tokens.refresh_token().map(|token| token.secret().clone())))
}

/// The person behind the claims, as accounts knows them.
async fn person(
    app: &App,
    context: &RequestContext,
    headers: &HeaderMap,
    provider: &Provider,
    claims: &Claims,
    refresh_token: Option<String>,
) -> Result<SignedIn, SignInError> {
    let extra = claims.additional_claims();
    let named = provider
        .config
        .tenant
        .as_deref()
        .or_else(|| provider.config.tenant_claim.as_deref().and_then(|claim| extra.text(claim)));
    let unavailable = |what: &str, status: &tonic::Status| {
        SignInError::Unavailable(format!("{what}: {:?} {}", status.code(), status.message()))
    };
    let tenant = app
        .tenants
        .of_person(app, context, named)
        .await
        .map_err(|status| unavailable("the tenant cannot be told", &status))?
        .ok_or_else(|| SignInError::Refused(format!("there is no tenant {:?}", named.unwrap_or_default())))?;
    let subject = claims.subject().as_str().to_owned();
    let email = claims.email().map(|email| email.as_str().to_owned()).unwrap_or_default();
    let name = claims
        .name()
        .and_then(|name| name.get(None))
        .map(|name| name.as_str().to_owned())
        .or_else(|| claims.preferred_username().map(|name| name.as_str().to_owned()))
        .unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
    let request = ResolveIdentityRequest {
        issuer: provider.config.issuer.clone(),
        subject: subject.clone(),
        display_name: name,
        email,
        roles: extra.roles(&provider.config).into_iter().map(|role| role.as_str().to_owned()).collect(),
    };
    let user = app
        .clients
        .resolve_identity(tenant, context.trace, request)
        .await
        .map_err(|status| unavailable("accounts", &status))?;
    let (user_id, roles) = known(&user)?;
    let now = app.clock.now();
    Ok(SignedIn {
        session: app.ids.next::<Uuid>(),
        user: user_id,
        tenant,
        roles,
        display_name: user.display_name,
        provider: provider.config.id.clone(),
        issuer: provider.config.issuer.clone(),
        subject,
        sid: extra.text("sid").map(str::to_owned),
        user_agent: headers
            .get(header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .map(|agent| agent.chars().take(AGENT).collect()),
        created_at: now,
        ends_at: now + app.config.session_absolute,
        refresh_token,
    })
}

fn known(user: &User) -> Result<(UserId, BTreeSet<Role>), SignInError> {
    let id = user.id.parse().map_err(|e| SignInError::Unavailable(format!("accounts: {e}")))?;
    let mut roles: BTreeSet<Role> = user.roles.iter().filter_map(|role| role.parse().ok()).collect();
    roles.insert(Role::Resident);
    Ok((id, roles))
}
