//! Changed summaries, withdrawn meetings, erased people.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use cs_core::{ArtifactId, MeetingId, UserId};
use cs_db::Tx;
use cs_proto::events::v1::{AccountDeleted, ArtifactVisibilityChanged, MeetingWithdrawn};
use notifications::addresses::{self, Browser};
use notifications::follow::{self, Target};
use notifications::preferences::{self, Change};
use notifications::saved_search::{self, Wanted};
use notifications::{export, inbox, retract};

use crate::support::World;

async fn unread(world: &World, user: UserId) -> (usize, u32) {
    let caller = world.person(user);
    let page = cs_core::page::Page::parse(0, "", 0, "").unwrap();
    let (list, unread) = inbox::list(&mut world.tx(&caller).await, &caller, &page, false).await.unwrap();
    (list.rows.len(), unread)
}

#[tokio::test]
async fn a_changed_summary_is_told_to_those_who_asked_for_it() {
    let world = World::start("changed").await;
    let (asked, other): (UserId, UserId) = (world.ids.next(), world.ids.next());
    for user in [asked, other] {
        world.follow(user, &Target::City(world.places.city)).await;
    }
    world.prefer(asked, &Change { changed_summaries: Some(true), ..Change::default() }).await;
    let meeting: MeetingId = world.ids.next();
    let version = |version: u64, words: &str| {
        world.published(meeting, |event| {
            (event.version, event.previous_version) = (version, version - 1);
            event.short_summary = words.into();
        })
    };
    let second = version(2, "The council adopted the budget, 5 to 2.");
    for event in [
        version(1, "The council adopted the budget."),
        second.clone(),
        second,
        version(3, "The council adopted the budget, 5 to 2."),
    ] {
        world.announce(&event).await.unwrap();
        world.work().await;
    }
    // What comes late is old news.
    world.announce(&version(1, "Something else.")).await.unwrap();
    world.work().await;
    world.send(&world.sender(vec![])).await;
    let kinds = world
        .texts(
            "SELECT n.type FROM deliveries d JOIN notices n ON n.id = d.notice_id ORDER BY n.type, d.user_id",
        )
        .await;
    assert_eq!(kinds, ["meeting_published", "meeting_published", "summary_changed:2"]);
    assert_eq!((unread(&world, asked).await, unread(&world, other).await), ((2, 2), (1, 1)));
}

#[tokio::test]
async fn a_withdrawn_meeting_is_neither_sent_nor_shown_and_a_later_version_is() {
    let world = World::start("withdrawn").await;
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    world
        .prefer(user, &Change { channels: Some(vec!["in_app".into(), "email".into()]), ..Change::default() })
        .await;
    let (told, waits): (MeetingId, MeetingId) = (world.ids.next(), world.ids.next());
    world.publish(told).await;
    assert_eq!(world.count("messages WHERE state = 'pending'").await, 1);
    world.announce(&world.published(waits, |_| {})).await.unwrap();
    world.work().await;
    let withdraw = |meeting: MeetingId| {
        let event = MeetingWithdrawn { meeting_id: meeting.to_string(), version: 1, ..Default::default() };
        world.envelope("meeting.withdrawn", &event)
    };
    for meeting in [told, waits, told] {
        let event = withdraw(meeting);
        for _ in 0..2 {
            retract::withdrawn(&world.deps, &event.caller("notifications"), &event).await.unwrap();
        }
    }
    assert_eq!(unread(&world, user).await, (0, 0));
    let why = world.texts("SELECT state_reason FROM deliveries WHERE state = 'suppressed'").await;
    assert_eq!(why, ["the meeting was withdrawn"]);
    struct Never;
    #[async_trait::async_trait]
    impl notifications::channel::Channel for Never {
        fn name(&self) -> &'static str {
            "email"
        }
        async fn send(
            &self,
            _: &notifications::channel::Message,
        ) -> Result<(), notifications::channel::ChannelError> {
            panic!("a withdrawn meeting is not sent");
        }
    }
    world.sender(vec![std::sync::Arc::new(Never)]).step().await.unwrap();
    let why = world.texts("SELECT state_reason FROM messages").await;
    assert_eq!(why, ["the meeting was withdrawn"]);
    world.prefer(user, &Change { changed_summaries: Some(true), ..Change::default() }).await;
    let again = world.published(told, |event| {
        event.version = 2;
        event.short_summary = "Corrected.".into();
    });
    world.announce(&again).await.unwrap();
    world.work().await;
    world.send(&world.sender(vec![])).await;
    assert_eq!(unread(&world, user).await, (1, 1));
}

#[tokio::test]
async fn who_is_erased_leaves_nothing_and_does_not_come_back() {
    let world = World::start("erased").await;
    let (gone, stays): (UserId, UserId) = (world.ids.next(), world.ids.next());
    for user in [gone, stays] {
        world.move_home(user, Some(world.places.city), 1).await;
        let channels = Some(["in_app", "email", "push", "webhook"].map(str::to_owned).to_vec());
        world.prefer(user, &Change { channels, ..Change::default() }).await;
        let caller = world.person(user);
        let mut tx = world.tx(&caller).await;
        let search = Wanted { query: "x".into(), follow: true, ..Wanted::default() };
        saved_search::save(&mut tx, &caller, &world.ids, search).await.unwrap();
        let browser = Browser {
            endpoint: format!("https://push.example.org/{user}"),
            p256dh: world.deps.keys.push_public(),
            auth: "AAAAAAAAAAAAAAAAAAAAAA".into(),
            user_agent: String::new(),
        };
        addresses::register(&mut tx, &caller, &world.deps, &browser).await.unwrap();
        addresses::add_webhook(&mut tx, &caller, &world.deps, "https://hook.example.org/").await.unwrap();
        tx.commit().await.unwrap();
    }
    *world.places.found.lock().unwrap() = vec!["x".into(), "regular".into()];
    world.publish(world.ids.next()).await;
    let mut owner = world.owner().await;
    sqlx::raw_sql(
        "INSERT INTO notifications.message_attempts (id, tenant_id, message_id, attempt, outcome, created_at)
         SELECT gen_random_uuid(), tenant_id, id, 1, 'sent', now() FROM notifications.messages",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let tables = [
        ("follows", 2),
        ("homes", 1),
        ("preferences", 1),
        ("saved_searches", 1),
        ("push_subscriptions", 1),
        ("webhooks", 1),
        ("deliveries", 1),
        ("delivery_attempts", 1),
        ("messages", 3),
        ("message_deliveries", 3),
        ("message_attempts", 3),
    ];
    for (table, each) in tables {
        assert_eq!(world.count(table).await, 2 * each, "{table}");
    }
    let event = AccountDeleted { user_id: gone.to_string(), version: 7 };
    let event = world.envelope("account.deleted", &event);
    // Another tenant that tells of the same person erases nothing here.
    let neighbour = world.neighbour();
    let elsewhere =
        neighbour.envelope("account.deleted", &AccountDeleted { user_id: gone.to_string(), version: 7 });
    retract::deleted(&world.deps, &elsewhere.caller("notifications"), &elsewhere).await.unwrap();
    assert_eq!(world.count("deliveries").await, 2);
    for _ in 0..2 {
        retract::deleted(&world.deps, &event.caller("notifications"), &event).await.unwrap();
    }
    for (table, each) in tables {
        assert_eq!(world.count(table).await, each, "{table}");
    }
    // What comes late, and a link that was kept, bring nothing back.
    world.move_home(gone, Some(world.places.city), 9).await;
    let stop = notifications::keys::Stop { tenant: world.tenant, user: gone, channel: "email".into() };
    let token = world.deps.keys.stop_token(&stop);
    notifications::unsubscribe::stop(&world.deps, &world.service(), &token).await.unwrap();
    world.publish(world.ids.next()).await;
    for table in ["homes", "follows", "preferences", "deliveries"] {
        assert_eq!(world.count(&format!("{table} WHERE user_id = '{}'", gone.uuid())).await, 0, "{table}");
    }
    // Nor does what the person's other browser does meanwhile, or a call that was under way.
    let caller = world.person(gone);
    for attempt in 0..3 {
        let mut tx = world.tx(&caller).await;
        let refused = match attempt {
            0 => follow::follow(&mut tx, &caller, &world.ids, &Target::Topic("housing".into())).await.err(),
            1 => addresses::add_webhook(&mut tx, &caller, &world.deps, "https://x.example.org/").await.err(),
            _ => preferences::update(&mut tx, &caller, &world.deps, &Change::default()).await.err(),
        };
        let rule = match refused {
            Some(notifications::Error::Db(cs_db::DbError::Refused { rule, .. })) => rule,
            other => panic!("{attempt}: {other:?}"),
        };
        assert_eq!(rule, "CS004");
    }
    assert_eq!(world.count("erased_people").await, 1);
    // Nobody else may delete what is append-only, even with the word of the erasure.
    let mut tx = world.tx(&world.service()).await;
    sqlx::query("SELECT set_config('app.erasing', 'on', true)").execute(tx.conn()).await.unwrap();
    assert!(sqlx::query("DELETE FROM message_attempts").execute(tx.conn()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_whole_while_everything_else_goes_on() {
    let world = World::start("erasing").await;
    let people: Vec<UserId> = (0..12).map(|_| world.ids.next()).collect();
    for user in &people {
        world.follow(*user, &Target::City(world.places.city)).await;
        let channels = Some(["in_app", "email"].map(str::to_owned).to_vec());
        world.prefer(*user, &Change { channels, ..Change::default() }).await;
    }
    let told = async {
        for _ in 0..6 {
            world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
            world.work().await;
            world.send(&world.sender(vec![])).await;
        }
    };
    let erased = async {
        for user in &people[..8] {
            let event =
                world.envelope("account.deleted", &AccountDeleted { user_id: user.to_string(), version: 1 });
            retract::deleted(&world.deps, &event.caller("notifications"), &event).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let writing = async {
        for n in 0..40 {
            for user in &people[..8] {
                let caller = world.person(*user);
                let mut tx = world.tx(&caller).await;
                let topic = Target::Topic(format!("topic{n}"));
                if follow::follow(&mut tx, &caller, &world.ids, &topic).await.is_ok() {
                    tx.commit().await.unwrap();
                }
            }
        }
    };
    tokio::join!(told, erased, writing);
    assert_eq!(world.count("erased_people").await, 8);
    for table in ["follows", "preferences", "deliveries", "messages"] {
        let of = |user: &UserId| format!("{table} WHERE user_id = '{}'", user.uuid());
        for user in &people[..8] {
            assert_eq!(world.count(&of(user)).await, 0, "{table}");
        }
        for user in &people[8..] {
            let rows = if matches!(table, "deliveries" | "messages") { 6 } else { 1 };
            assert_eq!(world.count(&of(user)).await, rows, "{table}");
        }
    }
}

#[tokio::test]
async fn an_export_tells_what_every_table_holds_and_no_secret() {
    let world = World::start("exporting").await;
    let (user, other): (UserId, UserId) = (world.ids.next(), world.ids.next());
    for user in [user, other] {
        world.move_home(user, Some(world.places.city), 1).await;
        let channels = Some(["in_app", "email", "webhook"].map(str::to_owned).to_vec());
        world.prefer(user, &Change { channels, ..Change::default() }).await;
    }
    let caller = world.person(user);
    let mut tx = world.tx(&caller).await;
    let search = Wanted { query: "rentals".into(), follow: true, ..Wanted::default() };
    saved_search::save(&mut tx, &caller, &world.ids, search).await.unwrap();
    let browser = Browser {
        endpoint: "https://push.example.org/secret".into(),
        p256dh: world.deps.keys.push_public(),
        auth: "AAAAAAAAAAAAAAAAAAAAAA".into(),
        user_agent: "A browser".into(),
    };
    addresses::register(&mut tx, &caller, &world.deps, &browser).await.unwrap();
    let (_, secret) =
        addresses::add_webhook(&mut tx, &caller, &world.deps, "https://hook.example.org/").await.unwrap();
    tx.commit().await.unwrap();
    *world.places.found.lock().unwrap() = vec!["rentals".into()];
    world.publish(world.ids.next()).await;

    let mut tx = world.tx(&caller).await;
    let kept = export::person(&mut tx, &caller).await.unwrap();
    assert_eq!(kept["homes"]["city_id"], world.places.city.to_string());
    assert_eq!(kept["preferences"]["channels"], serde_json::json!(["in_app", "email", "push", "webhook"]));
    assert_eq!(kept["follows"].as_array().unwrap().len(), 2);
    assert_eq!(kept["saved_searches"][0]["query"], "rentals");
    assert_eq!(kept["push_subscriptions"][0]["host"], "push.example.org");
    assert_eq!(kept["webhooks"][0]["url"], "https://hook.example.org/");
    assert_eq!(kept["deliveries"][0]["title"].as_str().map(str::is_empty), Some(false));
    assert_eq!(kept["deliveries"][0]["delivery_attempts"][0]["channel"], "in_app");
    assert_eq!(kept["messages"].as_array().unwrap().len(), 3);
    assert_eq!(kept["messages"][0]["message_deliveries"][0], kept["deliveries"][0]["id"]);
    let text = kept.to_string();
    for hidden in ["/secret", "AAAAAAAAAAAA", &secret, &other.to_string()] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    let nobody = world.service();
    assert!(export::person(&mut world.tx(&nobody).await, &nobody).await.is_err());

    // Who adds a table of people has to say here what of it is exported, and in `erase_person` that it is erased.
    let mut owner = world.owner().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.columns
         WHERE table_schema = 'notifications' AND column_name = 'user_id' AND table_name <> 'erased_people' ORDER BY 1",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert_eq!(tables.len(), 8, "{tables:?}");
    let erasing: String = sqlx::query_scalar(
        "SELECT prosrc FROM pg_proc WHERE proname = 'erase_person' AND pronamespace = 'notifications'::regnamespace",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    for table in &tables {
        assert!(kept.get(table).is_some(), "{table} is not exported");
        assert!(erasing.contains(&format!("'{table}'")), "{table} is not erased");
    }
}

#[tokio::test]
async fn what_meetings_has_taken_back_is_not_announced_though_nobody_has_told_it_yet() {
    let world = World::start("gone_meeting").await;
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    let (before, between, stays): (MeetingId, MeetingId, MeetingId) =
        (world.ids.next(), world.ids.next(), world.ids.next());
    world.places.gone.lock().unwrap().push(before.to_string());
    let event = world.published(before, |_| {});
    for _ in 0..2 {
        world.announce(&event).await.unwrap();
    }
    assert_eq!((world.count("notices").await, world.count("inbox").await), (0, 1));
    // It goes after the announcement, and before it is handed over.
    for meeting in [between, stays] {
        world.announce(&world.published(meeting, |_| {})).await.unwrap();
    }
    world.work().await;
    world.places.gone.lock().unwrap().push(between.to_string());
    world.send(&world.sender(vec![])).await;
    assert_eq!(unread(&world, user).await, (1, 1));
    let why = world.texts("SELECT state_reason FROM deliveries WHERE state = 'suppressed'").await;
    assert_eq!(why, ["the meeting was withdrawn"]);
}

/// Keeps what it is to send by e-mail.
#[derive(Default)]
struct Letters(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl notifications::channel::Channel for Letters {
    fn name(&self) -> &'static str {
        "email"
    }
    async fn send(
        &self,
        message: &notifications::channel::Message,
    ) -> Result<(), notifications::channel::ChannelError> {
        self.0.lock().unwrap().extend(message.items.iter().map(|item| item.body.clone()));
        Ok(())
    }
}

#[tokio::test]
async fn the_words_of_a_hidden_document_are_neither_shown_nor_sent() {
    let world = World::start("hidden").await;
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    let channels = Some(vec!["in_app".into(), "email".into()]);
    world.prefer(user, &Change { channels, ..Change::default() }).await;
    let (meeting, other): (MeetingId, MeetingId) = (world.ids.next(), world.ids.next());
    world.publish(meeting).await;
    world.publish(other).await;
    let bodies = async || {
        let caller = world.person(user);
        let page = cs_core::page::Page::parse(0, "", 0, "").unwrap();
        let (list, _) = inbox::list(&mut world.tx(&caller).await, &caller, &page, false).await.unwrap();
        list.rows.into_iter().map(|row| row.body).collect::<Vec<_>>()
    };
    let words = "The council adopted the budget.";
    assert_eq!(bodies().await, [words, words]);

    let artifact: ArtifactId = world.ids.next();
    let seen_by = |visibility: &str| {
        let event = ArtifactVisibilityChanged {
            artifact_id: artifact.to_string(),
            meeting_id: meeting.to_string(),
            visibility: visibility.to_owned(),
            previous_visibility: String::new(),
        };
        world.envelope("artifact.visibility_changed", &event)
    };
    let public = seen_by("public");
    world.clock.advance(TimeDelta::seconds(1));
    let reviewer = seen_by("reviewer");
    // They may come in any order, and more than once: the later one stands.
    for event in [&reviewer, &public, &reviewer] {
        retract::hidden(&world.deps, &event.caller("notifications"), event).await.unwrap();
    }
    assert_eq!(bodies().await, [words, ""], "newest first: the other meeting's stays");
    let letters = Arc::new(Letters::default());
    world.sender(vec![letters.clone()]).step().await.unwrap();
    let mut sent = letters.0.lock().unwrap().clone();
    sent.sort();
    assert_eq!(sent, ["", words]);
    world.clock.advance(TimeDelta::seconds(1));
    let again = seen_by("member");
    retract::hidden(&world.deps, &again.caller("notifications"), &again).await.unwrap();
    assert_eq!(bodies().await, [words, words]);
}

#[tokio::test]
async fn two_versions_at_once_are_told_one_after_the_other() {
    let world = World::start("at_once").await;
    let user: UserId = world.ids.next();
    world.prefer(user, &Change { changed_summaries: Some(true), ..Change::default() }).await;
    for _ in 0..20 {
        let meeting: MeetingId = world.ids.next();
        let version = |version: u64| {
            world.published(meeting, |event| {
                event.version = version;
                event.short_summary = format!("Version {version}.");
            })
        };
        let (first, second) = (version(1), version(2));
        let (one, two) = tokio::join!(world.announce(&first), world.announce(&second));
        one.unwrap();
        two.unwrap();
    }
    assert_eq!(
        world.count("(SELECT DISTINCT meeting_id FROM notices WHERE summary_version = 2) n").await,
        20
    );
}

#[tokio::test]
async fn a_failed_message_is_kept_until_it_is_discarded() {
    let world = World::start("kept").await;
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    let channels = Some(vec!["in_app".into(), "email".into()]);
    world.prefer(user, &Change { channels, ..Change::default() }).await;
    for _ in 0..2 {
        world.publish(world.ids.next()).await;
    }
    // Both wait for long; one is sent in the end, and one fails.
    world.clock.advance(TimeDelta::days(100));
    struct Odd(Mutex<u32>);
    #[async_trait::async_trait]
    impl notifications::channel::Channel for Odd {
        fn name(&self) -> &'static str {
            "email"
        }
        async fn send(
            &self,
            _: &notifications::channel::Message,
        ) -> Result<(), notifications::channel::ChannelError> {
            let mut seen = self.0.lock().unwrap();
            *seen += 1;
            if (*seen).is_multiple_of(2) {
                return Ok(());
            }
            Err(notifications::channel::ChannelError::Permanent("no such mailbox".to_owned()))
        }
    }
    world.sender(vec![Arc::new(Odd(Mutex::new(0)))]).step().await.unwrap();
    let forget = async || {
        let mut tx = world.deps.db.system(cs_db::Reason::Operations).await.unwrap();
        let before = world.now() - TimeDelta::days(90);
        let gone: i64 = sqlx::query_scalar("SELECT forget_beside($1, 100)")
            .bind(before)
            .fetch_one(tx.conn())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        gone
    };
    assert_eq!(forget().await, 0, "it counts from when they ended");
    world.clock.advance(TimeDelta::days(91));
    assert_eq!(forget().await, 1);
    assert_eq!(world.texts("SELECT state FROM messages").await, ["failed"]);
    let mut owner = world.owner().await;
    sqlx::raw_sql(
        "SET search_path = notifications;
         SELECT discard_beside(tenant_id, id, 'seen to') FROM messages;
         UPDATE messages SET ended_at = '2000-01-01'",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    assert_eq!(forget().await, 1);
}
