//! Several relays at once: the order of a resource is kept, nothing is published twice by two of them, and a dead relay
//! holds up its own resources only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::EventId;
use cs_db::Reason;
use cs_events::bus::{DeadFilter, DeadMessage, Unpublished};
use cs_events::{
    Bus, BusError, DeadLetterPart, DeadLetters, Delivery, Envelope, Ledger, PostgresBus, Relay, chores,
    gauges, inbox, outbox,
};
use cs_proto::ops::v1 as pb;
use cs_proto::ops::v1::dead_letters_server::DeadLetters as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{SCHEMA, World};

/// A bus that notes what is published, and is slow about it.
struct Notes {
    inner: PostgresBus,
    published: Mutex<Vec<(String, EventId)>>,
    slow: Duration,
    /// Publishes only when it is told to.
    gate: Option<Notify>,
    /// Types that it does not take: `odd` for good, others for now.
    refuses: &'static [&'static str],
}

#[async_trait]
impl Bus for Notes {
    async fn publish(&self, envelopes: &[Envelope]) -> Result<Vec<Unpublished>, BusError> {
        for envelope in envelopes {
            self.published.lock().unwrap().push((envelope.resource.id.clone(), envelope.id));
        }
        tokio::time::sleep(self.slow).await;
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let odd = |envelope: &&Envelope| self.refuses.contains(&envelope.kind.as_str());
        let (odd, plain): (Vec<&Envelope>, Vec<&Envelope>) = envelopes.iter().partition(odd);
        self.inner.publish(&plain.into_iter().cloned().collect::<Vec<_>>()).await?;
        let unpublished = |envelope: &Envelope| Unpublished {
            event: envelope.id,
            error: format!("{} is not taken", envelope.kind),
            refused: envelope.kind == "odd",
        };
        Ok(odd.into_iter().map(unpublished).collect())
    }
    async fn subscribe(&self, queue: &str, types: &[&str]) -> Result<(), BusError> {
        self.inner.subscribe(queue, types).await
    }
    async fn want(&self, queue: &str, types: &[&str]) -> Result<(), BusError> {
        self.inner.want(queue, types).await
    }
    async fn send(&self, queue: &str, envelopes: &[Envelope]) -> Result<u64, BusError> {
        self.inner.send(queue, envelopes).await
    }
    async fn receive_until(
        &self,
        _: &CancellationToken,
        queue: &str,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<Delivery>, BusError> {
        self.inner.receive(queue, most, lease).await
    }
    async fn done(&self, deliveries: &[Delivery]) -> Result<usize, BusError> {
        self.inner.done(deliveries).await
    }
    async fn extend(&self, delivery: &Delivery, lease: Duration) -> Result<bool, BusError> {
        self.inner.extend(delivery, lease).await
    }
    async fn retry(&self, delivery: &Delivery, wait: Duration, error: &str) -> Result<(), BusError> {
        self.inner.retry(delivery, wait, error).await
    }
    async fn hand_back(&self, delivery: &Delivery) -> Result<(), BusError> {
        self.inner.hand_back(delivery).await
    }
    async fn bury(&self, delivery: &Delivery, error: &str) -> Result<(), BusError> {
        self.inner.bury(delivery, error).await
    }
    async fn park(&self, delivery: &Delivery, why: &str) -> Result<(), BusError> {
        self.inner.park(delivery, why).await
    }
    async fn unpark(&self, queue: &str, readable: &[(&str, u32)]) -> Result<u64, BusError> {
        self.inner.unpark(queue, readable).await
    }
    async fn dead(
        &self,
        queue: &str,
        which: DeadFilter<'_>,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError> {
        self.inner.dead(queue, which, most).await
    }
    async fn replay(&self, queue: &str, events: &[EventId]) -> Result<Vec<EventId>, BusError> {
        self.inner.replay(queue, events).await
    }
    async fn discard(&self, queue: &str, event: EventId) -> Result<bool, BusError> {
        self.inner.discard(queue, event).await
    }
    async fn count(&self, queue: &str) -> Result<(u64, u64), BusError> {
        self.inner.count(queue).await
    }
    async fn tidy(&self, before: DateTime<Utc>) -> Result<u64, BusError> {
        self.inner.tidy(before).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_share_the_work_and_keep_the_order_of_a_resource() {
    let world = World::new("relays").await;
    let inner = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    let slow = Duration::from_millis(30);
    let bus = Arc::new(Notes { inner, published: Mutex::default(), slow, gate: None, refuses: &[] });
    let mut written: HashMap<String, Vec<EventId>> = HashMap::new();
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    for number in 0..2_000 {
        let resource = format!("r{}", number % 300);
        let envelope = world.envelope("a", &resource);
        written.entry(resource).or_default().push(envelope.id);
        outbox::put(&mut tx, &envelope).await.unwrap();
    }
    tx.commit().await.unwrap();
    let relay = Relay::new(SCHEMA, world.db.clone(), bus.clone(), world.clock.clone());
    let relays = (0..3).map(|_| {
        let relay = relay.clone();
        tokio::spawn(async move {
            let (mut published, mut idle) = (0, 0);
            while idle < 20 {
                let step = relay.step().await.unwrap();
                published += step;
                idle = if step == 0 { idle + 1 } else { 0 };
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            published
        })
    });
    let shares: Vec<usize> =
        futures::future::join_all(relays).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(shares.iter().sum::<usize>(), 2_000);
    assert!(shares.iter().filter(|share| **share > 0).count() > 1, "more than one worked: {shares:?}");
    let published = bus.published.lock().unwrap().clone();
    assert_eq!(published.len(), 2_000, "nothing was published twice");
    let mut left: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    for (resource, id) in published {
        left.entry(resource).or_default().push(id);
    }
    assert!(left.iter().all(|(resource, ids)| written[resource] == *ids), "the order of each resource");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_forgotten_and_nothing_else() {
    let world = World::manual("retention").await;
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(world.bus_db.clone(), world.clock.clone()));
    let relay = Relay::new(SCHEMA, world.db.clone(), bus.clone(), world.clock.clone());
    let put = async |kind: &str| {
        let mut tx = world.db.tenant(&world.caller()).await.unwrap();
        outbox::put(&mut tx, &world.envelope(kind, "city")).await.unwrap();
        tx.commit().await.unwrap();
    };
    put("old").await;
    relay.step().await.unwrap();
    world.manual.advance(TimeDelta::days(29));
    assert_eq!(chores::retention(&world.db, bus.as_ref(), world.clock.now()).await.unwrap(), 0);
    put("young").await;
    relay.step().await.unwrap();
    put("unpublished").await;
    world.manual.advance(TimeDelta::days(2));
    // Three replicas look; one does it.
    let mut gone = 0;
    for _ in 0..3 {
        gone += chores::retention(&world.db, bus.as_ref(), world.clock.now()).await.unwrap();
    }
    assert_eq!(gone, 1);
    world.manual.advance(TimeDelta::days(365));
    chores::retention(&world.db, bus.as_ref(), world.clock.now()).await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM toy.outbox").await, 1, "what is not published stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chore_that_is_rolled_back_is_due_again() {
    let world = World::manual("chores").await;
    let week = TimeDelta::weeks(1);
    let mut tx = world.db.system(Reason::Scheduler).await.unwrap();
    let first = chores::take_in(&mut tx, "audit", week, world.clock.now()).await.unwrap();
    assert_eq!(first, Some(world.clock.now() - week));
    drop(tx);
    let mut tx = world.db.system(Reason::Scheduler).await.unwrap();
    assert_eq!(chores::take_in(&mut tx, "audit", week, world.clock.now()).await.unwrap(), first);
    tx.commit().await.unwrap();
    assert_eq!(chores::take(&world.db, "audit", week, world.clock.now()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_the_bus_refuses_stops_no_other() {
    let world = World::new("refused").await;
    let inner = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    inner.subscribe("q", &["a", "odd", "busy"]).await.unwrap();
    let notes = |refuses| {
        let bus = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
        Arc::new(Notes { inner: bus, published: Mutex::default(), slow: Duration::ZERO, gate: None, refuses })
    };
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    for kind in ["a", "odd", "busy", "a"] {
        outbox::put(&mut tx, &world.envelope(kind, kind)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let bus = notes(&["odd", "busy"]);
    let relay = Relay::new(SCHEMA, world.db.clone(), bus.clone(), world.clock.clone());
    for _ in 0..3 {
        let error = relay.step().await.unwrap_err().to_string();
        assert!(error.contains("busy is not taken"), "{error}");
    }
    assert_eq!(
        bus.published.lock().unwrap().len(),
        4 + 2,
        "what was taken, and what is refused, is not sent again"
    );
    assert_eq!(
        world.text("SELECT error FROM toy.outbox WHERE refused_at IS NOT NULL").await,
        "odd is not taken"
    );
    let well = Relay::new(SCHEMA, world.db.clone(), notes(&[]), world.clock.clone());
    assert_eq!((well.step().await.unwrap(), well.step().await.unwrap()), (1, 0));
    assert_eq!(inner.count("q").await.unwrap(), (3, 0));

    // An operator finds it, and sends it again.
    let part = DeadLetterPart { db: Some(world.db.clone()), queue: String::new() };
    let ledger = Ledger::new(world.bus_db.clone(), world.ids.clone());
    let letters = DeadLetters::new(vec![part], notes(&[]), ledger, world.clock.clone());
    let ask = || {
        let mut request =
            tonic::Request::new(pb::ReplayDeadLettersRequest { all: true, ..Default::default() });
        request.extensions_mut().insert(world.caller());
        request
    };
    assert_eq!(letters.replay_dead_letters(ask()).await.unwrap().into_inner().ids.len(), 1);
    assert_eq!(letters.replay_dead_letters(ask()).await.unwrap().into_inner().ids.len(), 0);
    assert_eq!(well.step().await.unwrap(), 1);
    assert_eq!(inner.count("q").await.unwrap(), (4, 0));
}

/// A relay that hangs in the bus with the one fact there is, until the bus's gate opens.
async fn hanging(
    world: &World,
    lease: Duration,
    refuses: &'static [&'static str],
) -> (Arc<Notes>, tokio::task::JoinHandle<Result<usize, BusError>>) {
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    outbox::put(&mut tx, &world.envelope("busy", "city")).await.unwrap();
    tx.commit().await.unwrap();
    let inner = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    let gate = Some(Notify::new());
    let bus = Arc::new(Notes { inner, published: Mutex::default(), slow: Duration::ZERO, gate, refuses });
    let relay = Relay::new(SCHEMA, world.db.clone(), bus.clone(), world.clock.clone()).with_lease(lease);
    let publishing = tokio::spawn(async move { relay.step().await });
    while bus.published.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (bus, publishing)
}

fn other(world: &World) -> Relay {
    let inner = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    Relay::new(SCHEMA, world.db.clone(), Arc::new(inner), world.clock.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_lost_its_facts_marks_nothing() {
    let world = World::manual("fence").await;
    // The slow one is to say of the fact that it is to be tried again, when the other has published it.
    let (bus, publishing) = hanging(&world, Duration::from_secs(3_600), &["busy"]).await;
    world.manual.advance(TimeDelta::seconds(3_601));
    assert_eq!(other(&world).step().await.unwrap(), 1, "the lease has run out");
    bus.gate.as_ref().unwrap().notify_one();
    assert!(publishing.await.unwrap().is_err());
    let published = "SELECT count(*) FROM toy.outbox WHERE published_at IS NOT NULL";
    assert_eq!(world.number(published).await, 1, "what the other marked stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_works_keeps_its_facts() {
    let world = World::manual("relay_renews").await;
    // Renewed each 100 ms of the machine's clock; on the test's own clock it ends when the test says so.
    let (bus, publishing) = hanging(&world, Duration::from_millis(300), &[]).await;
    let until = async || {
        world.number("SELECT (extract(epoch FROM leased_until) * 1000)::bigint FROM toy.outbox").await
    };
    let first = until().await;
    for later in [200, 400] {
        world.manual.advance(TimeDelta::milliseconds(200));
        let renewed = async {
            while until().await < first + later {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), renewed).await.expect("it is not renewed");
    }
    // What another holds waits, and is behind all the same.
    assert_eq!(other(&world).step().await.unwrap(), 0, "the slow one has it still");
    let behind = gauges::behind(&world.db, world.clock.now()).await.unwrap();
    assert!(behind.outbox_lag > 0.39, "{behind:?}");
    bus.gate.as_ref().unwrap().notify_one();
    assert_eq!(publishing.await.unwrap().unwrap(), 1);
    let behind = gauges::behind(&world.db, world.clock.now()).await.unwrap();
    assert_eq!(behind, gauges::Behind::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handled_is_remembered_from_then_on() {
    let world = World::manual("remembered").await;
    let bus = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    let envelope = world.envelope("a", "city");
    let first = async || {
        let mut tx = world.db.tenant(&world.caller()).await.unwrap();
        let first = inbox::first_time(&mut tx, "h", &envelope, world.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        first
    };
    // An event of long ago, sent again today.
    world.manual.advance(TimeDelta::days(100));
    assert!(first().await);
    chores::retention(&world.db, &bus, world.clock.now()).await.unwrap();
    assert!(!first().await, "it was forgotten at once");
    world.manual.advance(TimeDelta::days(91));
    assert_eq!(chores::retention(&world.db, &bus, world.clock.now()).await.unwrap(), 1);
}
