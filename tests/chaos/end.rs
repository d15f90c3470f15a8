//! What has to be true in the end.

use std::collections::BTreeMap;

use sqlx::Row;

use crate::world::{Plan, World};

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

    // Each follower of the city of each meeting was told once.
    let expected = told * (plan.followers / plan.cities);
    let deliveries = counts(world, "SELECT state, count(*) FROM notifications.deliveries GROUP BY 1").await;
    println!("deliveries: {deliveries:?}");
    assert_eq!(deliveries, BTreeMap::from([("sent".to_owned(), expected)]));
    let keys = "SELECT count(DISTINCT dedupe_key) FROM notifications.deliveries";
    assert_eq!(world.number(keys).await, expected);
    let pairs = "SELECT count(*) FROM (SELECT DISTINCT user_id, notice_id FROM notifications.deliveries) p";
    assert_eq!(world.number(pairs).await, expected);
    let sends = "SELECT count(*) FROM notifications.delivery_attempts WHERE outcome = 'sent'";
    assert_eq!(world.number(sends).await, expected, "one logical send per dedupe key");

    for schema in ["accounts", "meetings", "summaries", "notifications"] {
        let left = format!("SELECT count(*) FROM {schema}.outbox WHERE published_at IS NULL");
        assert_eq!(world.number(&left).await, 0, "the outbox of {schema}");
    }
    explained(world).await;
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
