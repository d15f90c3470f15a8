//! `POST /auth/logout`: ends the session here, then at the provider.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::json;
use tower_sessions::Session;

use crate::app::App;
use crate::auth::session::{SIGNED_IN, SignedIn};
use crate::http::{RequestContext, problem, rates};

/// Answers where the page should go next: a script cannot follow a redirect to another site.
pub(crate) async fn logout(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    Extension(session): Extension<Session>,
    headers: HeaderMap,
) -> Response {
    let with_session = app.cookies.has_session(&headers);
    let all = app.clone();
    app.to_its_end(async move { ended(&all, &context, &session, with_session).await }).await
}

async fn ended(app: &App, context: &RequestContext, session: &Session, with_session: bool) -> Response {
    let mut location = "/".to_owned();
    if with_session {
        let signed_in: Option<SignedIn> = match session.get(SIGNED_IN).await {
            Ok(signed_in) => signed_in,
            Err(error) => return problem::store_lost(context, &error),
        };
        // A cookie that names nothing is anybody's to make up.
        if signed_in.is_none()
            && let Err(wait) = app.rates.take_refused(context.from).await
        {
            return problem::too_many(context, rates::seconds(wait));
        }
        // First the session, so that it is over whatever the provider does.
        if let Err(error) = session.flush().await {
            return problem::store_lost(context, &error);
        }
        if let Some(who) = signed_in {
            app.memory.forget();
            tracing::info!(event = "sign_out.done", user_id = %who.user, "a person signed out");
            revoke(app, &who).await;
            let origin = context.origin.as_deref().unwrap_or(app.main_origin());
            if let Some(provider) = app.provider(&who.provider)
                && let Some(url) = provider.end_session_url(origin, who.tokens.id.as_deref()).await
            {
                location = url.into();
            }
        }
    }
    Json(json!({"location": location})).into_response()
}

/// Takes back at the provider what a session that is over had from it.
pub(crate) async fn revoke(app: &App, who: &SignedIn) {
    if let (Some(provider), Some(token)) = (app.provider(&who.provider), &who.tokens.refresh) {
        provider.revoke(token).await;
    }
}

/// The same of several, without waiting for providers, of which there may be one a session, each slow.
pub(crate) fn revoke_later(app: &Arc<App>, ended: Vec<SignedIn>) {
    let providers = app.clone();
    app.tasks.spawn(async move {
        for who in ended {
            revoke(&providers, &who).await;
        }
    });
}
