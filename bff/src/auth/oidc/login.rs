//! `GET /auth/login`: sends the browser to the provider.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use openidconnect::core::CoreResponseType;
use openidconnect::{AuthenticationFlow, CsrfToken, Nonce, PkceCodeChallenge, Scope};
use serde::Deserialize;
use tower_sessions::Session;

use super::SignInError;
use crate::app::App;
use crate::auth::local_path;
use crate::auth::session::{SIGNED_IN, SignInUnderWay, SignedIn};
use crate::http::RequestContext;

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    return_to: Option<String>,
    #[serde(default)]
    provider: Option<String>,
}

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, SignInError> {
    let Query(asked) = asked.map_err(|_| SignInError::BadRequest("The address is malformed."))?;
    let return_to = local_path(asked.return_to.as_deref().unwrap_or("/"))
        .ok_or(SignInError::BadRequest("return_to must be a path of this site."))?;
    let provider = match asked.provider.as_deref() {
        None => app.providers.first(),
        Some(id) => app.providers.iter().find(|provider| provider.config.id == id),
    }
    .ok_or(SignInError::BadRequest("There is no such identity provider."))?;
    // Cookies belong to a host: a sign-in begun under another name of this machine could not be finished.
    let Some(origin) = context.origin.as_deref() else {
        let mut url = app.main_origin_url("/auth/login");
        url.query_pairs_mut().append_pair("return_to", return_to);
        if let Some(id) = &asked.provider {
            url.query_pairs_mut().append_pair("provider", id);
        }
        return Ok(Redirect::to(url.as_str()).into_response());
    };

    let client = provider.client(origin).await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            || CsrfToken::new_random_len(32),
            || Nonce::new_random_len(32),
        )
        .add_scopes(provider.config.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge)
        .url();
    let previous: Option<SignedIn> = session
        .get(SIGNED_IN)
        .await
        .map_err(|e| SignInError::Unavailable(format!("the session store does not answer: {e}")))?;
    let under_way = SignInUnderWay {
        provider: provider.config.id.clone(),
        origin: origin.to_owned(),
        nonce: nonce.secret().clone(),
        verifier: verifier.into_secret(),
        return_to: return_to.to_owned(),
        previous: previous.map(|who| who.session),
    };
    let browser = CsrfToken::new_random_len(32);
    app.sessions
        .begin(state.secret(), browser.secret(), &under_way)
        .await
        .map_err(|e| SignInError::Unavailable(e.to_string()))?;
    let mut response = Redirect::to(url.as_str()).into_response();
    let begun = app.cookies.begin(state.secret(), browser.secret());
    for cookie in app.cookies.surplus(&headers).into_iter().chain(begun) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}
