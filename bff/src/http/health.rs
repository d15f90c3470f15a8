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
use tokio::sync::Mutex;
use tokio::time::Instant;
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

/// How long an answer serves everybody who asks: a probe is never refused, and a thousand are no more work than one.
const SERVES: Duration = Duration::from_secs(1);

/// What was last found out about the dependencies, and when.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, StatusCode, serde_json::Value)>>);

/// Each dependency by name.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    // Whoever comes while it is found out waits for that.
    let mut known = app.readiness.0.lock().await;
    if let Some((at, status, said)) = known.as_ref()
        && at.elapsed() < SERVES
    {
        return (*status, Json(said.clone())).into_response();
    }
    let (status, said) = find_out(&app).await;
    *known = Some((Instant::now(), status, said.clone()));
    (status, Json(said)).into_response()
}

async fn find_out(app: &App) -> (StatusCode, serde_json::Value) {
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
    (status, json!({"status": word, "dependencies": all}))
}

pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    prometheus(&app.metrics)
}

pub(crate) fn prometheus(render: &RenderMetrics) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], render()).into_response()
}
