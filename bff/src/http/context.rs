//! What is known of a request before anybody looks at it: its name, its trace, the address it came to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use cs_core::Trace;
use tracing::{Instrument, Span};

use super::rates;
use crate::app::App;

/// Made for every request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    /// Made here, never taken from a client; in every log line and error.
    pub(crate) request_id: String,
    pub(crate) trace: Trace,
    /// Which of our origins it came to; `None`: by a name that is not configured.
    pub(crate) origin: Option<String>,
    /// Where it came from, as far as proxies of ours say.
    pub(crate) from: IpAddr,
    /// Of everything done for it. Who asks is recorded here: the current span may be one that a layer opened within.
    pub(crate) span: Span,
}

impl RequestContext {
    /// Of a request that has passed [`establish`].
    pub(crate) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self {
            request_id: String::new(),
            trace: Trace::start(),
            origin: None,
            from: IpAddr::from([0, 0, 0, 0]),
            span: Span::none(),
        })
    }
}

pub(crate) async fn establish(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let (trace, origin) = (trace_of(&request), origin_of(&app, &request));
    let request_id = app.ids.next::<cs_core::EventId>().to_string();
    let from = rates::source(
        request.extensions().get::<ConnectInfo<SocketAddr>>(),
        request.headers(),
        &app.config.edge.trusted_proxies,
    );
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!(
        "http",
        request_id,
        trace_id = trace.trace_id(),
        tenant_id = tracing::field::Empty,
        user_id = tracing::field::Empty,
    );
    let context = RequestContext { request_id: request_id.clone(), trace, origin, from, span: span.clone() };
    request.extensions_mut().insert(context);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let seconds = started.elapsed().as_secs_f64();
    // A path of ours or a class of paths: an id in a metric's label would make a series a visitor.
    let route = route(&path);
    metrics::histogram!("bff_http_seconds", "route" => route, "status" => status.as_u16().to_string())
        .record(seconds);
    span.in_scope(|| {
        let duration_ms = started.elapsed().as_millis();
        let status = status.as_u16();
        if route == "page" {
            tracing::debug!(event = "http.request", %method, path, status, duration_ms, "request");
        } else {
            tracing::info!(event = "http.request", %method, path, status, duration_ms, "request");
        }
    });
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// A client's trace goes on here; without one, a new one begins.
fn trace_of(request: &Request) -> Trace {
    let header = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    header.and_then(Trace::parse).map_or_else(Trace::start, Trace::child)
}

fn origin_of(app: &App, request: &Request) -> Option<String> {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))?;
    let is_host = |origin: &&String| origin.split_once("://").is_some_and(|(_, ours)| ours == host);
    app.origins.iter().find(is_host).cloned()
}

fn route(path: &str) -> &'static str {
    match path {
        "/graphql" => "graphql",
        "/api/graphql" => "graphql_api",
        "/graphql/ws" => "graphql_ws",
        "/graphql/stream" => "graphql_stream",
        "/auth/login" => "auth_login",
        "/auth/callback" => "auth_callback",
        "/auth/link" => "auth_link",
        "/auth/logout" => "auth_logout",
        "/auth/backchannel-logout" => "auth_backchannel_logout",
        "/auth/session" => "auth_session",
        "/unsubscribe" => "unsubscribe",
        "/healthz" | "/readyz" | "/metrics" => "health",
        _ if path.starts_with("/artifacts/") => "artifact",
        _ => "page",
    }
}
