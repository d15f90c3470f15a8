//! How fast the embedded bus is, on a durable PostgreSQL of its own: `cargo run --release -p cs-events --example bench_bus`.
//!
//! Two figures: messages published and taken and ended in batches, by one publisher and two consumers at once; and facts
//! from a service's outbox through relay, bus and consumer to a handler that does nothing.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on is none")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cs_core::{Caller, Clock, Ids, SystemClock, TenantId, Trace};
use cs_db::{Db, DbOptions, SchemaSpec, Wakeups};
use cs_events::{
    Bus, Consumer, Envelope, EventHandler, Fact, HandlerError, PostgresBus, Relay, RetryPolicy, outbox,
};
use cs_rpc::Tasks;
use serde_json::json;

const MESSAGES: usize = 30_000;
const BATCH: usize = 200;
const SECRET: &[u8] = b"a measurement's own";

struct Counts(AtomicUsize);

#[async_trait]
impl EventHandler for Counts {
    fn types(&self) -> &'static [&'static str] {
        &["measured"]
    }

    async fn handle(&self, _: &Envelope) -> Result<(), HandlerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn envelope(ids: &Ids, caller: &Caller, number: usize) -> Envelope {
    // A payload of the size of `meeting.published`, of one of fifty cities.
    let payload = json!({ "city_id": format!("city-{}", number % 50), "title": "Regular Meeting", "text": "x".repeat(800) });
    let resource = ("meeting", number.to_string());
    let fact = Fact { kind: "measured", resource, key: number.to_string(), payload: &payload };
    Envelope::new("bench", caller, ids, fact).unwrap()
}

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let postgres = cs_pg::start(cs_pg::Options::new(dir.path())).await.unwrap();
    let none = sqlx::migrate::Migrator::with_migrations(Vec::new());
    let schemas = [
        SchemaSpec { name: "bus", migrators: &[&cs_events::BUS_MIGRATOR] },
        SchemaSpec { name: "bench", migrators: &[&cs_events::SERVICE_MIGRATOR, &none] },
    ];
    cs_db::migrate(postgres.url(), SECRET, &schemas).await.unwrap();
    let db = |schema: &str| {
        let (url, schema) = (postgres.url().clone(), schema.to_owned());
        Db::new(&DbOptions { url, schema, role_secret: SECRET.to_vec(), max_connections: 8 }).unwrap()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids = Ids::new(clock.clone());
    let caller = Caller::service("bench", TenantId::of_slug("bench"), Trace::start());
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(db("bus"), clock.clone()));
    bus.subscribe("q", &["measured"]).await.unwrap();

    let all: Vec<Envelope> = (0..MESSAGES).map(|number| envelope(&ids, &caller, number)).collect();
    let began = Instant::now();
    let publisher = {
        let (bus, all) = (bus.clone(), all.clone());
        tokio::spawn(async move {
            for batch in all.chunks(BATCH) {
                bus.publish(batch).await.unwrap();
            }
        })
    };
    let taken = Arc::new(AtomicUsize::new(0));
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let (bus, taken) = (bus.clone(), taken.clone());
            tokio::spawn(async move {
                while taken.load(Ordering::Relaxed) < MESSAGES {
                    let deliveries = bus.receive("q", 100, Duration::from_secs(60)).await.unwrap();
                    taken.fetch_add(bus.done(&deliveries).await.unwrap(), Ordering::Relaxed);
                }
            })
        })
        .collect();
    publisher.await.unwrap();
    futures::future::join_all(consumers).await;
    report("bus: published, taken, ended", began.elapsed());

    let (bench, tasks, wakeups) = (db("bench"), Tasks::default(), Wakeups::default());
    let counts = Arc::new(Counts(AtomicUsize::new(0)));
    Consumer::new(bus.clone(), "q", counts.clone(), RetryPolicy::STANDARD).run(&tasks, &wakeups, 4);
    Relay::new("bench", bench.clone(), bus.clone(), clock.clone()).run(&tasks, &wakeups);
    let began = Instant::now();
    for batch in all.chunks(BATCH) {
        let mut tx = bench.tenant(&caller).await.unwrap();
        for envelope in batch {
            outbox::put(&mut tx, envelope).await.unwrap();
        }
        tx.commit().await.unwrap();
        wakeups.wake("bench.outbox");
        wakeups.wake("queue.q");
    }
    while counts.0.load(Ordering::Relaxed) < MESSAGES {
        tokio::time::sleep(Duration::from_millis(5)).await;
        wakeups.wake("queue.q");
    }
    report("outbox, relay, bus, consumer", began.elapsed());
    tasks.drain(Duration::from_secs(5)).await;
    postgres.stop().await.unwrap();
}

fn report(what: &str, took: Duration) {
    let rate = MESSAGES as f64 / took.as_secs_f64();
    println!("{what:<32} {MESSAGES} in {:6.2} s  {rate:8.0} messages/s", took.as_secs_f64());
}
