//! `GET /auth/session`: whether somebody is signed in, for the page to draw its corner.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use tower_sessions::Session;

use super::session::{SIGNED_IN, SignedIn};
use crate::app::App;
use crate::http::{RequestContext, problem, rates};

pub(crate) async fn session_status(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
) -> Response {
    let signed_in: Option<SignedIn> = if app.cookies.has_session(&headers) {
        let found = match session.get(SIGNED_IN).await {
            Ok(signed_in) => signed_in,
            Err(error) => return problem::store_lost(&context, &error),
        };
        // A cookie that names nothing is anybody's to make up.
        if found.is_none()
            && let Err(wait) = app.rates.take_refused(context.from).await
        {
            return problem::too_many(&context, rates::seconds(wait));
        }
        found
    } else {
        None
    };
    let csrf = json!({"header": "x-csrf", "value": "1"});
    let providers: Vec<&str> = app.providers.iter().map(|provider| provider.config.id.as_str()).collect();
    let names: BTreeMap<&str, &str> = app
        .providers
        .iter()
        .map(|provider| (provider.config.id.as_str(), provider.config.name.as_str()))
        .collect();
    Json(match signed_in {
        None => json!({"signedIn": false, "providers": providers, "providerNames": names, "csrf": csrf}),
        Some(who) => json!({
            "signedIn": true,
            "displayName": who.display_name,
            "expiresAt": who.ends_at.to_rfc3339(),
            "providers": providers,
            "providerNames": names,
            "csrf": csrf,
        }),
    })
    .into_response()
}
