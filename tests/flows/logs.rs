//! What the whole chain logs, as JSON: each name that operators look for stands where it belongs and has one type.

use std::io::Write;
use std::sync::{Arc, Mutex};

use councilsense::logging::JsonLines;
use councilsense::wiring::Role;
use cs_core::{EventId, Trace};
use cs_proto::ops::v1::AddSourceRequest;
use cs_proto::ops::v1::sources_client::SourcesClient;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

use crate::edge::Edge;
use crate::harness::{Harness, MINUTES, Mode, operator};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }
}

const NAMES: [&str; 12] = [
    "request_id",
    "trace_id",
    "tenant_id",
    "user_id",
    "job_id",
    "city_id",
    "meeting_id",
    "processing_run_id",
    "dedupe_key",
    "event",
    "duration_ms",
    "outcome",
];

/// Whether a name has its one type, where it stands at all.
fn well_formed(line: &Value, name: &str) -> bool {
    let Some(value) = line.get(name) else { return true };
    let hex = |length: usize, text: &str| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    match (name, value.as_str()) {
        ("duration_ms", _) => value.is_u64(),
        ("trace_id", Some(text)) => hex(32, text),
        ("dedupe_key", Some(text)) => hex(64, text),
        ("event", Some(text)) => text.contains('.') && !text.contains(' '),
        ("request_id" | "outcome", Some(text)) => !text.is_empty() && text.len() <= 64,
        (_, Some(text)) => text.parse::<EventId>().is_ok(),
        (_, None) => false,
    }
}

/// One thread, so that what other tests say at the same time is not heard.
#[tokio::test]
async fn every_line_of_the_chain_has_the_names_that_belong_to_it() {
    let log = Log::default();
    let writer = log.clone();
    let filter = EnvFilter::new("info,notifications=debug,cs_rpc=debug");
    let subscriber = tracing_subscriber::registry().with(filter).with(JsonLines::new(move || writer.clone()));
    let _heard = tracing::subscriber::set_default(subscriber);
    let h = Harness::start("logs", Mode::Together).await;
    let tenant = h.tenant_called("ours").await;
    let clerk = operator(tenant);
    let edge = Edge::start(&h).await;
    let folder = tempfile::tempdir().unwrap();
    let sitting = |day: &str| {
        let dir = folder.path().join(format!("{day}-city-council"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("minutes.txt"), format!("{MINUTES}\nThe sitting of {day}.\n")).unwrap();
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
    sitting("2023-02-02");
    let cookie = edge.sign_in("ours").await;
    let trace = Trace::start();
    let scan = "mutation($id: ID!) { scanCity(input: {cityId: $id}) { userErrors { message } } }";
    let cities = edge.data(Some(&cookie), "{ cities { nodes { id } } }", Value::Null).await;
    let asked = edge
        .post_traced(Some(&cookie), trace, scan, &json!({"id": cities["cities"]["nodes"][0]["id"]}))
        .await;
    assert!(asked["errors"].is_null(), "{asked}");
    h.drain().await;

    let lines = log.lines();
    for line in &lines {
        for name in ["timestamp", "level", "target", "message"] {
            assert!(line[name].is_string(), "{name}: {line}");
        }
        for name in NAMES {
            assert!(well_formed(line, name), "{name}: {line}");
        }
        // All that is done for somebody says for whom, and joins what it began with.
        if line["span"] == "work" {
            assert!(line["tenant_id"].is_string() && line["trace_id"].is_string(), "{line}");
        }
    }

    // What the mutation led to, to the end.
    let id = trace.trace_id();
    let ours: Vec<&Value> = lines.iter().filter(|line| line["trace_id"] == id.as_str()).collect();
    let of = |event: &str, trigger: &str| -> Vec<&Value> {
        let all = ours.iter().filter(|line| line["event"] == event);
        all.filter(|line| trigger.is_empty() || line["trigger"] == trigger).copied().collect()
    };
    let ended = ["request_id", "tenant_id", "job_id", "outcome", "duration_ms"];
    let run = ["city_id", "meeting_id", "processing_run_id"];
    for (event, trigger, times, names) in [
        ("job.ended", "city.scan.requested", 1, &["user_id", "city_id"][..]),
        ("job.ended", "meeting.ingest.requested", 1, &run),
        ("job.ended", "meeting.extract.requested", 1, &run),
        ("event.ended", "meeting.summarize.requested", 1, &run),
        ("job.ended", "meeting.publish.requested", 1, &run),
        // To meetings and to the indexer; and, of what was published, to notifications.
        ("event.ended", "summary.gated", 2, &run),
        ("event.ended", "meeting.published", 3, &run),
        ("job.ended", "notification.enqueue.requested", 1, &run),
    ] {
        let told = of(event, trigger);
        assert_eq!(told.len(), times, "{trigger}: {told:?}");
        for line in told {
            assert_eq!(line["outcome"], "done", "{line}");
            let missing = ended.iter().chain(names).find(|name| line.get(**name).is_none());
            assert_eq!(missing, None, "{line}");
            assert_eq!(line.get("queue").is_some(), event == "event.ended", "{line}");
        }
    }
    let delivered = of("delivery.ended", "");
    assert_eq!(delivered.len(), 1, "one follower, one meeting: {delivered:?}");
    for name in ["tenant_id", "user_id", "meeting_id", "dedupe_key", "outcome"] {
        assert!(delivered[0].get(name).is_some(), "{name}: {delivered:?}");
    }
    let request = &of("http.request", "")[0];
    let calls = of("rpc.answered", "");
    assert!(calls.iter().any(|call| call["user_id"].is_string()), "{calls:?}");
    for line in calls.iter().chain([request]) {
        for name in ["request_id", "tenant_id", "duration_ms"] {
            assert!(line.get(name).is_some(), "{name}: {line}");
        }
    }
    assert!(request["user_id"].is_string(), "{request}");
    assert_eq!(of("job.ended", "city.scan.requested")[0]["request_id"], request["request_id"]);
    for name in NAMES {
        assert!(lines.iter().any(|line| line.get(name).is_some()), "nothing says {name}");
    }
}
