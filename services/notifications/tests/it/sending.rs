//! Transaction C: one logical send, whatever dies in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::{MeetingId, UserId};
use notifications::Sender;
use notifications::channel::{Channel, ChannelError, Message};
use notifications::follow::Target;
use notifications::preferences::{self, Change};
use notifications::send::LEASE;
use tokio::sync::Notify;

use crate::support::World;

/// Keeps what it got; each send waits for its turn, and answers as told.
#[derive(Default)]
struct Scripted {
    got: Mutex<Vec<Message>>,
    hold: Option<Arc<Notify>>,
    fail: AtomicUsize,
    refuse: bool,
}

#[async_trait]
impl Channel for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn send(&self, message: &Message) -> Result<(), ChannelError> {
        self.got.lock().unwrap().push(message.clone());
        if let Some(hold) = &self.hold {
            hold.notified().await;
        }
        if self.refuse {
            return Err(ChannelError::Permanent("gone".into()));
        }
        let left = self.fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_or(Ok(()), |_| Err(ChannelError::Transient("busy".into())))
    }
}

/// One follower, one meeting, and the delivery that is to be sent.
async fn pending(world: &World) -> UserId {
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    world.announce(&world.published(world.ids.next::<MeetingId>(), |_| {})).await.unwrap();
    world.work().await;
    user
}

const STATE: &str = "SELECT state FROM deliveries";
const ATTEMPTS: &str = "SELECT attempt || ' ' || channel || ' ' || outcome || coalesce(' ' || error, '') FROM delivery_attempts ORDER BY attempt";

#[tokio::test]
async fn a_sender_that_dies_is_followed_by_one_that_sends_once() {
    let world = World::start("crash").await;
    pending(&world).await;
    let dies = Scripted { hold: Some(Arc::default()), ..Default::default() };
    let dying = Sender::new(&world.deps, Arc::new(dies));
    // Dropped between the claim and the last commit, as a killed process is.
    assert!(tokio::time::timeout(Duration::from_millis(500), dying.step()).await.is_err());
    assert_eq!(world.texts(STATE).await, ["sending"]);

    let sender = notifications::sender(&world.deps);
    assert_eq!(sender.step().await.unwrap(), 0, "the lease holds");
    world.clock.advance(LEASE);
    assert_eq!(sender.step().await.unwrap(), 1);
    assert_eq!(sender.step().await.unwrap(), 0);
    assert_eq!(world.texts(STATE).await, ["sent"]);
    assert_eq!(world.texts(ATTEMPTS).await, ["2 in_app sent"]);
}

#[tokio::test]
async fn who_lost_the_lease_writes_nothing() {
    let world = World::start("lost_lease").await;
    pending(&world).await;
    let release = Arc::new(Notify::new());
    let slow = Arc::new(Scripted { hold: Some(release.clone()), ..Default::default() });
    let slow_sender = Sender::new(&world.deps, slow.clone());
    let step = tokio::spawn(async move { slow_sender.step().await });
    while slow.got.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.clock.advance(LEASE);
    notifications::sender(&world.deps).step().await.unwrap();
    let sent = world.texts("SELECT sequence || ' ' || sent_at FROM deliveries").await;
    world.clock.advance(TimeDelta::seconds(1));
    release.notify_one();
    step.await.unwrap().unwrap();
    assert_eq!(world.texts("SELECT sequence || ' ' || sent_at FROM deliveries").await, sent);
    assert_eq!(world.texts(ATTEMPTS).await, ["2 in_app sent"]);
}

#[tokio::test]
async fn senders_at_once_share_the_work() {
    let world = World::start("many_senders").await;
    for _ in 0..40 {
        world.follow(world.ids.next(), &Target::City(world.places.city)).await;
    }
    for _ in 0..25 {
        world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    }
    world.work().await;
    let channel = Arc::new(Scripted::default());
    let sender = Sender::new(&world.deps, channel.clone());
    let lanes = (0..4).map(|_| async { while sender.step().await.unwrap() > 0 {} });
    futures::future::join_all(lanes).await;
    let mut keys: Vec<String> = channel.got.lock().unwrap().iter().map(|m| m.dedupe_key.clone()).collect();
    assert_eq!(keys.len(), 1_000);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1_000, "each key once");
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 1_000);
    assert_eq!(world.count("delivery_attempts").await, 1_000);
}

#[tokio::test]
async fn a_busy_channel_is_tried_again_and_a_gone_one_is_not() {
    let world = World::start("retries").await;
    pending(&world).await;
    let busy = Arc::new(Scripted { fail: AtomicUsize::new(2), ..Default::default() });
    let sender = Sender::new(&world.deps, busy.clone());
    for _ in 0..3 {
        assert_eq!(sender.step().await.unwrap(), 1);
        world.clock.advance(TimeDelta::minutes(2));
    }
    assert_eq!(world.texts(STATE).await, ["sent"]);
    assert_eq!(
        world.texts(ATTEMPTS).await,
        ["1 scripted failed busy", "2 scripted failed busy", "3 scripted sent"]
    );
    let messages = busy.got.lock().unwrap().clone();
    assert!(messages.iter().all(|m| *m == messages[0]), "the same message with the same key");
    assert_eq!(messages[0].body, "The council adopted the budget.");
    assert_eq!(messages[0].reason, "You follow New Orleans");

    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    let gone = Sender::new(&world.deps, Arc::new(Scripted { refuse: true, ..Default::default() }));
    assert_eq!((gone.step().await.unwrap(), gone.step().await.unwrap()), (1, 0));
    world.clock.advance(LEASE);
    assert_eq!(gone.step().await.unwrap(), 0);
    assert_eq!(world.count("deliveries WHERE state = 'failed' AND state_reason = 'gone'").await, 1);
}

#[tokio::test]
async fn a_channel_that_stays_busy_fails_in_the_end() {
    let world = World::start("gives_up").await;
    pending(&world).await;
    let busy = Scripted { fail: AtomicUsize::new(usize::MAX), ..Default::default() };
    let sender = Sender::new(&world.deps, Arc::new(busy));
    let mut steps = 0;
    while world.count("deliveries WHERE state = 'failed'").await == 0 {
        assert_eq!(sender.step().await.unwrap(), 1);
        world.clock.advance(TimeDelta::minutes(2));
        steps += 1;
    }
    assert_eq!(steps, 6);
    assert_eq!(world.count("delivery_attempts").await, 6);
}

#[tokio::test]
async fn a_pause_that_began_meanwhile_counts() {
    let world = World::start("late_pause").await;
    let user = pending(&world).await;
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    let off = Change { enabled: Some(false), ..Default::default() };
    preferences::update(&mut tx, &caller, &world.ids, &off).await.unwrap();
    tx.commit().await.unwrap();
    let channel = Arc::new(Scripted::default());
    Sender::new(&world.deps, channel.clone()).step().await.unwrap();
    assert_eq!(world.texts(STATE).await, ["suppressed"]);
    assert!(channel.got.lock().unwrap().is_empty());
    assert_eq!(world.count("delivery_attempts").await, 0);
}
