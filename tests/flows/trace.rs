//! One trace id joins a mutation, the call it becomes, the jobs and facts that this causes, the work of every service on
//! them, and what a resident is told.

use std::sync::{Arc, Mutex};

use councilsense::wiring::Role;
use cs_core::Trace;
use cs_proto::ops::v1::AddSourceRequest;
use cs_proto::ops::v1::sources_client::SourcesClient;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::edge::Edge;
use crate::harness::{Harness, MINUTES, Mode, operator};

/// A span's name or what triggered it, and its trace.
#[derive(Clone, Debug, Default)]
struct Seen {
    what: String,
    trace: String,
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace_id" => value.clone_into(&mut self.trace),
            "trigger" | "rpc.method" => value.clone_into(&mut self.what),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, format!("{value:?}").trim_matches('"'));
    }
}

/// Keeps every span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut seen = Seen::default();
        attributes.record(&mut seen);
        self.0.lock().unwrap().push(seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_mutation_to_what_a_resident_is_told() {
    let spans = Spans::default();
    // Other tests of this program are seen too; their traces are their own.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans.clone())).unwrap();
    let h = Harness::start("trace", Mode::Together).await;
    let tenant = h.tenant_called("ours").await;
    let clerk = operator(tenant);
    let edge = Edge::start(&h).await;
    let folder = tempfile::tempdir().unwrap();
    let sitting = |day: &str, text: &str| {
        let dir = folder.path().join(format!("{day}-city-council"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("minutes.txt"), text).unwrap();
    };
    let first =
        h.ingest(&clerk, "springfield", "first", &[("minutes.txt", "minutes", MINUTES.as_bytes())]).await;
    let source = AddSourceRequest {
        city: "springfield".to_owned(),
        kind: "folder".to_owned(),
        location: folder.path().display().to_string(),
        schedule: String::new(),
    };
    SourcesClient::new(h.channel(Role::Meetings)).add_source(h.request(&clerk, source)).await.unwrap();
    h.drain().await;
    let city = crate::pipeline::meeting(&h, &clerk, &first.meeting_id).await.city_id;
    crate::pipeline::follower(&h, tenant, &city).await;

    sitting("2023-02-02", &format!("{MINUTES}\nAnother sitting.\n"));
    let cookie = edge.sign_in("ours").await;
    let trace = Trace::start();
    let scan =
        "mutation($id: ID!) { scanCity(input: {cityId: $id}) { sources { id } userErrors { message } } }";
    let cities = edge.data(Some(&cookie), "{ cities { nodes { id } } }", serde_json::Value::Null).await;
    let variables = serde_json::json!({"id": cities["cities"]["nodes"][0]["id"]});
    let asked = edge.post_traced(Some(&cookie), trace, scan, &variables).await;
    assert_eq!(asked["data"]["scanCity"]["sources"].as_array().unwrap().len(), 1, "{asked}");
    h.drain().await;

    let id = trace.trace_id();
    let seen: Vec<String> =
        spans.0.lock().unwrap().iter().filter(|s| s.trace == id).map(|s| s.what.clone()).collect();
    for step in [
        "/councilsense.ops.v1.Sources/ScanCity",
        "city.scan.requested",
        "meeting.ingest.requested",
        "meeting.extract.requested",
        "meeting.summarize.requested",
        "meeting.publish.requested",
        "summary.gated",
        "meeting.published",
        "notification.enqueue.requested",
        "notification.hand_over",
    ] {
        assert!(seen.iter().any(|what| what == step), "{step} is not of the trace: {seen:?}");
    }
    // Each of the three that wait for it has had it: indexer, meetings, notifications.
    assert_eq!(seen.iter().filter(|what| *what == "meeting.published").count(), 3, "{seen:?}");
    // The resident's own row of it remembers the trace, so that the sending is joined too.
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(h.database.as_str()).await.unwrap();
    let traces: Vec<String> =
        sqlx::query_scalar("SELECT traceparent FROM notifications.deliveries WHERE state = 'sent'")
            .fetch_all(&mut admin)
            .await
            .unwrap();
    assert!(traces.iter().any(|trace| trace.contains(&id)), "{traces:?}");
}
