//! What is given up is put away when whoever waits for it was told, and not before; who lost a job stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_db::Wakeups;
use cs_events::jobs::{self, Job};
use cs_events::{
    Bus, Consumer, Envelope, EventHandler, HandlerError, JobHandler, JobWorker, PostgresBus, RetryPolicy,
};
use cs_rpc::Tasks;

use crate::support::{World, soon};

/// Never succeeds. Whoever waits can be told from the second time on: first the connection is cut.
#[derive(Default)]
struct Hopeless {
    told: AtomicU32,
}

impl Hopeless {
    fn tell(&self) -> Result<(), HandlerError> {
        match self.told.fetch_add(1, Ordering::SeqCst) {
            0 => Err(HandlerError::Transient("the connection was cut".to_owned())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl EventHandler for Hopeless {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, _: &Envelope) -> Result<(), HandlerError> {
        Err(HandlerError::Permanent("never".to_owned()))
    }
    async fn given_up(&self, _: &Envelope, _: &str) -> Result<(), HandlerError> {
        self.tell()
    }
}

#[async_trait]
impl JobHandler for Hopeless {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, _: &Job) -> Result<(), HandlerError> {
        Err(HandlerError::Permanent("never".to_owned()))
    }
    async fn given_up(&self, _: &Job, _: &str) -> Result<(), HandlerError> {
        self.tell()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_not_put_away_before_it_is_told() {
    let world = World::manual("given_up_event").await;
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
    let handler = Arc::new(Hopeless::default());
    let consumer = Consumer::new(bus.clone(), "q", handler.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    bus.publish(&[world.envelope("a", "city")]).await.unwrap();
    consumer.step().await.unwrap();
    assert_eq!(bus.count("q").await.unwrap(), (1, 0), "nobody could be told: it comes again");
    world.manual.advance(TimeDelta::minutes(3));
    consumer.step().await.unwrap();
    assert_eq!(bus.count("q").await.unwrap(), (0, 1));
    assert_eq!(handler.told.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_not_put_away_before_it_is_told() {
    let world = World::manual("given_up_job").await;
    let handler = Arc::new(Hopeless::default());
    let worker = JobWorker::new(world.db.clone(), handler.clone(), world.clock.clone());
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    jobs::put(&mut tx, &world.envelope("a", "city")).await.unwrap();
    tx.commit().await.unwrap();
    worker.step().await.unwrap();
    assert_eq!(
        world.text("SELECT state FROM toy.jobs").await,
        "ready",
        "nobody could be told: it comes again"
    );
    world.manual.advance(TimeDelta::minutes(3));
    worker.step().await.unwrap();
    assert_eq!(world.text("SELECT state || ': ' || error FROM toy.jobs").await, "dead: never");
    assert_eq!(handler.told.load(Ordering::SeqCst), 2);
}

/// Fails for now, always; and panics where it tells of it.
#[derive(Default)]
struct Shaky {
    tries: AtomicU32,
}

impl Shaky {
    fn fail(&self) -> Result<(), HandlerError> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        Err(HandlerError::Transient("not now".to_owned()))
    }
}

#[async_trait]
impl EventHandler for Shaky {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, _: &Envelope) -> Result<(), HandlerError> {
        self.fail()
    }
    async fn given_up(&self, _: &Envelope, _: &str) -> Result<(), HandlerError> {
        panic!("a defect")
    }
}

#[async_trait]
impl JobHandler for Shaky {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, _: &Job) -> Result<(), HandlerError> {
        self.fail()
    }
    async fn given_up(&self, _: &Job, _: &str) -> Result<(), HandlerError> {
        panic!("a defect")
    }
}

/// Who died with it in hand has not tried it; and a defect in telling stops nobody.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_has_all_its_tries_whoever_died_with_it() {
    let world = World::manual("tries_event").await;
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
    let handler = Arc::new(Shaky::default());
    let consumer = Consumer::new(bus.clone(), "q", handler.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    bus.publish(&[world.envelope("a", "city")]).await.unwrap();
    world.admin("UPDATE bus.messages SET attempt = 8, lost = 8").await;
    while bus.count("q").await.unwrap() == (1, 0) {
        consumer.step().await.unwrap();
        world.manual.advance(TimeDelta::minutes(3));
    }
    assert_eq!(handler.tries.load(Ordering::SeqCst), RetryPolicy::STANDARD.attempts);
    assert_eq!(world.text("SELECT error FROM bus.messages WHERE dead_at IS NOT NULL").await, "not now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_all_its_tries_whoever_died_with_it() {
    let world = World::manual("tries_job").await;
    let handler = Arc::new(Shaky::default());
    let worker = JobWorker::new(world.db.clone(), handler.clone(), world.clock.clone());
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    jobs::put(&mut tx, &world.envelope("a", "city")).await.unwrap();
    tx.commit().await.unwrap();
    world.admin("UPDATE toy.jobs SET attempt = 8, lost = 8").await;
    while worker.step().await.unwrap() == 1 {
        world.manual.advance(TimeDelta::minutes(3));
    }
    assert_eq!(handler.tries.load(Ordering::SeqCst), RetryPolicy::STANDARD.attempts);
    assert_eq!(world.text("SELECT state || ': ' || error FROM toy.jobs").await, "dead: not now");
}

/// Works for ever.
struct Slow;

#[async_trait]
impl JobHandler for Slow {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }
    async fn handle(&self, _: &Job) -> Result<(), HandlerError> {
        std::future::pending().await
    }
}

async fn in_hand(world: &World) {
    soon(async {
        while world.text("SELECT state FROM toy.jobs").await != "running" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// However often processes stop with it in hand, it has its tries.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_handed_back_was_not_tried() {
    let world = World::new("handed_back_job").await;
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    jobs::put(&mut tx, &world.envelope("a", "city")).await.unwrap();
    tx.commit().await.unwrap();
    let tasks = Tasks::default();
    let slow = JobWorker::new(world.db.clone(), Arc::new(Slow), world.clock.clone());
    slow.run(&tasks, &Wakeups::default(), "toy", 1);
    in_hand(&world).await;
    assert!(tasks.drain(std::time::Duration::from_secs(60)).await, "what does not end is handed back");
    let counts = "SELECT state || attempt || lost || handed_back FROM toy.jobs";
    assert_eq!(world.text(counts).await, "ready101");
    world.admin("UPDATE toy.jobs SET attempt = 100, handed_back = 100").await;
    let handler = Arc::new(Shaky::default());
    let worker = JobWorker::new(world.db.clone(), handler.clone(), world.clock.clone());
    while world.text("SELECT state FROM toy.jobs").await != "dead" {
        worker.step().await.unwrap();
        world.admin("UPDATE toy.jobs SET run_at = now() WHERE state = 'ready'").await;
    }
    assert_eq!(handler.tries.load(Ordering::SeqCst), RetryPolicy::STANDARD.attempts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_job_stops() {
    let world = World::manual("lost_job").await;
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    jobs::put(&mut tx, &world.envelope("a", "city")).await.unwrap();
    tx.commit().await.unwrap();
    let slow = JobWorker::new(world.db.clone(), Arc::new(Slow), world.clock.clone());
    let working = tokio::spawn(async move { slow.step().await.unwrap() });
    in_hand(&world).await;
    world.manual.advance(TimeDelta::seconds(31));
    let other = JobWorker::new(world.db.clone(), Arc::new(Hopeless::default()), world.clock.clone());
    assert_eq!(other.step().await.unwrap(), 1, "the lease has run out");
    // It looks every ten seconds.
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(60), working).await;
    assert_eq!(stopped.expect("it goes on with what another worker has").unwrap(), 1);
}
