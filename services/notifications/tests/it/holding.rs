//! Quiet hours and digests: held, and sent once.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{MeetingId, UserId};
use notifications::channel::{Channel, ChannelError, Message};
use notifications::follow::Target;
use notifications::hand_over::{LEASE, SETTLE};
use notifications::preferences::Change;
use notifications::schedule::{Digest, QuietHours};
use std::sync::Mutex;

use crate::support::World;

/// Keeps what it got.
#[derive(Default)]
struct Post(Mutex<Vec<Message>>);

#[async_trait]
impl Channel for Post {
    fn name(&self) -> &'static str {
        "email"
    }

    async fn send(&self, message: &Message) -> Result<(), ChannelError> {
        self.0.lock().unwrap().push(message.clone());
        Ok(())
    }
}

async fn person(world: &World, change: Change) -> UserId {
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    let channels = Some(vec!["in_app".into(), "email".into()]);
    world.prefer(user, &Change { channels, ..change }).await;
    user
}

async fn publish(world: &World) -> MeetingId {
    let meeting = world.ids.next();
    world.announce(&world.published(meeting, |_| {})).await.unwrap();
    world.work().await;
    meeting
}

async fn steps(world: &World, post: &Arc<Post>) -> usize {
    let sender = world.sender(vec![post.clone()]);
    let mut done = 0;
    loop {
        match sender.step().await.unwrap() {
            0 => return done,
            some => done += some,
        }
    }
}

/// Moves the clock to a moment that lies ahead.
fn to(world: &World, moment: &str) {
    let moment: DateTime<Utc> = moment.parse().unwrap();
    world.clock.advance(moment - world.now());
}

fn night() -> Change {
    Change {
        time_zone: Some(chrono_tz::Tz::America__Chicago),
        quiet: Some(Some(QuietHours { from: 22 * 60, until: 7 * 60 })),
        ..Change::default()
    }
}

#[tokio::test]
async fn in_quiet_hours_nothing_is_told_and_afterwards_once() {
    let world = World::start("quiet").await;
    person(&world, night()).await;
    let awake = person(&world, Change::default()).await;
    to(&world, "2023-01-10T05:00:00Z");
    publish(&world).await;
    let post = Arc::new(Post::default());
    assert_eq!(steps(&world, &post).await, 2, "who has no quiet hours is told, in the inbox and by e-mail");
    assert_eq!(post.0.lock().unwrap().iter().map(|m| m.user).collect::<Vec<_>>(), [awake]);
    assert_eq!(
        world.texts("SELECT due_at::text FROM deliveries WHERE state = 'pending'").await,
        ["2023-01-10 13:00:00+00"]
    );
    to(&world, "2023-01-10T12:59:59Z");
    assert_eq!(steps(&world, &post).await, 0);
    to(&world, "2023-01-10T13:00:00Z");
    assert_eq!(steps(&world, &post).await, 2);
    assert_eq!(steps(&world, &post).await, 0);
    assert_eq!(post.0.lock().unwrap().len(), 2);
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 2);
}

/// A person with quiet hours, and two meetings at the last moment before those: one is in the inbox, with its mail to be
/// sent; the other is claimed when they have begun.
async fn late(world: &World) -> (UserId, Arc<Post>) {
    let user = person(world, night()).await;
    to(world, "2023-01-10T03:59:00Z");
    publish(world).await;
    let post = Arc::new(Post::default());
    world.sender(vec![]).step().await.unwrap();
    publish(world).await;
    to(world, "2023-01-10T04:01:00Z");
    steps(world, &post).await;
    (user, post)
}

#[tokio::test]
async fn a_sender_that_is_late_keeps_quiet_hours_too() {
    let world = World::start("late_quiet").await;
    let (_, post) = late(&world).await;
    assert_eq!(post.0.lock().unwrap().len(), 0);
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 1);
    to(&world, "2023-01-10T13:00:00Z");
    steps(&world, &post).await;
    assert_eq!(post.0.lock().unwrap().len(), 2);
    assert_eq!(world.count("message_attempts").await, 2, "waiting is no try");
    assert_eq!(world.count("messages WHERE attempt - tries_from = 1").await, 2, "and uses none");
}

#[tokio::test]
async fn who_changes_their_mind_waits_for_the_new_time() {
    let world = World::start("new_time").await;
    let user = person(&world, night()).await;
    to(&world, "2023-01-10T05:00:00Z");
    publish(&world).await;
    world.prefer(user, &Change { quiet: Some(None), ..Change::default() }).await;
    let post = Arc::new(Post::default());
    assert_eq!(steps(&world, &post).await, 2);
}

#[tokio::test]
async fn what_quiet_hours_held_at_the_last_moment_follows_a_new_time_too() {
    let world = World::start("new_time_late").await;
    let (user, post) = late(&world).await;
    // That it failed once does not tie it to the old time.
    let failed = "UPDATE notifications.deliveries SET failures = 1 WHERE state = 'sending'";
    sqlx::raw_sql(failed).execute(&mut world.owner().await).await.unwrap();
    let held = "SELECT state || ' ' || due_at::text FROM deliveries WHERE state <> 'sent'
                UNION ALL SELECT state || ' ' || due_at::text FROM messages";
    assert_eq!(world.texts(held).await, ["sending 2023-01-10 13:00:00+00"; 2]);
    // Until nine instead of seven: nothing is told within the new quiet hours.
    let longer = QuietHours { from: 22 * 60, until: 9 * 60 };
    world.prefer(user, &Change { quiet: Some(Some(longer)), ..Change::default() }).await;
    assert_eq!(world.texts(held).await, ["sending 2023-01-10 15:00:00+00"; 2]);
    to(&world, "2023-01-10T13:00:00Z");
    assert_eq!(steps(&world, &post).await, 0);
    // No quiet hours at all: at once.
    world.prefer(user, &Change { quiet: Some(None), ..Change::default() }).await;
    assert_eq!(steps(&world, &post).await, 3, "a mail, and a place in the inbox with its mail");
    assert_eq!(post.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_a_sender_has_in_hand_is_not_given_a_new_time() {
    let world = World::start("new_time_in_hand").await;
    let user = person(&world, night()).await;
    publish(&world).await;
    let mut owner = world.owner().await;
    let claimed = format!(
        "UPDATE notifications.deliveries SET state = 'sending', attempt = 1, due_at = '{}'",
        (world.now() + LEASE + TimeDelta::minutes(1)).to_rfc3339()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(claimed)).execute(&mut owner).await.unwrap();
    world.prefer(user, &Change { quiet: Some(None), ..Change::default() }).await;
    assert_eq!(
        steps(&world, &Arc::new(Post::default())).await,
        0,
        "taken while the person chose, the lease holds"
    );
}

#[tokio::test]
async fn the_night_whose_hour_comes_twice_has_one_digest() {
    let world = World::start("autumn").await;
    let daily = Change {
        time_zone: Some(chrono_tz::Tz::America__Chicago),
        digest: Some(Digest::Daily),
        digest_hour: Some(1),
        ..Change::default()
    };
    person(&world, daily).await;
    to(&world, "2023-11-05T05:30:00Z");
    let first = publish(&world).await;
    let post = Arc::new(Post::default());
    // One in the morning, in summer time.
    to(&world, "2023-11-05T06:00:00Z");
    steps(&world, &post).await;
    world.clock.advance(SETTLE);
    steps(&world, &post).await;
    let told = |post: &Post| -> Vec<MeetingId> {
        post.0.lock().unwrap().iter().flat_map(|m| &m.items).map(|item| item.meeting_id.into()).collect()
    };
    assert_eq!(told(&post), [first]);
    to(&world, "2023-11-05T06:30:00Z");
    let second = publish(&world).await;
    // One in the morning again.
    to(&world, "2023-11-05T07:00:00Z");
    assert_eq!(steps(&world, &post).await, 0);
    to(&world, "2023-11-06T07:00:00Z");
    steps(&world, &post).await;
    world.clock.advance(SETTLE);
    steps(&world, &post).await;
    assert_eq!(told(&post), [first, second]);
}

#[tokio::test]
async fn a_digest_of_very_many_spells_out_the_newest_and_counts_the_rest() {
    let world = World::start("long_digest").await;
    person(&world, Change { digest: Some(Digest::Daily), digest_hour: Some(8), ..Change::default() }).await;
    to(&world, "2023-01-10T12:00:00Z");
    for _ in 0..3 {
        publish(&world).await;
    }
    world.clock.advance(TimeDelta::seconds(1));
    let mut newest = BTreeSet::new();
    for _ in 0..100 {
        let meeting: MeetingId = world.ids.next();
        world.announce(&world.published(meeting, |_| {})).await.unwrap();
        newest.insert(meeting);
    }
    world.work().await;
    to(&world, "2023-01-11T08:00:00Z");
    let post = Arc::new(Post::default());
    assert_eq!(steps(&world, &post).await, 103);
    world.clock.advance(SETTLE);
    steps(&world, &post).await;
    let sent = std::mem::take(&mut *post.0.lock().unwrap());
    assert_eq!((sent.len(), sent[0].items.len(), sent[0].more), (1, 100, 3));
    let told: BTreeSet<MeetingId> = sent[0].items.iter().map(|item| item.meeting_id.into()).collect();
    assert!(told == newest);
}

#[tokio::test]
async fn a_digest_is_one_message_of_many_meetings_and_each_is_told_once() {
    let world = World::start("digest").await;
    let daily = Change {
        time_zone: Some(chrono_tz::Tz::Europe__Berlin),
        digest: Some(Digest::Daily),
        digest_hour: Some(8),
        ..Change::default()
    };
    let (one, other) = (person(&world, daily.clone()).await, person(&world, daily).await);
    to(&world, "2023-01-10T12:00:00Z");
    let mut meetings = Vec::new();
    for _ in 0..3 {
        meetings.push(publish(&world).await);
        world.clock.advance(TimeDelta::hours(1));
    }
    let post = Arc::new(Post::default());
    assert_eq!(steps(&world, &post).await, 0);
    to(&world, "2023-01-11T07:00:00Z");
    // One of three is handed over late, within the time that a digest stays open.
    let mut owner = world.owner().await;
    let hold = "UPDATE notifications.deliveries SET due_at = due_at + interval '5 s' WHERE id = (SELECT max(id::text)::uuid FROM notifications.deliveries)";
    sqlx::raw_sql(hold).execute(&mut owner).await.unwrap();
    assert_eq!(steps(&world, &post).await, 5, "into the inboxes; the mail waits a moment for stragglers");
    world.clock.advance(TimeDelta::seconds(5));
    assert_eq!(steps(&world, &post).await, 1);
    world.clock.advance(SETTLE);
    assert_eq!(steps(&world, &post).await, 2);
    let sent = std::mem::take(&mut *post.0.lock().unwrap());
    assert_eq!(sent.len(), 2, "one a person");
    for message in &sent {
        assert!([one, other].contains(&message.user) && message.digest_at.is_some());
        let told: Vec<MeetingId> = message.items.iter().map(|item| item.meeting_id.into()).collect();
        assert_eq!(told, meetings);
    }
    assert_ne!(sent[0].dedupe_key, sent[1].dedupe_key);
    assert_eq!(world.count("message_deliveries").await, 6);
    // The next day's has what came since, and nothing of before.
    let next = publish(&world).await;
    to(&world, "2023-01-12T07:00:00Z");
    steps(&world, &post).await;
    world.clock.advance(SETTLE);
    steps(&world, &post).await;
    let sent = std::mem::take(&mut *post.0.lock().unwrap());
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|m| m.items.len() == 1 && m.items[0].meeting_id == next.uuid()));
}

#[tokio::test]
async fn what_is_due_after_its_digest_was_sent_goes_in_one_of_its_own() {
    let world = World::start("late_digest").await;
    let weekly = Change { digest: Some(Digest::Weekly), digest_hour: Some(8), ..Change::default() };
    person(&world, weekly).await;
    to(&world, "2023-01-10T12:00:00Z");
    publish(&world).await;
    let late = publish(&world).await;
    to(&world, "2023-01-16T08:00:00Z");
    let mut owner = world.owner().await;
    let hold = format!(
        "UPDATE notifications.deliveries d SET due_at = due_at + interval '1 hour' FROM notifications.notices n
         WHERE n.id = d.notice_id AND n.meeting_id = '{}'",
        late.uuid()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut owner).await.unwrap();
    let post = Arc::new(Post::default());
    steps(&world, &post).await;
    world.clock.advance(SETTLE);
    steps(&world, &post).await;
    world.clock.advance(TimeDelta::hours(1));
    steps(&world, &post).await;
    world.clock.advance(SETTLE);
    steps(&world, &post).await;
    let sent = std::mem::take(&mut *post.0.lock().unwrap());
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].items[0].meeting_id, late.uuid());
    assert_ne!(sent[0].dedupe_key, sent[1].dedupe_key);
    // The database itself lets nothing into what was sent.
    let join = "INSERT INTO message_deliveries (tenant_id, message_id, delivery_id, lane)
                SELECT m.tenant_id, m.id, d.id, 'email 2' FROM messages m, deliveries d LIMIT 1";
    let mut tx = world.tx(&world.service()).await;
    let refused = sqlx::query(join).execute(cs_db::Tx::conn(&mut tx)).await.unwrap_err();
    assert!(refused.to_string().contains("on its way"), "{refused}");
}

#[tokio::test]
async fn a_digest_waits_for_what_somebody_is_still_handing_over() {
    let world = World::start("slow_digest").await;
    person(&world, Change { digest: Some(Digest::Daily), digest_hour: Some(8), ..Change::default() }).await;
    to(&world, "2023-01-10T12:00:00Z");
    let meetings = [publish(&world).await, publish(&world).await];
    to(&world, "2023-01-11T08:00:00Z");
    // One is in the hands of a worker that is slow, or has died.
    let mut owner = world.owner().await;
    let held = format!(
        "UPDATE notifications.deliveries SET state = 'sending', attempt = 1, due_at = '{}'
         WHERE id = (SELECT max(id::text)::uuid FROM notifications.deliveries)",
        (world.now() + LEASE).to_rfc3339()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(held)).execute(&mut owner).await.unwrap();
    let post = Arc::new(Post::default());
    assert_eq!(steps(&world, &post).await, 1, "into the inbox");
    world.clock.advance(SETTLE * 2);
    assert_eq!(steps(&world, &post).await, 0, "the mail waits");
    world.clock.advance(LEASE - SETTLE * 2);
    assert_eq!(steps(&world, &post).await, 2);
    let sent = std::mem::take(&mut *post.0.lock().unwrap());
    assert_eq!(sent.len(), 1);
    let told: Vec<MeetingId> = sent[0].items.iter().map(|item| item.meeting_id.into()).collect();
    assert_eq!(told.len(), 2);
    assert!(meetings.iter().all(|meeting| told.contains(meeting)));
}

#[tokio::test]
async fn nothing_is_made_for_a_channel_that_this_instance_does_not_send_by() {
    let mut world = World::start("no_mail").await;
    person(&world, Change::default()).await;
    let only = person(&world, Change::default()).await;
    let mail = Change { channels: Some(vec!["email".into()]), ..Change::default() };
    world.prefer(only, &mail).await;
    world.deps.available.retain(|channel| *channel != "email");
    publish(&world).await;
    world.send(&world.sender(vec![])).await;
    assert_eq!(world.count("messages").await, 0);
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 1);
    assert_eq!(
        world.texts("SELECT state_reason FROM deliveries WHERE state = 'suppressed'").await,
        ["this instance does not send by the channels that are switched on"]
    );
}

#[tokio::test]
async fn who_wants_nothing_in_the_application_finds_nothing_there() {
    let world = World::start("mail_only").await;
    let user = person(&world, Change::default()).await;
    let only = |name: &str| Change { channels: Some(vec![name.into()]), ..Change::default() };
    world.prefer(user, &only("email")).await;
    publish(&world).await;
    let post = Arc::new(Post::default());
    steps(&world, &post).await;
    assert_eq!(post.0.lock().unwrap().len(), 1);
    let caller = world.person(user);
    let page = cs_core::page::Page::parse(0, "", 0, "").unwrap();
    let list = notifications::inbox::list(&mut world.tx(&caller).await, &caller, &page, false).await.unwrap();
    assert_eq!((list.0.rows.len(), list.1), (0, 0));
    // No browser is registered, so that there is nowhere to send it.
    world.prefer(user, &only("push")).await;
    publish(&world).await;
    steps(&world, &post).await;
    assert_eq!(
        world.texts("SELECT state_reason FROM deliveries WHERE state = 'suppressed'").await,
        ["no channel is switched on"]
    );
}
