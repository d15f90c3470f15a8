//! Whether the process lives, whether it can serve, and its figures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::app::{App, RenderMetrics};

/// A dependency that takes longer is not there.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "alive"}))
}

/// Without these, pages are still read; they are named, and the process stays ready.
const DISPENSABLE: [&str; 1] = ["search"];

/// Each dependency by name.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let services = join_all(app.channels.named().map(|(name, channel)| async move {
        let mut client = HealthClient::new(channel);
        let check = client.check(HealthCheckRequest { service: name.to_owned() });
        let serving = matches!(
            tokio::time::timeout(PATIENCE, check).await,
            Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving
        );
        (name, serving)
    }));
    let store = async { matches!(tokio::time::timeout(PATIENCE, app.sessions.ping()).await, Ok(Ok(()))) };
    let (services, store) = futures::join!(services, store);
    let all: BTreeMap<&str, &str> = services
        .into_iter()
        .chain([("sessions", store)])
        .map(|(name, ok)| (name, if ok { "ok" } else { "unavailable" }))
        .collect();
    let missing = |dispensable: bool| {
        all.iter().any(|(name, state)| *state != "ok" && DISPENSABLE.contains(name) == dispensable)
    };
    let (status, word) = match (missing(false), missing(true)) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        (false, true) => (StatusCode::OK, "degraded"),
        (false, false) => (StatusCode::OK, "ready"),
    };
    (status, Json(json!({"status": word, "dependencies": all}))).into_response()
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    prometheus(&app.metrics)
}

pub(crate) fn prometheus(render: &RenderMetrics) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render()).into_response()
}
