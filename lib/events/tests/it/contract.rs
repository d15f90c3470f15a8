//! What either bus promises, asked of both.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cs_core::TenantId;
use cs_events::bus::DeadFilter;
use cs_events::{
    Bus, Consumer, Delivery, Envelope, EventHandler, HandlerError, PostgresBus, RetryPolicy, SnsBus,
};
use serde_json::json;

use crate::support::{World, elsewhere};

/// A lease that is waited for.
const SHORT: Duration = Duration::from_secs(2);
/// One that outlasts a look which finds nothing, and takes a second.
const SHORT_ELSEWHERE: Duration = Duration::from_secs(6);

/// A bus, and a way to put anything onto one of its queues.
pub(crate) struct Fixture {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) world: World,
    sqs: Option<(aws_sdk_sqs::Client, Arc<SnsBus>)>,
}

impl Fixture {
    pub(crate) async fn postgres(name: &str) -> Self {
        let world = World::new(&format!("contract_{name}")).await;
        let bus = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
        Self { bus, world, sqs: None }
    }

    pub(crate) async fn sns(name: &str) -> Option<Self> {
        let (options, config) = elsewhere(&format!("t-{name}")).await?;
        let world = World::new(&format!("contract_sns_{name}")).await;
        let bus = Arc::new(SnsBus::connect(options, world.bus_db.clone(), world.clock.clone()).await);
        let sqs = aws_sdk_sqs::Client::new(&config);
        Some(Self { bus: bus.clone(), world, sqs: Some((sqs, bus)) })
    }

    /// Puts bytes onto a queue that nothing of ours wrote.
    async fn inject(&self, queue: &str, bytes: &str) {
        match &self.sqs {
            Some((sqs, bus)) => {
                let name = bus.names().queue(queue);
                let url = sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
                sqs.send_message().queue_url(url).message_body(bytes).send().await.unwrap();
            }
            None => {
                let sql = format!(
                    "INSERT INTO bus.messages (queue, event_id, type, envelope, visible_at, created_at)
                     VALUES ('{queue}', gen_random_uuid(), '', to_jsonb('{}'::text), now(), now())",
                    bytes.replace('\'', "''")
                );
                self.world.admin(&sql).await;
            }
        }
    }

    /// A lease that is waited for, and does not end while it is looked whether anything is there.
    pub(crate) fn short(&self) -> Duration {
        if self.is_elsewhere() { SHORT_ELSEWHERE } else { SHORT }
    }

    /// Whether the bus is SNS and SQS.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.sqs.is_some()
    }

    /// Takes until `count` have come, or the patience ends.
    pub(crate) async fn take(&self, queue: &str, count: usize, lease: Duration) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for _ in 0..20 {
            taken.extend(self.bus.receive(queue, 10, lease).await.unwrap());
            if taken.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(taken.len(), count, "messages of {queue}");
        taken
    }

    async fn nothing(&self, queue: &str) {
        assert!(self.bus.receive(queue, 10, SHORT).await.unwrap().is_empty(), "{queue} should be empty");
    }

    pub(crate) async fn dead(&self, queue: &str) -> Vec<cs_events::bus::DeadMessage> {
        let which = DeadFilter::new(TenantId::of_slug("default"), "");
        self.bus.dead(queue, which, 100).await.unwrap()
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<String> {
    let mut ids: Vec<String> =
        deliveries.iter().map(|d| d.envelope.as_ref().unwrap().id.to_string()).collect();
    ids.sort();
    ids
}

/// Notes what it handles.
struct Notes {
    types: &'static [&'static str],
    newest: u32,
    outcome: fn(&Envelope) -> Result<(), HandlerError>,
    seen: Mutex<Vec<Envelope>>,
}

impl Notes {
    fn new(types: &'static [&'static str], newest: u32) -> Arc<Self> {
        Arc::new(Self { types, newest, outcome: |_| Ok(()), seen: Mutex::default() })
    }
}

#[async_trait]
impl EventHandler for Notes {
    fn types(&self) -> &'static [&'static str] {
        self.types
    }

    fn newest(&self, _kind: &str) -> u32 {
        self.newest
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        self.seen.lock().unwrap().push(envelope.clone());
        (self.outcome)(envelope)
    }
}

/// Runs each promise on both buses.
macro_rules! promises {
    ($($name:ident),* $(,)?) => {
        mod on_postgres { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() { super::$name(crate::contract::Fixture::postgres(stringify!($name)).await).await }
        )* }
        mod on_sns { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(fixture) = crate::contract::Fixture::sns(stringify!($name)).await { super::$name(fixture).await }
            }
        )* }
    };
}
pub(crate) use promises;
promises!(
    filters,
    batches,
    comes_again,
    is_kept,
    retries,
    buries,
    malformed,
    parks,
    poison,
    large,
    sends_to_one,
    wants_more,
);

async fn filters(f: Fixture) {
    f.bus.subscribe("one", &["a", "b"]).await.unwrap();
    f.bus.subscribe("two", &["b"]).await.unwrap();
    let sent = ["a", "b", "c"].map(|kind| f.world.envelope(kind, "city"));
    f.bus.publish(&sent).await.unwrap();
    let (one, two) = (f.take("one", 2, SHORT).await, f.take("two", 1, SHORT).await);
    // Ids of one millisecond are in no order.
    let mut wanted = [sent[0].id.to_string(), sent[1].id.to_string()];
    wanted.sort();
    assert_eq!(ids(&one), wanted);
    assert_eq!(two[0].envelope.as_ref().unwrap(), &sent[1], "it arrives as it was sent");
    assert_eq!(f.bus.done(&one).await.unwrap() + f.bus.done(&two).await.unwrap(), 3);
    // What it no longer wants it no longer gets.
    f.bus.subscribe("one", &["a"]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    f.bus.publish(&[f.world.envelope("b", "city"), f.world.envelope("a", "city")]).await.unwrap();
    let one = f.take("one", 1, SHORT).await;
    assert_eq!(one[0].envelope.as_ref().unwrap().kind, "a");
}

async fn batches(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    let sent: Vec<Envelope> = (0..25).map(|_| f.world.envelope("a", "city")).collect();
    f.bus.publish(&sent).await.unwrap();
    let taken = f.take("q", 25, Duration::from_secs(20)).await;
    assert_eq!(f.bus.done(&taken).await.unwrap(), 25);
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 0));
}

async fn comes_again(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    let first = f.take("q", 1, f.short()).await;
    f.nothing("q").await;
    tokio::time::sleep(f.short()).await;
    let second = f.take("q", 1, f.short()).await;
    assert_eq!((first[0].attempt, second[0].attempt), (1, 2));
    f.bus.done(&second).await.unwrap();
    tokio::time::sleep(f.short()).await;
    f.nothing("q").await;
}

async fn is_kept(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    let taken = f.take("q", 1, f.short()).await;
    assert!(f.bus.extend(&taken[0], Duration::from_secs(20)).await.unwrap());
    tokio::time::sleep(f.short() + Duration::from_millis(500)).await;
    f.nothing("q").await;
    assert_eq!(f.bus.done(&taken).await.unwrap(), 1);
    assert!(!f.bus.extend(&taken[0], f.short()).await.unwrap_or(false), "what has ended is not kept");
}

async fn retries(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    let taken = f.take("q", 1, Duration::from_secs(30)).await;
    f.bus.retry(&taken[0], f.short(), "the city's server is away").await.unwrap();
    f.nothing("q").await;
    tokio::time::sleep(f.short()).await;
    let again = f.take("q", 1, f.short()).await;
    assert_eq!((again[0].attempt, again[0].lost), (2, 0));
}

async fn buries(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    let sent = f.world.envelope("a", "city");
    f.bus.publish(std::slice::from_ref(&sent)).await.unwrap();
    let taken = f.take("q", 1, Duration::from_secs(30)).await;
    f.bus.bury(&taken[0], "it cannot be: \u{7}\0 never").await.unwrap();
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 1));
    for _ in 0..2 {
        // Looking does not change anything.
        let dead = f.dead("q").await;
        assert_eq!(dead.len(), 1);
        assert_eq!((dead[0].event, dead[0].kind.as_str(), dead[0].attempts), (sent.id, "a", 1));
        assert!(dead[0].error.contains("it cannot be") && !dead[0].parked);
        assert_eq!(dead[0].envelope, serde_json::to_value(&sent).unwrap());
    }
    let other = DeadFilter::new(TenantId::of_slug("other"), "");
    assert!(f.bus.dead("q", other, 10).await.unwrap().is_empty(), "another tenant sees nothing");
    assert_eq!(f.bus.replay("q", &[sent.id]).await.unwrap(), [sent.id]);
    assert!(f.bus.replay("q", &[sent.id]).await.unwrap().is_empty(), "a second replay does nothing");
    let again = f.take("q", 1, Duration::from_secs(30)).await;
    assert_eq!(again[0].envelope.as_ref().unwrap(), &sent);
    f.bus.bury(&again[0], "again").await.unwrap();
    assert!(f.bus.discard("q", sent.id).await.unwrap());
    assert!(!f.bus.discard("q", sent.id).await.unwrap());
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 0));
}

async fn malformed(f: Fixture) {
    let notes = Notes::new(&["a"], 1);
    let consumer = Consumer::new(f.bus.clone(), "q", notes.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    let rubbish = "{\"type\": \"a\", 'not json é \u{1F3DB}";
    f.inject("q", rubbish).await;
    f.inject("q", "{\"type\": \"a\"}").await;
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    for _ in 0..20 {
        consumer.step().await.unwrap();
        if f.bus.count("q").await.unwrap() == (0, 2) {
            break;
        }
    }
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 2));
    assert_eq!(notes.seen.lock().unwrap().len(), 1, "the good one goes on");
    let dead = f.dead("q").await;
    let bytes: Vec<&str> = dead.iter().filter_map(|d| d.envelope.as_str()).collect();
    assert!(bytes.contains(&rubbish), "its bytes are kept: {bytes:?}");
    assert!(dead.iter().all(|d| d.error.contains("no ")));
}

async fn parks(f: Fixture) {
    let old = Notes::new(&["a"], 1);
    let consumer = Consumer::new(f.bus.clone(), "q", old.clone(), RetryPolicy::STANDARD);
    // A newer replica has asked for more than this one knows.
    f.bus.subscribe("q", &["a", "b"]).await.unwrap();
    let mut newer = f.world.envelope("a", "city");
    newer.version = 2;
    f.bus
        .publish(&[newer.clone(), f.world.envelope("b", "city"), f.world.envelope("a", "city")])
        .await
        .unwrap();
    for _ in 0..20 {
        consumer.step().await.unwrap();
        if f.bus.count("q").await.unwrap() == (0, 2) {
            break;
        }
    }
    assert_eq!(old.seen.lock().unwrap().len(), 1);
    let dead = f.dead("q").await;
    assert!(dead.len() == 2 && dead.iter().all(|d| d.parked), "{dead:?}");
    // The newer version starts, and gets both.
    let new = Notes::new(&["a", "b"], 2);
    let consumer = Consumer::new(f.bus.clone(), "q", new.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    for _ in 0..20 {
        consumer.step().await.unwrap();
        if new.seen.lock().unwrap().len() == 2 {
            break;
        }
    }
    let mut seen: Vec<(String, u32)> =
        new.seen.lock().unwrap().iter().map(|e| (e.kind.clone(), e.version)).collect();
    seen.sort();
    assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 0));
}

/// A poisonous event stops no other, and a panic stops no lane.
async fn poison(f: Fixture) {
    let notes = Arc::new(Notes {
        types: &["a"],
        newest: 1,
        outcome: |envelope| match envelope.resource.id.as_str() {
            "poison" => Err(HandlerError::Permanent("it is poison".to_owned())),
            "panic" => panic!("a defect"),
            _ => Ok(()),
        },
        seen: Mutex::default(),
    });
    let consumer = Consumer::new(f.bus.clone(), "q", notes.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    let sent = ["poison", "good", "panic", "fine"].map(|what| f.world.with_payload("a", what, &json!({})));
    f.bus.publish(&sent).await.unwrap();
    for _ in 0..20 {
        consumer.step().await.unwrap();
        if f.bus.count("q").await.unwrap() == (0, 2) {
            break;
        }
    }
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 2));
    let mut errors: Vec<String> = f.dead("q").await.into_iter().map(|d| d.error).collect();
    errors.sort();
    assert_eq!(errors, ["it is poison", "the handler panicked: a defect"]);
}

async fn large(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    let text = "é".repeat(300 << 10);
    let sent = f.world.with_payload("a", "city", &json!({ "text": text }));
    f.bus.publish(&[sent.clone(), f.world.envelope("a", "city")]).await.unwrap();
    let taken = f.take("q", 2, Duration::from_secs(30)).await;
    let whole = taken.iter().find(|d| d.envelope.as_ref().unwrap().id == sent.id).unwrap();
    assert_eq!(whole.envelope.as_ref().unwrap(), &sent);
    // Also from the dead letters and back.
    f.bus.bury(whole, "too much").await.unwrap();
    assert_eq!(f.dead("q").await[0].envelope["payload"]["text"], text);
    f.bus.replay("q", &[sent.id]).await.unwrap();
    assert_eq!(f.take("q", 1, SHORT).await[0].envelope.as_ref().unwrap(), &sent);
}

/// An older replica that starts again beside a newer one takes nothing from it.
async fn wants_more(f: Fixture) {
    let new = Consumer::new(f.bus.clone(), "q", Notes::new(&["a", "b"], 1), RetryPolicy::STANDARD);
    new.subscribe().await.unwrap();
    let old = Consumer::new(f.bus.clone(), "q", Notes::new(&["a"], 1), RetryPolicy::STANDARD);
    old.subscribe().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    f.bus.publish(&[f.world.envelope("a", "city"), f.world.envelope("b", "city")]).await.unwrap();
    f.take("q", 2, SHORT).await;
}

async fn sends_to_one(f: Fixture) {
    f.bus.subscribe("one", &["a"]).await.unwrap();
    f.bus.subscribe("two", &["a"]).await.unwrap();
    let sent = [f.world.envelope("a", "city"), f.world.envelope("b", "city")];
    assert_eq!(f.bus.send("one", &sent).await.unwrap(), 1, "only what the queue asked for");
    assert_eq!(ids(&f.take("one", 1, SHORT).await), [sent[0].id.to_string()]);
    f.nothing("two").await;
    assert!(matches!(f.bus.send("nowhere", &sent).await, Err(cs_events::BusError::Missing(_))));
}
