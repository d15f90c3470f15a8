//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).

use axum::extract::{RawForm, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use url::{Url, form_urlencoded};

use crate::Shared;

/// Ends the sign-in that the hint names, and sends the browser back where the client registered that.
pub(crate) async fn end_session(State(provider): State<Shared>, RawForm(form): RawForm) -> Response {
    let said = |name: &str| {
        form_urlencoded::parse(&form).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let hint = said("id_token_hint").and_then(|token| provider.config.key.open(&token));
    if let Some(sid) = hint.as_ref().and_then(|claims| claims["sid"].as_str()) {
        provider.grants(|grants| grants.end(sid));
    }
    let Some(back) = said("post_logout_redirect_uri") else {
        return Html("<!doctype html>\n<title>Signed out</title>\n<p>You are signed out.</p>\n")
            .into_response();
    };
    // Whoever asks has to say for which client; addresses are that client's own, so nobody is led elsewhere.
    let named = hint.is_some() || said("client_id").as_deref() == Some(provider.config.client_id.as_str());
    let known = named && provider.config.post_logout_redirect_uris.contains(&back);
    let Some(mut location) = known.then(|| Url::parse(&back).ok()).flatten() else {
        return (StatusCode::BAD_REQUEST, "this post_logout_redirect_uri is not registered").into_response();
    };
    if let Some(state) = said("state") {
        location.query_pairs_mut().append_pair("state", &state);
    }
    Redirect::to(location.as_str()).into_response()
}
