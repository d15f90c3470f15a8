//! Transaction C: one logical send, whatever dies in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::{MeetingId, UserId};
use cs_events::PostgresBus;
use notifications::Sender;
use notifications::channel::{Channel, ChannelError, Message};
use notifications::follow::Target;
use notifications::preferences::Change;
use notifications::send::{LEASE, POLICY};
use tokio::sync::{Notify, Semaphore};

use crate::desk::Desk;
use crate::support::{World, until};

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
        "email"
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

/// Takes as many as it is let.
struct Gate {
    open: Semaphore,
    got: AtomicUsize,
    says: Result<(), ChannelError>,
}

impl Gate {
    fn open(count: usize) -> Arc<Self> {
        Arc::new(Self { open: Semaphore::new(count), got: AtomicUsize::new(0), says: Ok(()) })
    }
}

#[async_trait]
impl Channel for Gate {
    fn name(&self) -> &'static str {
        "email"
    }

    async fn send(&self, _: &Message) -> Result<(), ChannelError> {
        self.got.fetch_add(1, Ordering::SeqCst);
        self.open.acquire().await.unwrap().forget();
        self.says.clone()
    }
}

/// That many followers by e-mail, and their messages, not sent yet.
async fn waiting(world: &World, count: usize) {
    for _ in 0..count {
        let user = world.ids.next();
        world.follow(user, &Target::City(world.places.city)).await;
        let channels = Some(vec!["in_app".into(), "email".into()]);
        world.prefer(user, &Change { channels, ..Change::default() }).await;
    }
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    while world.sender(vec![]).step().await.unwrap() > 0 {}
}

/// One follower by e-mail alone, one meeting, and the delivery that is to be told.
async fn pending(world: &World) -> UserId {
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    world
        .prefer(user, &Change { channels: Some(vec!["in_app".into(), "email".into()]), ..Change::default() })
        .await;
    world.announce(&world.published(world.ids.next::<MeetingId>(), |_| {})).await.unwrap();
    world.work().await;
    user
}

const STATE: &str = "SELECT state FROM messages";
const ATTEMPTS: &str =
    "SELECT attempt || ' ' || outcome || coalesce(' ' || error, '') FROM message_attempts ORDER BY attempt";

fn by(world: &World, channel: Arc<Scripted>) -> Sender {
    world.sender(vec![channel])
}

#[tokio::test]
async fn a_worker_that_dies_before_the_inbox_is_followed_by_one_that_tells_once() {
    let world = World::start("crash_inbox").await;
    pending(&world).await;
    // What a killed worker leaves: claimed, and not handed over.
    let mut owner = world.owner().await;
    let until = world.now() + LEASE;
    sqlx::query("UPDATE notifications.deliveries SET state = 'sending', attempt = 1, due_at = $1")
        .bind(until)
        .execute(&mut owner)
        .await
        .unwrap();
    let sender = world.sender(vec![]);
    assert_eq!(sender.step().await.unwrap(), 0, "the lease holds");
    world.clock.advance(LEASE);
    assert_eq!(sender.step().await.unwrap(), 1);
    assert_eq!(sender.step().await.unwrap(), 0);
    assert_eq!(world.texts("SELECT state || ' ' || attempt FROM deliveries").await, ["sent 2"]);
    assert_eq!(world.texts("SELECT channel || ' ' || outcome FROM delivery_attempts").await, ["in_app sent"]);
    assert_eq!(world.count("messages").await, 1);
}

#[tokio::test]
async fn a_sender_that_dies_after_the_channel_took_it_is_followed_by_one_with_the_same_key() {
    let world = World::start("crash").await;
    pending(&world).await;
    let dies = Arc::new(Scripted { hold: Some(Arc::default()), ..Default::default() });
    // Dropped between the channel's acceptance and the commit, as a killed process is.
    let dying = by(&world, dies.clone());
    let step = tokio::spawn(async move { dying.step().await });
    until("the channel has it", async || !dies.got.lock().unwrap().is_empty()).await;
    step.abort();
    assert!(step.await.unwrap_err().is_cancelled());
    assert_eq!(dies.got.lock().unwrap().len(), 1);
    assert_eq!(world.texts(STATE).await, ["sending"]);

    let second = Arc::new(Scripted::default());
    let sender = by(&world, second.clone());
    assert_eq!(sender.step().await.unwrap(), 0, "the lease holds");
    world.clock.advance(LEASE);
    assert_eq!(sender.step().await.unwrap(), 1);
    assert_eq!(sender.step().await.unwrap(), 0);
    assert_eq!(world.texts(STATE).await, ["sent"]);
    assert_eq!(world.texts(ATTEMPTS).await, ["2 sent"]);
    let (first, again) = (dies.got.lock().unwrap()[0].clone(), second.got.lock().unwrap()[0].clone());
    assert_eq!(first.dedupe_key, again.dedupe_key);
    assert_eq!((first.items, first.created_at, first.stop), (again.items, again.created_at, again.stop));
}

#[tokio::test]
async fn who_lost_the_lease_writes_nothing() {
    let world = World::start("lost_lease").await;
    pending(&world).await;
    let release = Arc::new(Notify::new());
    let slow = Arc::new(Scripted { hold: Some(release.clone()), ..Default::default() });
    let slow_sender = by(&world, slow.clone());
    let step = tokio::spawn(async move { slow_sender.step().await });
    while slow.got.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.clock.advance(LEASE);
    by(&world, Arc::default()).step().await.unwrap();
    let sent = world.texts("SELECT sent_at::text FROM messages").await;
    world.clock.advance(TimeDelta::seconds(1));
    release.notify_one();
    step.await.unwrap().unwrap();
    assert_eq!(world.texts("SELECT sent_at::text FROM messages").await, sent);
    assert_eq!(world.texts(ATTEMPTS).await, ["2 sent"]);
}

#[tokio::test]
async fn what_became_of_a_message_is_written_while_others_are_under_way() {
    let world = World::start("as_it_ends").await;
    waiting(&world, 2).await;
    let gate = Gate::open(1);
    let sender = world.sender(vec![gate.clone()]);
    let step = tokio::spawn(async move { sender.step().await });
    until("one is sent", async || world.count("messages WHERE state = 'sent'").await == 1).await;
    assert_eq!((gate.got.load(Ordering::SeqCst), world.count("message_attempts").await), (2, 1));
    gate.open.add_permits(1);
    assert_eq!(step.await.unwrap().unwrap(), 2);
    assert_eq!(world.count("messages WHERE state = 'sent' AND attempt = 1").await, 2);
}

#[tokio::test]
async fn what_was_taken_is_written_when_the_database_is_back() {
    let world = World::start("commit_again").await;
    waiting(&world, 1).await;
    let mut owner = world.owner().await;
    // What a sequence counts is not rolled back.
    sqlx::raw_sql(
        "CREATE SEQUENCE notifications.tries;
         CREATE FUNCTION notifications.away() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN PERFORM nextval('notifications.tries'); RAISE EXCEPTION 'shutting down' USING ERRCODE = '57P01'; END $$;
         CREATE TRIGGER away BEFORE INSERT ON notifications.message_attempts FOR EACH ROW EXECUTE FUNCTION notifications.away()",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let gate = Gate::open(9);
    let sender = world.sender(vec![gate.clone()]);
    let step = tokio::spawn(async move { sender.step().await });
    let mut looking = world.owner().await;
    until("it was tried to be written twice", async || {
        let tried = "SELECT last_value FROM notifications.tries";
        sqlx::query_scalar::<_, i64>(tried).fetch_one(&mut looking).await.unwrap() >= 2
    })
    .await;
    assert_eq!(gate.got.load(Ordering::SeqCst), 1);
    sqlx::raw_sql("DROP TRIGGER away ON notifications.message_attempts").execute(&mut owner).await.unwrap();
    assert_eq!(step.await.unwrap().unwrap(), 1);
    assert_eq!(world.texts(ATTEMPTS).await, ["1 sent"]);
}

#[tokio::test]
async fn who_sends_for_long_keeps_the_lease() {
    let world = World::start("renewed").await;
    waiting(&world, 1).await;
    let gate = Gate::open(0);
    let sender = world.sender(vec![gate.clone()]).renewing_every(Duration::from_millis(20));
    let step = tokio::spawn(async move { sender.step().await });
    until("it is under way", async || gate.got.load(Ordering::SeqCst) == 1).await;
    for _ in 0..3 {
        world.clock.advance(LEASE - TimeDelta::seconds(10));
        let renewed = format!("messages WHERE due_at = '{}'", (world.now() + LEASE).to_rfc3339());
        until("it is renewed", async || world.count(&renewed).await == 1).await;
        assert_eq!(by(&world, Arc::default()).step().await.unwrap(), 0, "nobody else takes it");
    }
    gate.open.add_permits(1);
    step.await.unwrap().unwrap();
    assert_eq!(world.texts(ATTEMPTS).await, ["1 sent"]);
}

#[tokio::test]
async fn who_stops_begins_nothing_more_and_hands_back_the_rest() {
    let world = World::start("stopping").await;
    waiting(&world, 40).await;
    let gate = Gate::open(0);
    let tasks = cs_rpc::Tasks::default();
    world.sender(vec![gate.clone()]).run(&tasks, &world.deps.wakeups);
    until("some are under way", async || gate.got.load(Ordering::SeqCst) >= 16).await;
    let drained = tokio::spawn(async move { tasks.drain(Duration::from_secs(20)).await });
    let back = format!("messages WHERE state = 'sending' AND due_at <= '{}'", world.now().to_rfc3339());
    let begun = gate.got.load(Ordering::SeqCst);
    until("the rest is handed back", async || world.count(&back).await == 40 - begun as i64).await;
    gate.open.add_permits(40);
    assert!(drained.await.unwrap());
    assert_eq!(gate.got.load(Ordering::SeqCst), begun);
    assert_eq!(world.count("messages WHERE state = 'sent'").await, begun as i64);
}

#[tokio::test]
async fn whatever_a_server_says_is_written() {
    let world = World::start("odd_words").await;
    waiting(&world, 1).await;
    let says = Err(ChannelError::Permanent("no\0such mailbox".into()));
    let gate = Gate { open: Semaphore::new(1), got: AtomicUsize::new(0), says };
    world.sender(vec![Arc::new(gate)]).step().await.unwrap();
    assert_eq!(world.texts(ATTEMPTS).await, ["1 failed nosuch mailbox"]);
}

#[tokio::test]
async fn senders_at_once_share_the_work() {
    let world = World::start("many_senders").await;
    for _ in 0..40 {
        let user = world.ids.next();
        world.follow(user, &Target::City(world.places.city)).await;
        world
            .prefer(
                user,
                &Change { channels: Some(vec!["in_app".into(), "email".into()]), ..Change::default() },
            )
            .await;
    }
    for _ in 0..25 {
        world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    }
    world.work().await;
    let channel = Arc::new(Scripted::default());
    let sender = by(&world, channel.clone());
    let lanes = (0..4).map(|_| async { while sender.step().await.unwrap() > 0 {} });
    futures::future::join_all(lanes).await;
    while sender.step().await.unwrap() > 0 {}
    let mut keys: Vec<String> = channel.got.lock().unwrap().iter().map(|m| m.dedupe_key.clone()).collect();
    assert_eq!(keys.len(), 1_000);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 1_000, "each key once");
    for table in [
        "deliveries WHERE state = 'sent'",
        "delivery_attempts",
        "messages WHERE state = 'sent'",
        "message_attempts",
    ] {
        assert_eq!(world.count(table).await, 1_000, "{table}");
    }
}

#[tokio::test]
async fn a_busy_channel_is_tried_again_and_a_refusing_one_is_not() {
    let world = World::start("retries").await;
    pending(&world).await;
    let busy = Arc::new(Scripted { fail: AtomicUsize::new(2), ..Default::default() });
    let sender = by(&world, busy.clone());
    for tried in [2, 1, 1] {
        assert_eq!(sender.step().await.unwrap(), tried);
        world.clock.advance(TimeDelta::minutes(31));
    }
    assert_eq!(world.texts(STATE).await, ["sent"]);
    assert_eq!(world.texts(ATTEMPTS).await, ["1 failed busy", "2 failed busy", "3 sent"]);
    let messages = busy.got.lock().unwrap().clone();
    assert!(messages.iter().all(|m| m.dedupe_key == messages[0].dedupe_key && m.items == messages[0].items));
    assert_eq!(messages[0].items[0].body, "The council adopted the budget.");
    assert_eq!(messages[0].items[0].reason, "You follow New Orleans");

    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    let refusing = by(&world, Arc::new(Scripted { refuse: true, ..Default::default() }));
    assert_eq!((refusing.step().await.unwrap(), refusing.step().await.unwrap()), (2, 0));
    world.clock.advance(LEASE);
    assert_eq!(refusing.step().await.unwrap(), 0);
    assert_eq!(world.count("messages WHERE state = 'failed' AND state_reason = 'gone'").await, 1);
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 2, "the inbox has it all the same");
}

#[tokio::test]
async fn a_channel_that_stays_busy_fails_in_the_end() {
    let world = World::start("gives_up").await;
    pending(&world).await;
    let busy = Scripted { fail: AtomicUsize::new(usize::MAX), ..Default::default() };
    let sender = by(&world, Arc::new(busy));
    let mut steps = 0;
    while world.count("messages WHERE state = 'failed'").await == 0 {
        assert!(sender.step().await.unwrap() > 0);
        world.clock.advance(TimeDelta::minutes(31));
        steps += 1;
    }
    assert_eq!(steps, POLICY.attempts);
    assert_eq!(world.count("message_attempts").await, i64::from(POLICY.attempts));
}

#[tokio::test]
async fn a_failed_message_is_a_dead_letter_that_is_sent_again_or_discarded() {
    let world = World::start("dead_messages").await;
    waiting(&world, 2).await;
    by(&world, Arc::new(Scripted { refuse: true, ..Default::default() })).step().await.unwrap();
    let desk = Desk::of(&world).await;
    assert!(
        desk.list(&world.neighbour(), "message.email").await.is_empty(),
        "another tenant's are not shown"
    );
    let letters = desk.list(&world, "message.email").await;
    assert_eq!(letters.len(), 2);
    assert_eq!((letters[0].error.as_str(), letters[0].place.as_str()), ("gone", "notifications"));
    desk.discard(&world, &letters[0], "moved").await;
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(desk.replay(&world).await, [letters[1].id.as_str()]);
    let channel = Arc::new(Scripted { fail: AtomicUsize::new(1), ..Default::default() });
    for _ in 0..2 {
        assert_eq!(by(&world, channel.clone()).step().await.unwrap(), 1);
        world.clock.advance(TimeDelta::minutes(31));
    }
    assert_eq!(
        world
            .texts(
                "SELECT state || ' ' || attempt || coalesce(' ' || state_reason, '') FROM messages ORDER BY 1"
            )
            .await,
        ["sent 3", "suppressed 1 discarded: moved"]
    );
    assert!(desk.list(&world, "message.email").await.is_empty());
}

#[tokio::test]
async fn messages_that_ended_long_ago_are_forgotten_and_inboxes_stay() {
    let world = World::start("forgotten").await;
    waiting(&world, 2).await;
    by(&world, Arc::default()).step().await.unwrap();
    world.clock.advance(TimeDelta::days(89));
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    while by(&world, Arc::default()).step().await.unwrap() > 0 {}
    assert_eq!((world.count("messages").await, world.count("message_attempts").await), (4, 4));
    world.clock.advance(TimeDelta::days(2));
    let bus = PostgresBus::new(world.bus().await, world.clock.clone());
    cs_events::chores::retention(&world.deps.db, &bus, world.now()).await.unwrap();
    for table in ["messages", "message_attempts", "message_deliveries"] {
        assert_eq!(world.count(table).await, 2, "{table}");
    }
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 4);
    // What is forgotten is not made and sent again.
    world.repeat_jobs().await;
    world.work().await;
    assert_eq!(by(&world, Arc::default()).step().await.unwrap(), 0);
}

#[tokio::test]
async fn what_the_person_chose_meanwhile_counts() {
    let world = World::start("late_pause").await;
    let user = pending(&world).await;
    let channel = Arc::new(Scripted::default());
    // In the inbox, and not yet sent outside.
    world.sender(vec![]).step().await.unwrap();
    world.prefer(user, &Change { channels: Some(vec!["in_app".into()]), ..Change::default() }).await;
    by(&world, channel.clone()).step().await.unwrap();
    assert_eq!(
        world.texts("SELECT state || ': ' || state_reason FROM messages").await,
        ["suppressed: the channel is switched off"]
    );
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    world.prefer(user, &Change { enabled: Some(false), ..Change::default() }).await;
    by(&world, channel.clone()).step().await.unwrap();
    assert_eq!(world.count("deliveries WHERE state = 'suppressed'").await, 1);
    assert!(channel.got.lock().unwrap().is_empty());
    assert_eq!(world.count("message_attempts").await, 0);
}

#[tokio::test]
async fn a_message_goes_forward_only_and_begins_pending() {
    let world = World::start("message_states").await;
    pending(&world).await;
    world.sender(vec![]).step().await.unwrap();
    let mut owner = world.owner().await;
    let states = ["pending", "sending", "sent", "failed", "suppressed"];
    let allowed = [
        ("pending", "sending"),
        ("pending", "suppressed"),
        ("sending", "sent"),
        ("sending", "failed"),
        ("sending", "suppressed"),
        ("failed", "sending"),
        ("failed", "suppressed"),
    ];
    for from in states {
        for to in states {
            let set = |state: &str| {
                format!(
                    "UPDATE messages SET state = '{state}', state_reason = 'x', sent_at = CASE '{state}' WHEN 'sent' THEN coalesce(sent_at, now()) END"
                )
            };
            let brought = format!(
                "BEGIN; SET LOCAL search_path = notifications; ALTER TABLE messages DISABLE TRIGGER message_goes_forward; {};
                 ALTER TABLE messages ENABLE TRIGGER message_goes_forward; COMMIT; SET search_path = notifications",
                set(from)
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(brought)).execute(&mut owner).await.unwrap();
            let changed = sqlx::query(sqlx::AssertSqlSafe(set(to))).execute(&mut owner).await;
            assert_eq!(
                changed.is_ok(),
                from == to || allowed.contains(&(from, to)),
                "{from} to {to}: {changed:?}"
            );
        }
    }
    let born = "INSERT INTO messages (id, tenant_id, user_id, channel, dedupe_key, lane, state, state_reason, due_at, traceparent, created_at)
                SELECT gen_random_uuid(), tenant_id, user_id, channel, repeat('0', 64), lane, 'failed', 'x', now(), '', now() FROM messages";
    assert!(sqlx::query(born).execute(&mut owner).await.is_err());
    let twice = "INSERT INTO messages (id, tenant_id, user_id, channel, dedupe_key, lane, state, due_at, traceparent, created_at)
                 SELECT gen_random_uuid(), tenant_id, user_id, channel, dedupe_key, lane, 'pending', now(), '', now() FROM messages";
    assert!(sqlx::query(twice).execute(&mut owner).await.unwrap_err().to_string().contains("messages_once"));
}
