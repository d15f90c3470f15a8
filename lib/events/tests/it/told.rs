//! One line at the end of each job and each message, with the ids of its envelope and how it ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::{Caller, Subject, UserId};
use cs_events::jobs::{self, Job};
use cs_events::{
    Bus, Consumer, Envelope, EventHandler, Fact, HandlerError, JobHandler, JobWorker, PostgresBus,
    RetryPolicy, inbox,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::support::{SCHEMA, World};

#[derive(Clone, Debug, Default)]
struct Said(BTreeMap<&'static str, String>);

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Said {
    fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// The lines at an end, with what their span says.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Said>>>);

impl Layer<Registry> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        context.span(id).unwrap().extensions_mut().insert(said);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, Registry>) {
        values.record(context.span(id).unwrap().extensions_mut().get_mut::<Said>().unwrap());
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, Registry>) {
        let mut said = Said::default();
        event.record(&mut said);
        if !said.of("event").ends_with(".ended") {
            return;
        }
        let span = context.event_span(event).expect("it stands in the span of the work");
        said.0.extend(span.extensions().get::<Said>().unwrap().0.clone());
        self.0.lock().unwrap().push(said);
    }
}

impl Lines {
    /// What was told since the last look.
    fn take(&self) -> Vec<Said> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        for line in &lines {
            assert!(line.of("duration_ms").parse::<u64>().is_ok(), "{line:?}");
            assert!(line.of("attempt").parse::<u32>().is_ok(), "{line:?}");
        }
        lines
    }
}

/// What was counted, by name and labels.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<&str> = key.labels().map(|label| label.value()).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        Counter::from_arc(self.0.lock().unwrap().entry(name).or_default().clone())
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Counts {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// Does what the city's name says, and learns of its meeting on the way.
struct Moody(World);

impl Moody {
    fn mood(envelope: &Envelope) -> Result<(), HandlerError> {
        tracing::Span::current().record("processing_run_id", "a-run");
        match envelope.payload["city_id"].as_str() {
            Some("shaky") => Err(HandlerError::Transient("not yet".to_owned())),
            Some("hopeless") => Err(HandlerError::Permanent("never".to_owned())),
            Some("taken") => Err(HandlerError::LeaseLost),
            Some("broken") => panic!("a defect"),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EventHandler for Moody {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        Self::mood(envelope)?;
        let mut tx = self.0.db.tenant(&envelope.caller(SCHEMA)).await?;
        if inbox::first_time(&mut tx, "moody", envelope, self.0.clock.now()).await? {
            tx.commit().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl JobHandler for Moody {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        Self::mood(&job.envelope)?;
        let mut tx = self.0.db.tenant(&job.envelope.caller(SCHEMA)).await?;
        jobs::finish(&mut tx, job, self.0.clock.now()).await?;
        Ok(tx.commit().await?)
    }
}

/// All of a test is one thread, so that what other tests say at the same time is not heard.
#[tokio::test]
async fn how_a_message_ended_is_told_once() {
    let lines = Lines::default();
    let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    let handler = Arc::new(Moody(World::manual("told_event").await));
    let world = &handler.0;
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
    let consumer = Consumer::new(bus.clone(), "q", handler.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();

    let good = world.envelope("a", "good");
    let mut newer = world.envelope("a", "good");
    newer.version = 2;
    for (envelope, outcome) in [
        (good.clone(), "done"),
        (good, "duplicate"),
        (world.envelope("a", "hopeless"), "dead"),
        (world.envelope("a", "broken"), "dead"),
        (newer, "parked"),
        (world.envelope("a", "shaky"), "retried"),
        (world.envelope("a", "taken"), "lost"),
    ] {
        bus.send("q", std::slice::from_ref(&envelope)).await.unwrap();
        consumer.step().await.unwrap();
        let told = lines.take();
        assert_eq!(told.len(), 1, "{outcome}: {told:?}");
        let said = &told[0];
        assert_eq!((said.of("event"), said.of("outcome")), ("event.ended", outcome), "{said:?}");
        assert_eq!((said.of("queue"), said.of("trigger")), ("q", "a"), "{said:?}");
        assert_eq!(said.of("job_id"), envelope.id.to_string());
        assert_eq!(said.of("tenant_id"), envelope.tenant_id.to_string());
        assert_eq!(said.of("request_id"), envelope.correlation_id);
        assert_eq!(said.of("city_id"), envelope.payload["city_id"].as_str().unwrap());
        assert_eq!(said.of("trace_id").len(), 32, "{said:?}");
        // What the handler learned; one that is parked was never handled.
        assert_eq!(said.of("processing_run_id"), if outcome == "parked" { "" } else { "a-run" });
        assert_eq!(said.of("error").is_empty(), !["dead", "retried"].contains(&outcome), "{said:?}");
    }
    world
        .admin(
            "INSERT INTO bus.messages (queue, event_id, type, envelope, visible_at, created_at)
             VALUES ('q', gen_random_uuid(), '', to_jsonb('rubbish'::text), 'epoch', 'epoch')",
        )
        .await;
    consumer.step().await.unwrap();
    let told = lines.take();
    assert_eq!((told.len(), told[0].of("outcome")), (1, "malformed"));
}

#[tokio::test]
async fn how_a_job_ended_is_told_once() {
    let lines = Lines::default();
    let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    let handler = Arc::new(Moody(World::manual("told_job").await));
    let world = &handler.0;
    let worker = JobWorker::new(world.db.clone(), handler.clone(), world.clock.clone());
    let counts = Counts::default();
    let _counted = metrics::set_default_local_recorder(&counts);
    for (city, outcome) in [("good", "done"), ("taken", "lost"), ("shaky", "retried"), ("hopeless", "dead")] {
        let mut tx = world.db.tenant(&world.caller()).await.unwrap();
        jobs::put(&mut tx, &world.envelope("a", city)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(worker.step().await.unwrap(), 1);
        let told = lines.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].of("event"), told[0].of("outcome")), ("job.ended", outcome), "{told:?}");
        assert_eq!((told[0].of("city_id"), told[0].of("attempt")), (city, "1"), "{told:?}");
        assert_eq!(counts.of(&format!("councilsense_jobs_total a {outcome}")), 1, "{outcome}");
    }
    world.manual.advance(TimeDelta::minutes(3));
    worker.step().await.unwrap();
    worker.step().await.unwrap();
    let again: Vec<String> = lines.take().iter().map(|said| said.of("attempt").to_owned()).collect();
    assert_eq!(again, ["2", "2"], "the lost one and the one that failed come again");
}

#[tokio::test]
async fn ids_are_read_where_they_stand() {
    let lines = Lines::default();
    let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(lines.clone()));
    let handler = Arc::new(Moody(World::manual("told_ids").await));
    let world = &handler.0;
    let worker = JobWorker::new(world.db.clone(), handler.clone(), world.clock.clone());
    let person: UserId = world.ids.next();
    let rosa = Caller { subject: Subject::User(person), ..world.caller() };
    let empty = json!({});
    let within = json!({ "meeting": { "meeting_id": "m", "city_id": "c", "run_id": "r" } });
    let of_person = json!({ "user_id": "u" });
    let blank = json!({ "city_id": "", "meeting_id": "" });
    for (caller, resource, payload, told) in [
        (&world.caller(), ("meeting", "m"), &empty, ["", "m", "", ""]),
        (&world.caller(), ("thing", "t"), &within, ["c", "m", "", "r"]),
        (&world.caller(), ("account", "a"), &of_person, ["", "", "u", ""]),
        (&world.caller(), ("account", "a"), &empty, ["", "", "a", ""]),
        (&rosa, ("account", "a"), &blank, ["", "", &person.to_string(), ""]),
    ] {
        let key = world.ids.next::<UserId>().to_string();
        let fact = Fact { kind: "a", resource: (resource.0, resource.1.to_owned()), key, payload };
        let mut tx = world.db.tenant(caller).await.unwrap();
        jobs::put(&mut tx, &Envelope::new(SCHEMA, caller, &world.ids, fact).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        worker.step().await.unwrap();
        let said = lines.take().pop().unwrap();
        // The handler says which run it is, and its word counts.
        let [city, meeting, user, _] = told;
        assert_eq!(
            [said.of("city_id"), said.of("meeting_id"), said.of("user_id"), said.of("processing_run_id")],
            [city, meeting, user, "a-run"],
            "{payload}"
        );
    }
}
