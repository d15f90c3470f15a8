//! `GET /auth/login`: sends the browser to the provider, or asks to which.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use openidconnect::core::{CoreAuthPrompt, CoreResponseType};
use openidconnect::{AuthenticationFlow, CsrfToken, Nonce, PkceCodeChallenge, Scope};
use serde::Deserialize;
use tower_sessions::Session;
use uuid::Uuid;

use super::{Provider, SignInError, choose};
use crate::app::App;
use crate::auth::local_path;
use crate::auth::session::{Purpose, SIGNED_IN, SignInUnderWay, SignedIn};
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
    // Each writes a row that is kept for minutes.
    app.rates.take_refused(context.from).await.map_err(SignInError::TooMany)?;
    let Query(asked) = asked.map_err(|_| SignInError::BadRequest("The address is malformed."))?;
    let return_to = local_path(asked.return_to.as_deref().unwrap_or("/"))
        .ok_or(SignInError::BadRequest("return_to must be a path of this site."))?;
    // Cookies belong to a host: a sign-in begun under another name of this machine could not be finished.
    let Some(origin) = context.origin.as_deref() else {
        let mut url = app.main_origin_url("/auth/login");
        url.query_pairs_mut().append_pair("return_to", return_to);
        if let Some(id) = &asked.provider {
            url.query_pairs_mut().append_pair("provider", id);
        }
        return Ok(Redirect::to(url.as_str()).into_response());
    };
    let provider = match (asked.provider.as_deref(), app.providers.as_slice()) {
        (None, [only]) => only,
        (None, several) => return Ok(choose::page(several, return_to)),
        (Some(id), _) => {
            app.provider(id).ok_or(SignInError::BadRequest("There is no such identity provider."))?
        }
    };
    let previous: Option<SignedIn> = session
        .get(SIGNED_IN)
        .await
        .map_err(|e| SignInError::Unavailable(format!("the session store does not answer: {e}")))?;
    let begin = Begin { origin, return_to, previous: previous.map(|who| who.session) };
    begin.at(&app, &headers, provider, Purpose::Session).await
}

/// A sign-in that is about to begin.
pub(super) struct Begin<'a> {
    pub(super) origin: &'a str,
    pub(super) return_to: &'a str,
    pub(super) previous: Option<Uuid>,
}

impl Begin<'_> {
    /// Sends the browser to a provider. Whatever is not for a session alone needs the person there, now.
    pub(super) async fn at(
        &self,
        app: &App,
        headers: &HeaderMap,
        provider: &Provider,
        purpose: Purpose,
    ) -> Result<Response, SignInError> {
        let client = provider.client().await?.set_redirect_uri(provider.redirect(self.origin)?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new_random_len(32),
                || Nonce::new_random_len(32),
            )
            .add_scopes(provider.config.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if purpose != Purpose::Session {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(std::time::Duration::ZERO);
        }
        let (url, state, nonce) = request.url();
        let under_way = SignInUnderWay {
            provider: provider.config.id.clone(),
            origin: self.origin.to_owned(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            return_to: self.return_to.to_owned(),
            began: app.clock.now(),
            previous: self.previous,
            purpose,
        };
        let browser = CsrfToken::new_random_len(32);
        app.sessions
            .begin(state.secret(), browser.secret(), &under_way)
            .await
            .map_err(|e| SignInError::Unavailable(e.to_string()))?;
        let mut response = Redirect::to(url.as_str()).into_response();
        let begun = app.cookies.begin(state.secret(), browser.secret());
        for cookie in app.cookies.surplus(headers).into_iter().chain(begun) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }
}
