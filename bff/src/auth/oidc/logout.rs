//! `POST /auth/logout`: ends the session here, then at the provider.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tower_sessions::Session;

use super::Provider;
use crate::app::App;
use crate::auth::session::{SIGNED_IN, SignedIn};
use crate::http::{RequestContext, problem};

/// Answers where the page should go next: a script cannot follow a redirect to another site.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
) -> Response {
    let mut location = "/".to_owned();
    if app.cookies.has_session(&headers) {
        let signed_in: Option<SignedIn> = match session.get(SIGNED_IN).await {
            Ok(signed_in) => signed_in,
            Err(error) => return problem::store_lost(&context, &error),
        };
        // First the session, so that it is over whatever the provider does.
        if let Err(error) = session.flush().await {
            return problem::store_lost(&context, &error);
        }
        let provider = signed_in
            .as_ref()
            .and_then(|who| app.providers.iter().find(|provider| provider.config.id == who.provider));
        if let (Some(who), Some(provider)) = (signed_in, provider) {
            tracing::info!(event = "sign_out.done", user_id = %who.user, "a person signed out");
            if let Some(token) = who.refresh_token {
                revoke(provider, &token).await;
            }
            let origin = context.origin.as_deref().unwrap_or(app.main_origin());
            if let Some(url) = provider.end_session_url(origin).await {
                location = url.into();
            }
        }
    }
    Json(json!({"location": location})).into_response()
}

/// RFC 7009. A provider that does not answer keeps nobody signed in here, so it is only logged.
async fn revoke(provider: &Provider, token: &str) {
    let Some(url) = provider.revocation_url().await else { return };
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let client = format!("{}:{}", encode(&provider.config.client_id), encode(&provider.config.client_secret));
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("token_type_hint", "refresh_token")
        .finish();
    let request = http::Request::builder()
        .method(Method::POST)
        .uri(url.as_str())
        .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(client)))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body.into_bytes());
    let outcome = match request {
        Ok(request) => provider.fetch.send(request).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(answer) if answer.status().is_success() => {}
        Ok(answer) => tracing::warn!(status = answer.status().as_u16(), "a refresh token was not revoked"),
        Err(error) => tracing::warn!(%error, "a refresh token was not revoked"),
    }
}
