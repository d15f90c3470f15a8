//! A worker that dies at any point between a commit and the next call leaves work that another ends, with its effect had
//! once. The fault hook stops the worker; the clock then moves past every lease.
//!
//! A program of its own: an armed point stops whoever comes to it first, and other tests' workers would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sns;
#[path = "../it/support.rs"]
mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::EventId;
use cs_db::Db;
use cs_events::bus::DeadFilter;
use cs_events::jobs::{self, Job};
use cs_events::{
    Bus, Consumer, Envelope, EventHandler, HandlerError, JobHandler, JobWorker, PostgresBus, Relay,
    RetryPolicy, faults, inbox, outbox,
};
use serde_json::json;

use support::{SCHEMA, World, effect};

/// One point is armed at a time.
static ARMED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Fails once on the way for some, always for others; has an effect for the rest.
struct Effects {
    db: Db,
    ids: cs_core::Ids,
    seen: Mutex<HashSet<EventId>>,
}

impl Effects {
    fn outcome(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        let first = self.seen.lock().unwrap().insert(envelope.id);
        match envelope.payload["city_id"].as_str() {
            Some("hopeless") => Err(HandlerError::Permanent("never".into())),
            Some("shaky") if first => Err(HandlerError::Transient("not yet".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EventHandler for Effects {
    fn types(&self) -> &'static [&'static str] {
        &["happened"]
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        self.outcome(envelope)?;
        let mut tx = self.db.tenant(&envelope.caller(SCHEMA)).await?;
        if inbox::first_time(&mut tx, "effects", envelope, self.ids.now()).await? {
            effect(&mut tx, &format!("event {}", envelope.id)).await;
            tx.commit().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl JobHandler for Effects {
    fn types(&self) -> &'static [&'static str] {
        &["do"]
    }

    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        self.outcome(&job.envelope)?;
        let mut tx = self.db.tenant(&job.envelope.caller(SCHEMA)).await?;
        effect(&mut tx, &format!("job {}", job.envelope.id)).await;
        jobs::finish(&mut tx, job, self.ids.now()).await?;
        Ok(tx.commit().await?)
    }
}

struct Machine {
    world: World,
    bus: Arc<dyn Bus>,
    relay: Relay,
    consumer: Consumer,
    worker: JobWorker,
}

impl Machine {
    async fn new(world: World, bus: Arc<dyn Bus>, lease: Duration) -> Self {
        let effects =
            Arc::new(Effects { db: world.db.clone(), ids: world.ids.clone(), seen: Mutex::default() });
        let consumer = Consumer::new(bus.clone(), "effects", effects.clone(), RetryPolicy::STANDARD);
        let consumer = consumer.with_lease(lease);
        consumer.subscribe().await.unwrap();
        Self {
            relay: Relay::new(SCHEMA, world.db.clone(), bus.clone(), world.clock.clone()),
            worker: JobWorker::new(world.db.clone(), effects, world.clock.clone()),
            consumer,
            bus,
            world,
        }
    }

    /// Facts and jobs: one that succeeds, one that fails at first, one that always fails; of facts, also one that only a
    /// newer version reads, and another of the first one's city, with more in it than a queue elsewhere carries.
    async fn work(&self) {
        let world = &self.world;
        let mut later = world.envelope("happened", "later");
        later.version = 2;
        let much = json!({ "city_id": "good", "text": "x".repeat(300 << 10) });
        let much = world.with_payload("happened", "good", &much);
        let mut tx = world.db.tenant(&world.caller()).await.unwrap();
        for city in ["good", "shaky", "hopeless"] {
            outbox::put(&mut tx, &world.envelope("happened", city)).await.unwrap();
            jobs::put(&mut tx, &world.envelope("do", city)).await.unwrap();
        }
        outbox::put(&mut tx, &later).await.unwrap();
        outbox::put(&mut tx, &much).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn effects(&self, of: &str) -> (i64, i64) {
        let query = |what: &str| format!("SELECT count({what}) FROM toy.effects WHERE what LIKE '{of} %'");
        (self.world.number(&query("*")).await, self.world.number(&query("DISTINCT what")).await)
    }

    async fn unpublished(&self) -> i64 {
        self.world.number("SELECT count(*) FROM toy.outbox WHERE published_at IS NULL").await
    }

    /// Every dead letter is explained.
    async fn explained(&self, point: &str) {
        let which = DeadFilter::new(self.world.tenant, "");
        let letters = self.bus.dead("effects", which, 100).await.unwrap();
        assert!(letters.iter().all(|l| l.parked || l.error == "never"), "after {point}: {letters:?}");
    }

    /// A step of each worker. One that "dies" gives an error, as the process's end would.
    async fn step(&self) -> usize {
        let mut done = self.relay.step().await.unwrap_or(1);
        done += self.consumer.step().await.unwrap_or(1);
        done += self.worker.step().await.unwrap_or(1);
        done
    }

    async fn rest(&self) {
        for _ in 0..200 {
            if self.step().await == 0 && self.step().await == 0 {
                // Past every lease and wait.
                self.world.manual.advance(TimeDelta::minutes(3));
                if self.step().await == 0 {
                    return;
                }
            }
        }
        panic!("the workers never come to rest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_effect_is_had_once_wherever_a_worker_dies() {
    let _one = ARMED.lock().await;
    let world = World::manual("faults").await;
    let bus = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
    let machine = Machine::new(world, bus, Duration::from_secs(60)).await;
    for (rounds, point) in (1_i64..).zip(faults::POINTS.iter().copied()) {
        machine.work().await;
        faults::arm(point);
        machine.rest().await;
        assert!(!faults::disarm(), "{point} was never reached");
        let world = &machine.world;
        let waiting = world.text("SELECT string_agg(DISTINCT error, '; ') FROM toy.jobs").await;
        assert_eq!(machine.effects("event").await, (3 * rounds, 3 * rounds), "after {point}");
        assert_eq!(machine.effects("job").await, (2 * rounds, 2 * rounds), "after {point}: {waiting}");
        assert_eq!(machine.unpublished().await, 0, "{point}");
        let open = "SELECT count(*) FROM toy.jobs WHERE state IN ('ready', 'running')";
        assert_eq!(world.number(open).await, 0, "after {point}");
        assert_eq!(
            world.number("SELECT count(*) FROM toy.jobs WHERE state = 'dead' AND error = 'never'").await,
            rounds
        );
        let (waiting, dead) = machine.bus.count("effects").await.unwrap();
        assert_eq!((waiting, i64::try_from(dead).unwrap()), (0, 2 * rounds), "after {point}");
        machine.explained(point).await;
    }
}
