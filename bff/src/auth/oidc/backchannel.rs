//! `POST /auth/backchannel-logout`: a provider ends sessions here (OpenID Connect Back-Channel Logout 1.0 §2.5–2.8).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use openidconnect::JsonWebKey;
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use serde_json::{Value, json};

use super::SignInError;
use super::logout_token::{self, LogoutToken, Unverified, Wrong};
use super::provider::{ALGORITHMS, Provider, SKEW};
use crate::app::App;
use crate::auth::session::Which;
use crate::http::body::{self, Unread};
use crate::http::{RequestContext, problem, rates};

/// Largest body taken, bytes.
const LARGEST: usize = 16 * 1024;

/// Why sessions were not ended.
enum Refusal {
    Wrong(Wrong),
    /// The body did not come in time.
    TooSlow,
    /// The provider's keys or our store are away: the same request may come again.
    Later(String),
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

pub(crate) async fn backchannel_logout(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut response = match take(&app, &headers, body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Refusal::Wrong(why)) => {
            tracing::warn!(event = "logout_token.refused", %why, "a logout token was refused");
            // What a provider sends is free; whoever makes tokens up pays.
            match app.rates.take_refused(context.from).await {
                Ok(()) => {
                    (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_request"}))).into_response()
                }
                Err(wait) => problem::too_many(&context, rates::seconds(wait)),
            }
        }
        Err(Refusal::TooSlow) => match app.rates.take_refused(context.from).await {
            Ok(()) => problem::too_slow(&context),
            Err(wait) => problem::too_many(&context, rates::seconds(wait)),
        },
        Err(Refusal::Later(why)) => {
            tracing::warn!(event = "logout_token.later", %why, "a logout token could not be served");
            problem::unavailable(&context)
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn take(app: &Arc<App>, headers: &HeaderMap, sent: Body) -> Result<(), Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Wrong::Malformed.into());
    }
    let body = body::whole(sent, LARGEST, app.config.deadline).await.map_err(|why| match why {
        Unread::TooSlow => Refusal::TooSlow,
        Unread::TooLarge | Unread::Broken => Wrong::Malformed.into(),
    })?;
    let mut sent = url::form_urlencoded::parse(&body).filter(|(name, _)| name == "logout_token");
    let (Some((_, token)), None) = (sent.next(), sent.next()) else { return Err(Wrong::Malformed.into()) };

    let unverified = logout_token::read(&token)?;
    let issuer = unverified.issuer().ok_or(Wrong::Issuer)?;
    // Two clients at one provider are told apart by the audience.
    let now = app.clock.now();
    let mut refused = Wrong::Issuer;
    for provider in app.providers.iter().filter(|provider| provider.config.issuer == issuer) {
        match unverified.check(issuer, &provider.config.client_id, now) {
            Ok(token) => {
                provider.check_signature(&unverified).await?;
                // Once it is remembered it is refused a second time: what it ends is ended, whoever waits for that.
                let (all, issuer) = (app.clone(), issuer.to_owned());
                return app.to_its_end(async move { end(&all, &issuer, &token).await }).await;
            }
            Err(wrong) => refused = wrong,
        }
    }
    Err(refused.into())
}

/// `sid` ends one sign-in's sessions, `sub` alone all of the person's from this provider.
async fn end(app: &App, issuer: &str, token: &LogoutToken) -> Result<(), Refusal> {
    let later = |error: crate::auth::session::StoreError| Refusal::Later(error.to_string());
    let name = format!("logout\u{1f}{issuer}\u{1f}{}", token.jti);
    if !app.sessions.remember(&name, token.expires + SKEW).await.map_err(later)? {
        return Err(Wrong::Replayed.into());
    }
    let ended = match (&token.sid, &token.sub) {
        (Some(sid), sub) => {
            let these = |row: &crate::auth::session::Row| sub.as_ref().is_none_or(|sub| *sub == row.subject);
            app.sessions.end_where(Which::Sid { issuer, sid }, these).await
        }
        (None, Some(subject)) => app.sessions.end_all(Which::Subject { issuer, subject }).await,
        (None, None) => return Err(Wrong::Nobody.into()),
    };
    // What failed half-way has ended some.
    app.memory.forget();
    match ended {
        Ok(ended) => {
            tracing::info!(event = "logout_token.done", sessions = ended.len(), "a provider ended sessions");
            Ok(())
        }
        Err(error) => {
            // It did not happen, so it may come again.
            if let Err(error) = app.sessions.forget(&name).await {
                tracing::warn!(%error, "a logout token that was not served is taken for used");
            }
            Err(later(error))
        }
    }
}

impl Provider {
    async fn check_signature(&self, token: &Unverified<'_>) -> Result<(), Refusal> {
        let name = Value::String(token.algorithm().to_owned());
        let algorithm: CoreJwsSigningAlgorithm =
            serde_json::from_value(name).map_err(|_| Wrong::Signature)?;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(Wrong::Signature.into());
        }
        let later = |error: SignInError| Refusal::Later(error.to_string());
        let mut again = true;
        loop {
            let metadata = self.metadata().await.map_err(later)?;
            let keys: Vec<&CoreJsonWebKey> = metadata
                .jwks()
                .keys()
                .iter()
                .filter(|key| match token.key_id() {
                    Some(id) => key.key_id().is_some_and(|known| known.as_str() == id),
                    None => true,
                })
                .collect();
            let (signed, signature) = token.signature();
            match keys.as_slice() {
                [key] => {
                    return key
                        .verify_signature(&algorithm, signed, signature)
                        .map_err(|_| Wrong::Signature.into());
                }
                [] if again && self.refetch_keys().await.map_err(later)? => again = false,
                _ => return Err(Wrong::Signature.into()),
            }
        }
    }
}
