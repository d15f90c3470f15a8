//! What cannot be handed over: it comes again soon, holds up nobody else, and is given up in the end.

use chrono::TimeDelta;
use notifications::follow::Target;
use notifications::gauges::{self, Behind};
use notifications::send::POLICY;
use sqlx::AssertSqlSafe;

use crate::desk::Desk;
use crate::support::World;

/// That many deliveries of a meeting, due now.
pub(crate) async fn due(world: &World, count: usize) {
    for _ in 0..count {
        world.follow(world.ids.next(), &Target::City(world.places.city)).await;
    }
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
}

/// The database refuses, with this code, to write that these were told.
pub(crate) async fn refuse(world: &World, code: &str, which: &str) {
    let sql = format!(
        "CREATE FUNCTION notifications.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'a row like no other' USING ERRCODE = '{code}'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON notifications.delivery_attempts
             FOR EACH ROW WHEN (NEW.outcome = 'sent' AND {which}) EXECUTE FUNCTION notifications.refuse()"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut world.owner().await).await.unwrap();
}

pub(crate) async fn relent(world: &World) {
    let sql = "DROP TRIGGER refuse ON notifications.delivery_attempts; DROP FUNCTION notifications.refuse()";
    sqlx::raw_sql(sql).execute(&mut world.owner().await).await.unwrap();
}

#[tokio::test]
async fn one_that_breaks_its_transaction_stops_no_other_and_is_given_up_in_the_end() {
    let world = World::start("poison").await;
    due(&world, 40).await;
    let ids = world.texts("SELECT id::text FROM deliveries ORDER BY id").await;
    refuse(&world, "XX000", &format!("NEW.delivery_id IN ('{}', '{}')", ids[7], ids[23])).await;
    let sender = world.sender(vec![]);
    assert_eq!(sender.step().await.unwrap(), 40);
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 38);
    let soon = format!("due_at <= '{}'", (world.now() + TimeDelta::seconds(5)).to_rfc3339());
    assert_eq!(
        world.count(&format!("deliveries WHERE state = 'sending' AND failures = 1 AND {soon}")).await,
        2
    );
    let mut tries = 1;
    while world.count("deliveries WHERE state = 'failed'").await == 0 {
        world.clock.advance(TimeDelta::minutes(31));
        assert_eq!(sender.step().await.unwrap(), 2);
        tries += 1;
    }
    assert_eq!(tries, POLICY.attempts);
    world.clock.advance(TimeDelta::minutes(31));
    assert_eq!(sender.step().await.unwrap(), 0);
    assert_eq!(
        world.count("delivery_attempts WHERE channel = 'hand_over' AND outcome = 'failed'").await,
        2 * i64::from(tries)
    );

    // Dead letters like any other: one is discarded, the other told after all.
    relent(&world).await;
    let desk = Desk::of(&world).await;
    assert!(desk.list(&world.neighbour(), "delivery").await.is_empty(), "another tenant's are not shown");
    let letters = desk.list(&world, "delivery").await;
    assert_eq!(letters.len(), 2);
    assert!(letters[0].error.contains("a row like no other"), "{}", letters[0].error);
    assert_eq!(letters[0].place, "notifications");
    desk.discard(&world, &letters[0], "nobody").await;
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(desk.replay(&world).await, [letters[1].id.as_str()]);
    assert_eq!(sender.step().await.unwrap(), 1);
    assert!(desk.list(&world, "delivery").await.is_empty());
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 39);
    assert_eq!(
        world.texts("SELECT state_reason FROM deliveries WHERE state = 'suppressed'").await,
        ["discarded: nobody"]
    );
}

#[tokio::test]
async fn an_error_of_the_databases_passing_costs_seconds_and_is_nobodys_fault() {
    let world = World::start("passing").await;
    due(&world, 3).await;
    refuse(&world, "57P01", "true").await;
    let sender = world.sender(vec![]);
    sender.step().await.unwrap_err();
    let soon = (world.now() + TimeDelta::seconds(5)).to_rfc3339();
    let again = format!("deliveries WHERE state = 'sending' AND failures = 0 AND due_at <= '{soon}'");
    assert_eq!(world.count(&again).await, 3);
    // However long it lasts, nothing is given up for it.
    for _ in 0..POLICY.attempts + 2 {
        world.clock.advance(TimeDelta::minutes(31));
        sender.step().await.unwrap_err();
    }
    relent(&world).await;
    world.clock.advance(TimeDelta::minutes(31));
    assert_eq!(sender.step().await.unwrap(), 3);
    assert_eq!(world.count("deliveries WHERE state = 'sent'").await, 3);
    assert_eq!(world.count("delivery_attempts").await, 3);
}

#[tokio::test]
async fn messages_that_could_not_be_read_come_again_soon() {
    let world = World::start("unread").await;
    let change = notifications::preferences::Change {
        channels: Some(vec!["in_app".into(), "email".into()]),
        ..Default::default()
    };
    let user = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    world.prefer(user, &change).await;
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    world.sender(vec![]).step().await.unwrap();
    let hidden = "REVOKE SELECT ON notifications.webhooks FROM notifications_app";
    sqlx::raw_sql(hidden).execute(&mut world.owner().await).await.unwrap();
    let nobody = notifications::sender(
        &world.deps,
        &notifications::Settings {
            smtp_url: Some("smtp://127.0.0.1:1".into()),
            mail_from: Some("news@council.example".into()),
            ..Default::default()
        },
    )
    .unwrap();
    nobody.step().await.unwrap_err();
    let soon = (world.now() + TimeDelta::seconds(5)).to_rfc3339();
    assert_eq!(world.count(&format!("messages WHERE state = 'sending' AND due_at <= '{soon}'")).await, 1);
    assert_eq!(world.count("message_attempts").await, 0, "nothing was tried");
}

#[tokio::test]
async fn how_much_waits_and_for_how_long_is_known_of_each_kind() {
    let world = World::start("behind").await;
    due(&world, 3).await;
    let behind = async |what: &str| -> Behind {
        let all = gauges::behind(&world.deps).await.unwrap();
        assert_eq!(all.len(), 4);
        all.into_iter().find(|behind| behind.what == what).unwrap()
    };
    let is = |what: &str, waiting, overdue| Behind { what: what.into(), waiting, overdue };
    world.clock.advance(TimeDelta::seconds(90));
    assert_eq!(behind("delivery").await, is("delivery", 3, 90.0));
    assert_eq!(behind("email").await, is("email", 0, 0.0));
    let mut owner = world.owner().await;
    sqlx::raw_sql(
        "SET search_path = notifications;
         UPDATE deliveries SET state = 'sending', due_at = due_at + interval '1 day';
         UPDATE deliveries SET state = 'failed', state_reason = 'x' WHERE id = (SELECT id FROM deliveries LIMIT 1);
         INSERT INTO messages (id, tenant_id, user_id, channel, dedupe_key, lane, state, due_at, traceparent, created_at)
         SELECT gen_random_uuid(), tenant_id, user_id, 'email', dedupe_key, 'email', 'pending', created_at + interval '30 s', '', created_at
         FROM deliveries",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    assert_eq!(behind("delivery").await, is("delivery", 2, 0.0), "held, and one given up");
    let given_up = cs_events::gauges::behind(&world.deps.db, world.now()).await.unwrap().dead_beside;
    assert_eq!(given_up, 1, "among the dead letters");
    assert_eq!(behind("email").await, is("email", 3, 60.0));
}
