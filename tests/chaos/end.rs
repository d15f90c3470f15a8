//! What has to be true in the end.

use std::collections::{BTreeMap, BTreeSet};

use councilsense::wiring::Role;
use sqlx::Row;

use crate::world::{Plan, SEARCHERS, World};

pub(crate) async fn check(world: &World, plan: &Plan) {
    let states = counts(world, "SELECT run_state, count(*) FROM meetings.meetings GROUP BY 1").await;
    println!("meetings: {states:?}");
    let terminal = ["published", "limited_confidence", "rejected", "failed"];
    assert!(states.keys().all(|state| terminal.contains(&state.as_str())), "{states:?}");
    assert_eq!(states.values().sum::<i64>(), plan.meetings);
    let runs = counts(world, "SELECT state, count(*) FROM meetings.runs GROUP BY 1").await;
    assert!(runs.keys().all(|state| terminal.contains(&state.as_str())), "{runs:?}");

    // One current version each, and no second one: nothing asked for it.
    let told: i64 = ["published", "limited_confidence"].iter().filter_map(|s| states.get(*s)).sum();
    assert_eq!(world.number("SELECT count(*) FROM summaries.publications WHERE is_current").await, told);
    assert_eq!(
        world.number("SELECT count(DISTINCT meeting_id) FROM summaries.publications WHERE is_current").await,
        told
    );
    assert_eq!(world.number("SELECT coalesce(max(version), 0)::bigint FROM summaries.summaries").await, 1);
    // Meetings heard of each by event.
    assert_eq!(world.number("SELECT count(*) FROM meetings.publications").await, told);

    // Each follower of the city of each meeting was told once, and who searches for what stands in all of them.
    let expected = told * (plan.each() + SEARCHERS);
    let deliveries = counts(world, "SELECT state, count(*) FROM notifications.deliveries GROUP BY 1").await;
    println!("deliveries: {deliveries:?}");
    assert_eq!(deliveries, BTreeMap::from([("sent".to_owned(), expected)]));
    let keys = "SELECT count(DISTINCT dedupe_key) FROM notifications.deliveries";
    assert_eq!(world.number(keys).await, expected);
    let pairs = "SELECT count(*) FROM (SELECT DISTINCT user_id, notice_id FROM notifications.deliveries) p";
    assert_eq!(world.number(pairs).await, expected);
    let sends = "SELECT count(*) FROM notifications.delivery_attempts WHERE outcome = 'sent'";
    assert_eq!(world.number(sends).await, expected, "one logical send per dedupe key");

    outside(world, told * plan.outside).await;
    found(world, plan).await;

    for schema in ["accounts", "meetings", "summaries", "notifications"] {
        let left = format!("SELECT count(*) FROM {schema}.outbox WHERE published_at IS NULL");
        assert_eq!(world.number(&left).await, 0, "the outbox of {schema}");
    }
    explained(world).await;
}

/// One message a key and lane, which was sent once; a receiver got it, and all copies of it were the same.
async fn outside(world: &World, each: i64) {
    let by_state = "SELECT channel || ' ' || state, count(*) FROM notifications.messages GROUP BY 1";
    let expected = ["email sent", "webhook sent"].map(|what| (what.to_owned(), each));
    assert_eq!(counts(world, by_state).await, BTreeMap::from(expected));
    let sends = "SELECT count(*) FROM notifications.message_attempts WHERE outcome = 'sent'";
    assert_eq!(world.number(sends).await, 2 * each);
    let once = "SELECT count(DISTINCT message_id) FROM notifications.message_attempts WHERE outcome = 'sent'";
    assert_eq!(world.number(once).await, 2 * each, "one logical send per dedupe key and lane");

    let keys: Vec<String> =
        sqlx::query_scalar("SELECT dedupe_key FROM notifications.messages ORDER BY dedupe_key COLLATE \"C\"")
            .fetch_all(&world.admin)
            .await
            .unwrap();
    let got = world.outside.got();
    assert!(got.keys().eq(&keys), "{} keys were sent, {} came", keys.len(), got.len());
    for (key, got) in &*got {
        assert!(got.taken > 0, "{key} was never taken");
        assert_eq!((got.to.len(), got.bodies.len()), (1, 1), "{key} came to {:?}", got.to);
    }
    let sum = |of: fn(&crate::outside::Got) -> u64| got.values().map(of).sum::<u64>();
    let (taken, refused) = (sum(|got| got.taken), sum(|got| got.refused));
    let copies = taken - keys.len() as u64;
    println!("messages outside: {} sent, {refused} refused in between, {copies} taken once more", keys.len());
}

/// By a word of its own, search finds each meeting and no other, and of each as much as of every other.
async fn found(world: &World, plan: &Plan) {
    let (door, mut meetings, mut passages) = (world.door(), BTreeSet::new(), BTreeSet::new());
    for number in 0..plan.meetings {
        let found = door.found(number).await;
        let ids: BTreeSet<&str> = found.iter().map(|passage| passage.id.as_str()).collect();
        assert_eq!(ids.len(), found.len(), "meeting {number} is in the index twice");
        passages.insert(found.len());
        meetings.extend(found.into_iter().map(|passage| passage.meeting_id));
        assert_eq!(
            i64::try_from(meetings.len()),
            Ok(number + 1),
            "meeting {number} is not found, or another one"
        );
    }
    println!("found by search: {} meetings, {passages:?} passages each", meetings.len());
    assert_eq!(passages.len(), 1, "something of a meeting is missing");
    // Neither was anything mended on the way: what search had said to be in the index was there after its death.
    let said = world.servers.said(Role::Search);
    assert!(!said.contains("damaged"), "{said}");
}

/// Every dead letter says why, and what it was about has ended as failed.
pub(crate) async fn explained(world: &World) {
    let letters = sqlx::query(
        "SELECT type, error FROM meetings.jobs WHERE state = 'dead' UNION ALL SELECT type, error FROM summaries.jobs WHERE state = 'dead'
         UNION ALL SELECT type, error FROM notifications.jobs WHERE state = 'dead' UNION ALL SELECT type, error FROM bus.messages WHERE dead_at IS NOT NULL
         UNION ALL SELECT type, error FROM bus.letters",
    )
    .fetch_all(&world.admin)
    .await
    .unwrap();
    println!("dead letters: {}", letters.len());
    for letter in letters {
        let (kind, error): (String, Option<String>) = (letter.get(0), letter.get(1));
        println!("  {kind}: {error:?}");
        assert!(error.is_some_and(|error| error.contains("died with it in hand")), "{kind} is not explained");
    }
}

async fn counts(world: &World, sql: &'static str) -> BTreeMap<String, i64> {
    let rows = sqlx::query(sql).fetch_all(&world.admin).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
