//! The router, and what every request passes.

mod artifacts;
mod assets;
pub(crate) mod body;
mod context;
mod graphql;
mod headers;
mod health;
mod phones;
pub(crate) mod problem;
pub(crate) mod rates;
mod sse;
mod unsubscribe;
mod watches;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_sessions::SessionManagerLayer;
use tower_sessions::cookie::SameSite;

pub(crate) use assets::documents as page_documents;
pub(crate) use context::RequestContext;
pub(crate) use health::Readiness;
pub(crate) use rates::Rates;
pub(crate) use watches::Watches;
#[cfg(test)]
pub(crate) use {
    graphql::{read_accept, read_query, read_request},
    ws::protocol,
};

use crate::app::{App, RenderMetrics};
use crate::auth::{csrf, oidc, session_status};

const SWEEP_EVERY: Duration = Duration::from_secs(600);

pub(crate) fn router(app: Arc<App>) -> Router {
    let sessions = SessionManagerLayer::new(app.sessions.clone())
        .with_name(app.cookies.session())
        .with_secure(app.cookies.secure)
        .with_http_only(true)
        .with_same_site(SameSite::Strict)
        .with_path("/");
    let personal = Router::new()
        .route("/auth/login", get(oidc::login))
        .route("/auth/callback", get(oidc::callback))
        .route("/auth/link", get(oidc::link))
        .route("/auth/logout", post(oidc::logout))
        .route("/auth/backchannel-logout", post(oidc::backchannel_logout))
        .route("/auth/session", get(session_status))
        .route("/graphql", get(graphql::get).post(graphql::post).fallback(graphql::other_method))
        // GET, and over HTTP/2 CONNECT.
        .route("/graphql/ws", any(ws::upgrade))
        .route("/graphql/stream", post(sse::stream).fallback(sse::refused))
        .route("/artifacts/{id}", get(artifacts::read))
        .method_not_allowed_fallback(problem::not_allowed)
        .layer(sessions)
        .layer(middleware::map_response_with_state(app.clone(), mark_removals))
        .layer(middleware::from_fn_with_state(app.clone(), refuse_forged))
        .layer(middleware::from_fn(headers::personal));
    let phones = Router::new()
        .route("/api/graphql", post(phones::post))
        .method_not_allowed_fallback(problem::not_allowed)
        .layer(middleware::from_fn(headers::personal));
    let mut open = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        // Whoever holds a message stops it: no session, and so no forgery.
        .route("/unsubscribe", get(unsubscribe::page).post(unsubscribe::stop))
        .fallback(assets::serve);
    if app.config.development {
        open = open.route("/graphiql", get(graphql::graphiql));
    }
    if app.config.metrics_here {
        open = open.route("/metrics", get(health::metrics));
    }
    personal
        .merge(phones)
        .merge(open.method_not_allowed_fallback(problem::not_allowed))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), headers::security))
        .layer(middleware::from_fn_with_state(app.clone(), context::establish))
        .with_state(app)
}

/// `/metrics` alone, for a listener that the internet does not reach.
pub fn metrics_router(render: RenderMetrics) -> Router {
    Router::new().route("/metrics", get(move || async move { health::prometheus(&render) }))
}

async fn mark_removals(State(app): State<Arc<App>>, mut response: Response) -> Response {
    app.cookies.mark_removals(response.headers_mut());
    response
}

async fn refuse_forged(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let kind = csrf::kind(request.uri().path());
    let context = RequestContext::of(&request);
    let own = context.origin.as_deref();
    match csrf::check(kind, request.method(), request.headers(), app.cookies, own) {
        Ok(()) => next.run(request).await,
        Err(forged) => problem::forged(context, &forged),
    }
}

/// Deletes what has run out, until the process drains.
pub(crate) fn sweep(app: &Arc<App>) {
    let (app, stopping) = (app.clone(), app.tasks.stopping());
    app.clone().tasks.spawn(async move {
        while tokio::time::timeout(SWEEP_EVERY, stopping.cancelled()).await.is_err() {
            app.rates.sweep();
            match app.sessions.sweep().await {
                Ok(gone) => tracing::debug!(gone, "expired sessions and sign-ins were deleted"),
                Err(error) => tracing::warn!(%error, "expired sessions were not deleted; later"),
            }
        }
    });
}
