//! A worker that dies between any two steps leaves what another ends when the leases do: everybody is told once. A receiver
//! gets a message twice only where the death came between its "taken" and our commit, and then with the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::MeetingId;
use cs_core::page::decode_cursor;
use cs_events::dying::dying;
use cs_events::{Bus, PostgresBus};
use cs_proto::events::v1::MeetingWithdrawn;
use cs_proto::notifications::v1 as pb;
use cs_proto::notifications::v1::notifications_server::Notifications;
use futures::StreamExt;
use notifications::channel::{Channel, ChannelError, Email, Message, Push, Webhooks};
use notifications::fan_out::BATCH;
use notifications::hand_over::{LEASE, SETTLE};
use notifications::preferences::Change;
use notifications::saved_search::{self, Wanted};
use notifications::schedule::Digest;
use notifications::{NotificationsService, addresses, retract};
use serde_json::Value;

use crate::channels::{browser, follower};
use crate::fan_out::crowd;
use crate::receivers::Receivers;
use crate::setbacks::{due, refuse, relent};
use crate::support::{World, until};

/// Where a worker dies, and what it sends by. A digest goes by e-mail, at its time.
const DEATHS: &[(&str, &str)] = &[
    ("announce.asked", "all"),
    ("announce.written", "all"),
    ("announce.committed", "all"),
    ("matching.read", "all"),
    ("matching.asked", "all"),
    ("matching.kept", "all"),
    ("matching.committed", "all"),
    ("fan_out.made", "all"),
    ("fan_out.committed", "all"),
    ("hand_over.claimed", "all"),
    ("hand_over.read", "all"),
    ("hand_over.asked", "all"),
    ("hand_over.written", "all"),
    ("hand_over.written", "digest"),
    ("hand_over.committed", "all"),
    ("hand_over.committed", "digest"),
    ("send.claimed", "email"),
    ("send.read", "email"),
    ("send.begun", "push"),
    ("send.renewed", "webhook"),
    ("send.taken", "email"),
    ("send.taken", "push"),
    ("send.taken", "webhook"),
    ("send.taken", "digest"),
    ("send.writing", "email"),
    ("send.writing", "digest"),
    ("send.written", "push"),
];
/// The receiver has it, and nobody here knows.
const TAKEN: &[&str] = &["send.taken", "send.writing"];

/// Never answers.
struct Hangs(&'static str);

#[async_trait]
impl Channel for Hangs {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn send(&self, _: &Message) -> Result<(), ChannelError> {
        pending().await
    }
}

/// Does what is due until nothing is, as a process of its own.
async fn work(world: &World, bus: &Arc<dyn Bus>, channels: Vec<Arc<dyn Channel>>) {
    let consumer = notifications::consumer(&world.deps, bus.clone());
    let [jobs, matches] = [notifications::job_worker, notifications::match_worker]
        .map(|worker| worker(&world.deps, world.clock.clone()));
    let sender = world.sender(channels).renewing_every(Duration::from_millis(1));
    while consumer.step().await.unwrap() > 0 {}
    while matches.step().await.unwrap() + jobs.step().await.unwrap() > 0 {}
    while sender.step().await.unwrap() > 0 {}
}

async fn bus(world: &World) -> Arc<dyn Bus> {
    let bus: Arc<dyn Bus> = Arc::new(PostgresBus::new(world.bus().await, world.clock.clone()));
    notifications::consumer(&world.deps, bus.clone()).subscribe().await.unwrap();
    bus
}

/// Six people who are told in as many ways.
struct City {
    world: World,
    bus: Arc<dyn Bus>,
    receivers: Receivers,
    secret: String,
}

impl City {
    async fn start() -> Option<Self> {
        let mut receivers = Receivers::start().await?;
        let world = World::start("dying").await;
        let bus = bus(&world).await;
        follower(&world, &["in_app"]).await;
        follower(&world, &["in_app", "email"]).await;
        let by_push = follower(&world, &["in_app"]).await;
        browser(&world, by_push, &receivers, "/push/201").await;
        let by_digest = follower(&world, &["email"]).await;
        let noon = Change { digest: Some(Digest::Daily), digest_hour: Some(12), ..Change::default() };
        world.prefer(by_digest, &noon).await;

        let by_webhook = follower(&world, &["in_app"]).await;
        let (caller, url) = (world.person(by_webhook), receivers.url("/webhook/200"));
        let mut tx = world.tx(&caller).await;
        let (_, secret) = addresses::add_webhook(&mut tx, &caller, &world.deps, &url).await.unwrap();
        tx.commit().await.unwrap();
        let alone = Change { channels: Some(vec!["webhook".into()]), ..Change::default() };
        world.prefer(by_webhook, &alone).await;
        receivers.secret(&secret).await;

        *world.places.found.lock().unwrap() = ["rentals".to_owned()].to_vec();
        let caller = world.person(world.ids.next());
        let mut tx = world.tx(&caller).await;
        let wanted = Wanted { query: "rentals".into(), follow: true, ..Wanted::default() };
        saved_search::save(&mut tx, &caller, &world.ids, wanted).await.unwrap();
        tx.commit().await.unwrap();
        Some(Self { world, bus, receivers, secret })
    }

    fn channels(&self, lane: &str) -> Vec<Arc<dyn Channel>> {
        let (keys, public) = (&self.world.deps.keys, &self.world.deps.public_url);
        let net = cs_net::Guarded::new(self.world.deps.trust).unwrap();
        let smtp = format!("smtp://127.0.0.1:{}", self.receivers.smtp);
        let name = if lane == "digest" { "email" } else { lane };
        let all: [Arc<dyn Channel>; 3] = [
            Arc::new(Email::new(&smtp, "news@council.example", public).unwrap()),
            Arc::new(Push::new(net.clone(), keys, "mailto:operator@council.example", public).unwrap()),
            Arc::new(Webhooks::new(net, keys, public)),
        ];
        all.into_iter().filter(|channel| lane == "all" || channel.name() == name).collect()
    }

    async fn work(&self) {
        work(&self.world, &self.bus, self.channels("all")).await;
    }

    /// A meeting is published, a worker dies of it, others go on. Gives what was received.
    async fn told(&mut self, meeting: MeetingId, point: &'static str, lane: &str) -> Vec<(String, Value)> {
        let clock = self.world.clock.clone();
        self.bus.publish(&[self.world.published(meeting, |_| {})]).await.unwrap();
        if lane == "digest" {
            self.work().await;
            clock.advance(TimeDelta::days(1));
            if point.starts_with("send.") {
                self.work().await;
                clock.advance(SETTLE);
            }
        }
        let dying_by =
            if point == "send.renewed" { vec![Arc::new(Hangs("webhook")) as _] } else { self.channels(lane) };
        let ended = dying(point, work(&self.world, &self.bus, dying_by)).await;
        assert!(ended.is_none(), "{point} {lane} was never reached");
        // Its leases hold, then end; the digest's time comes, and passes.
        for then in [TimeDelta::zero(), LEASE, LEASE, TimeDelta::days(1), SETTLE] {
            clock.advance(then);
            self.work().await;
        }
        self.receivers.all(&self.secret).await
    }
}

/// The id by which a receiver knows a repeat, and what it is told.
fn copy(kind: &str, got: &Value) -> (String, Value) {
    let (id, said) = match kind {
        "mail" => (&got["headers"]["message-id"], &got["text"]),
        "push" => (&got["payload"]["tag"], &got["payload"]),
        _ => (&got["headers"]["webhook-id"], &got["body"]),
    };
    assert!(kind != "webhook" || got["verified"] == true, "{got}");
    (id.as_str().unwrap().trim_matches(['<', '>']).replace("@council.example", ""), said.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_once_wherever_a_worker_dies() {
    let Some(mut city) = City::start().await else { return };
    let world = city.world.clone();
    let seen = watch(&world).await;
    let (mut meetings, mut ids) = (Vec::new(), BTreeSet::new());
    for (point, lane) in DEATHS.iter().copied() {
        let (meeting, at) = (world.ids.next(), format!("after {point} {lane}"));
        let got = city.told(meeting, point, lane).await;
        meetings.push(meeting.to_string());
        let mut copies: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (kind, got) in &got {
            let (id, said) = copy(kind, got);
            copies.entry(format!("{kind} {id}")).or_default().push(said);
            ids.insert(id);
        }
        let repeats = usize::from(TAKEN.contains(&point));
        assert_eq!((copies.len(), got.len()), (4, 4 + repeats), "{at}: {copies:#?}");
        assert!(copies.values().all(|said| said.iter().all(|one| *one == said[0])), "{at}: {copies:#?}");

        let rounds = i64::try_from(meetings.len()).unwrap();
        for (table, each) in [
            ("deliveries", 6),
            ("deliveries WHERE state = 'sent'", 6),
            ("delivery_attempts", 4),
            ("(SELECT DISTINCT delivery_id FROM delivery_attempts WHERE outcome = 'sent') AS told", 4),
            ("messages", 4),
            ("messages WHERE state = 'sent'", 4),
            ("message_attempts", 4),
            ("(SELECT DISTINCT message_id FROM message_attempts WHERE outcome = 'sent') AS sent", 4),
            ("jobs WHERE state <> 'done'", 0),
            ("outbox", 0),
        ] {
            assert_eq!(world.count(table).await, each * rounds, "{table} {at}");
        }
        assert_eq!(city.bus.count(notifications::QUEUE).await.unwrap(), (0, 0), "{at}");
    }
    let keys: BTreeSet<String> = world.texts("SELECT dedupe_key FROM messages").await.into_iter().collect();
    assert_eq!(ids, keys, "the dedupe key is the id");
    until("the watcher has seen all", async || seen.lock().unwrap().len() >= meetings.len()).await;
    let (places, seen): (Vec<i64>, Vec<String>) = seen.lock().unwrap().iter().cloned().unzip();
    assert_eq!(seen, meetings, "each once, none missed");
    assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "{places:?}");
}

/// What the inbox of the one who reads there alone shows while it fills: place and meeting.
async fn watch(world: &World) -> Arc<Mutex<Vec<(i64, String)>>> {
    let first: uuid::Uuid = {
        let mut tx = world.tx(&world.service()).await;
        let sql = "SELECT user_id FROM preferences WHERE channels = '{in_app}'";
        sqlx::query_scalar(sql).fetch_one(cs_db::Tx::conn(&mut tx)).await.unwrap()
    };
    tokio::spawn(world.deps.wakeups.clone().listen(world.deps.db.clone(), cs_events::WAKE_CHANNEL));
    let service =
        NotificationsService::new(world.deps.clone()).with_stream_life(Duration::from_secs(24 * 60 * 60));
    let mut request = tonic::Request::new(pb::WatchInboxRequest::default());
    request.extensions_mut().insert(world.person(first.into()));
    let mut stream = service.watch_inbox(request).await.unwrap().into_inner();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keeping = seen.clone();
    tokio::spawn(async move {
        while let Some(told) = stream.next().await {
            let told = told.unwrap();
            if let Some(notification) = told.notification {
                keeping.lock().unwrap().push((decode_cursor(&told.cursor).unwrap(), notification.meeting_id));
            }
        }
    });
    seen
}

#[tokio::test]
async fn a_crowd_is_told_once_wherever_a_worker_dies_between_batches() {
    let world = World::start("dying_crowd").await;
    let bus = bus(&world).await;
    let people = i64::try_from(BATCH + 500).unwrap();
    crowd(&world, people).await;
    for (rounds, point) in (1..).zip(["fan_out.made", "fan_out.committed", "hand_over.committed"]) {
        bus.publish(&[world.published(world.ids.next(), |_| {})]).await.unwrap();
        assert!(dying(point, work(&world, &bus, vec![])).await.is_none(), "{point} was never reached");
        for _ in 0..2 {
            world.clock.advance(LEASE);
            work(&world, &bus, vec![]).await;
        }
        for table in
            ["deliveries", "deliveries WHERE state = 'sent'", "delivery_attempts WHERE outcome = 'sent'"]
        {
            assert_eq!(world.count(table).await, people * rounds, "{table} after {point}");
        }
        assert_eq!(world.count("jobs WHERE state <> 'done'").await, 0, "after {point}");
    }
}

#[tokio::test]
async fn who_dies_before_it_writes_that_something_failed_has_others_find_it_out() {
    let world = World::start("dying_failed").await;
    due(&world, 3).await;
    refuse(&world, "XX000", "true").await;
    assert!(dying("hand_over.failed", world.sender(vec![]).step()).await.is_none(), "never reached");
    assert_eq!(world.count("deliveries WHERE state = 'sending' AND failures = 0").await, 3);
    relent(&world).await;
    world.clock.advance(LEASE);
    assert_eq!(world.sender(vec![]).step().await.unwrap(), 3);
    assert_eq!(
        (world.count("deliveries WHERE state = 'sent'").await, world.count("delivery_attempts").await),
        (3, 3)
    );
}

#[tokio::test]
async fn what_is_withdrawn_is_told_to_nobody_though_the_worker_dies_before_it_has_stopped_it() {
    let world = World::start("dying_withdrawn").await;
    due(&world, 3).await;
    let id = world.texts("SELECT meeting_id::text FROM notices").await[0].parse::<uuid::Uuid>().unwrap();
    let meeting_id = MeetingId::from(id).to_string();
    let event = MeetingWithdrawn { meeting_id, version: 1, ..Default::default() };
    let event = world.envelope("meeting.withdrawn", &event);
    let caller = event.caller("notifications");
    let withdrawn = retract::withdrawn(&world.deps, &caller, &event);
    let ended = dying("retract.withdrawn", withdrawn).await;
    assert!(ended.is_none(), "never reached: {ended:?}");
    assert_eq!(world.count("deliveries WHERE state = 'pending'").await, 3);
    retract::withdrawn(&world.deps, &caller, &event).await.unwrap();
    world.sender(vec![]).step().await.unwrap();
    let why = "deliveries WHERE state = 'suppressed' AND state_reason = 'the meeting was withdrawn'";
    assert_eq!(world.count(why).await, 3);
}

#[test]
fn no_point_is_left_out() {
    fn points(dir: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                points(&path, found);
            } else {
                let text = std::fs::read_to_string(path).unwrap();
                let names = text.split("dies_at!(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    let mut found = BTreeSet::new();
    points(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let tried = DEATHS.iter().map(|(point, _)| *point).chain(["hand_over.failed", "retract.withdrawn"]);
    assert_eq!(found, tried.map(str::to_owned).collect());
}
