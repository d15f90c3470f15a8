//! One trace id joins a mutation, the call it becomes, the jobs and facts that this causes, the work of every service on
//! them, what a resident is told in the application, and the e-mail that goes out.

use std::sync::{Arc, LazyLock, Mutex};

use councilsense::wiring::Role;
use cs_core::{TenantId, Trace};
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_proto::notifications::v1::{Channels, UpdatePreferencesRequest};
use cs_proto::ops::v1::AddSourceRequest;
use cs_proto::ops::v1::sources_client::SourcesClient;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::edge::Edge;
use crate::harness::{Harness, MINUTES, Mode, operator};
use crate::pipeline::follower;

/// A span's name or what triggered it, or what an event is called; and its trace.
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

/// What an event is called.
#[derive(Default)]
struct Called(String);

impl Visit for Called {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Keeps every span, and every event that has a name.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut seen = Seen::default();
        attributes.record(&mut seen);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(seen.clone());
        }
        self.0.lock().unwrap().push(seen);
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut called = Called::default();
        event.record(&mut called);
        let around = context.event_scope(event).into_iter().flatten();
        let mut traces =
            around.filter_map(|span| span.extensions().get::<Seen>().map(|seen| seen.trace.clone()));
        let trace = traces.find(|trace| !trace.is_empty()).unwrap_or_default();
        if !called.0.is_empty() {
            self.0.lock().unwrap().push(Seen { what: called.0, trace });
        }
    }
}

/// Of this whole program: other tests are seen too; their traces are their own.
static SPANS: LazyLock<Spans> = LazyLock::new(|| {
    let spans = Spans::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans.clone())).unwrap();
    spans
});

/// A mail server that takes everything, and its letters.
struct Mail {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl Mail {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mail = Self { port: listener.local_addr().unwrap().port(), letters: Arc::default() };
        let letters = mail.letters.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Who hangs up is of no interest here.
                tokio::spawn(Self::talk(stream, letters.clone()));
            }
        });
        mail
    }

    async fn talk(stream: TcpStream, letters: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 hello\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            if line == "DATA" {
                write.write_all(b"354 go on\r\n").await?;
                let mut letter = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    letter += &format!("{line}\n");
                }
                letters.lock().unwrap().push(letter);
            }
            write.write_all(b"250 ok\r\n").await?;
        }
        Ok(())
    }
}

/// A resident of the city who is told in the application and by e-mail.
async fn reader(h: &Harness, tenant: TenantId, city_id: &str) {
    let rosa = follower(h, tenant, city_id).await;
    let channels = Some(Channels { names: vec!["in_app".into(), "email".into()] });
    let wish = UpdatePreferencesRequest { channels, ..Default::default() };
    let mut preferences = NotificationsClient::new(h.channel(Role::Notifications));
    preferences.update_preferences(h.request(&rosa, wish)).await.unwrap();
}

async fn from_a_mutation_to_what_a_resident_is_told(name: &str, mode: Mode) {
    let spans = SPANS.clone();
    let mail = Mail::start().await;
    let notify = notifications::Settings {
        smtp_url: Some(format!("smtp://127.0.0.1:{}", mail.port)),
        mail_from: Some("news@council.example".to_owned()),
        ..Default::default()
    };
    let h = Harness::notifying(name, mode, notify).await;
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
    reader(&h, tenant, &city).await;

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
        "notification.send",
        "message.ended",
    ] {
        assert!(seen.iter().any(|what| what == step), "{step} is not of the trace: {seen:?}");
    }
    // Each of the three that wait for it has had it: indexer, meetings, notifications.
    assert_eq!(seen.iter().filter(|what| *what == "meeting.published").count(), 3, "{seen:?}");
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(h.database.as_str()).await.unwrap();
    // The facts in between have it in the outbox, and the relay took them from there to the bus.
    let relayed: Vec<String> = sqlx::query_scalar(
        "SELECT type FROM (SELECT type, envelope, published_at FROM meetings.outbox
                           UNION ALL SELECT type, envelope, published_at FROM summaries.outbox) facts
         WHERE envelope ->> 'traceparent' LIKE '%' || $1 || '%' AND published_at IS NOT NULL",
    )
    .bind(&id)
    .fetch_all(&mut admin)
    .await
    .unwrap();
    for fact in ["meeting.summarize.requested", "summary.gated", "meeting.published"] {
        assert!(relayed.iter().any(|kind| kind == fact), "{fact} was not relayed: {relayed:?}");
    }
    // The resident's own row of it remembers the trace, and the one letter is of that row.
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT dedupe_key FROM notifications.deliveries WHERE state = 'sent' AND traceparent LIKE '%' || $1 || '%'",
    )
    .bind(&id)
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert_eq!(keys.len(), 1);
    let letters = mail.letters.lock().unwrap().clone();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains(&format!("<{}@council.example>", keys[0])), "{}", letters[0]);
    assert!(letters[0].contains("rosa@mail.example"), "{}", letters[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_process() {
    from_a_mutation_to_what_a_resident_is_told("trace", Mode::Together).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_on_a_port_of_its_own() {
    from_a_mutation_to_what_a_resident_is_told("trace-split", Mode::Split).await;
}
