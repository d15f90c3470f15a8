//! From a published meeting to one delivery a follower.

use chrono::TimeDelta;
use cs_core::{MeetingId, UserId};
use cs_db::Tx;
use cs_events::HandlerError;
use notifications::fan_out::BATCH;
use notifications::follow::Target;
use notifications::preferences::{self, Change};

use crate::support::World;

#[tokio::test]
async fn a_follower_gets_one_delivery_that_names_every_follow() {
    let world = World::start("one_delivery").await;
    let (user, other, stranger): (UserId, UserId, UserId) =
        (world.ids.next(), world.ids.next(), world.ids.next());
    world.move_home(user, Some(world.places.city), 1).await;
    world.follow(user, &Target::Body(world.places.body)).await;
    world.follow(user, &Target::Topic("budget".into())).await;
    world.follow(user, &Target::Topic("parks".into())).await;
    world.follow(other, &Target::City(world.places.city)).await;
    world.follow(stranger, &Target::City(world.ids.next())).await;
    let meeting: MeetingId = world.ids.next();
    let event = world.published(meeting, |m| m.topics = vec!["budget".into(), "housing".into()]);
    world.announce(&event).await.unwrap();
    world.work().await;
    let mut reasons = world.texts("SELECT reason FROM deliveries").await;
    reasons.sort();
    assert_eq!(
        reasons,
        ["You follow New Orleans", "You follow New Orleans (home city), City Council and the topic budget"]
    );
    let notice = world.texts("SELECT title || ' | ' || body FROM notices").await;
    assert_eq!(notice, ["City Council: Regular Meeting (2023-03-09) | The council adopted the budget."]);
}

#[tokio::test]
async fn the_same_event_again_and_a_new_version_tell_nobody_again() {
    let world = World::start("dedupe").await;
    let user: UserId = world.ids.next();
    world.follow(user, &Target::City(world.places.city)).await;
    let meeting: MeetingId = world.ids.next();
    let first = world.published(meeting, |_| {});
    world.announce(&first).await.unwrap();
    world.announce(&first).await.unwrap();
    world.work().await;
    // Who begins to follow now is not told of old news by a re-run.
    let late: UserId = world.ids.next();
    world.follow(late, &Target::City(world.places.city)).await;
    let second = world.published(meeting, |m| (m.version, m.previous_version) = (2, 1));
    world.announce(&second).await.unwrap();
    world.announce(&first).await.unwrap();
    assert_eq!(world.work().await, 1);
    assert_eq!(world.count("deliveries").await, 1);
    // Even where the same job is done again, the key keeps the delivery one.
    world.repeat_jobs().await;
    world.work().await;
    assert_eq!(world.count(&format!("deliveries WHERE user_id = '{}'", user.uuid())).await, 1);
}

#[tokio::test]
async fn what_residents_may_not_see_is_told_when_they_may() {
    let world = World::start("visibility").await;
    world.follow(world.ids.next(), &Target::City(world.places.city)).await;
    let meeting: MeetingId = world.ids.next();
    world.announce(&world.published(meeting, |m| m.visibility = "reviewer".into())).await.unwrap();
    assert_eq!((world.work().await, world.count("notices").await), (0, 0));
    let opened = world.published(meeting, |m| (m.version, m.visibility) = (2, "member".into()));
    world.announce(&opened).await.unwrap();
    world.work().await;
    assert_eq!(world.count("deliveries").await, 1);
    for wrong in ["", "secret"] {
        let event = world.published(world.ids.next(), |m| m.visibility = wrong.into());
        assert!(matches!(world.announce(&event).await, Err(HandlerError::Permanent(_))), "{wrong}");
    }
}

/// Makes `count` people who follow the city, every tenth of them also the body.
pub(crate) async fn crowd(world: &World, count: i64) {
    let mut tx = world.tx(&world.service()).await;
    sqlx::query(
        "INSERT INTO follows (id, tenant_id, user_id, kind, target_id, origin, created_at)
         SELECT gen_random_uuid(), $1, u, kind, CASE kind WHEN 'city' THEN $2 ELSE $3 END, 'resident', now()
         FROM (SELECT gen_random_uuid() AS u, n FROM generate_series(1, $4) n) people
         CROSS JOIN (VALUES ('city'), ('body')) kinds (kind) WHERE kind = 'city' OR n % 10 = 0",
    )
    .bind(world.tenant.uuid())
    .bind(world.places.city.to_string())
    .bind(world.places.body.to_string())
    .bind(count)
    .execute(tx.conn())
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_crowd_is_told_in_batches_and_each_once() {
    let world = World::start("batches").await;
    let people = i64::try_from(2 * BATCH + 500).unwrap();
    crowd(&world, people).await;
    // Those of the body alone lie between the others.
    for _ in 0..20 {
        world.follow(world.ids.next(), &Target::Body(world.places.body)).await;
    }
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    assert_eq!(world.work().await, 3);
    assert_eq!(world.count("deliveries").await, people + 20);
    assert_eq!(world.count("(SELECT DISTINCT user_id FROM deliveries) AS told").await, people + 20);
    assert_eq!(world.count("deliveries WHERE reason LIKE '% and City Council'").await, people / 10);
}

#[tokio::test]
async fn a_full_last_batch_ends() {
    let world = World::start("full_batch").await;
    let people = i64::try_from(BATCH).unwrap();
    crowd(&world, people).await;
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    assert_eq!(world.work().await, 2);
    assert_eq!(world.count("deliveries").await, people);
}

#[tokio::test]
async fn who_wants_silence_has_it_with_the_reason_kept() {
    let world = World::start("silence").await;
    let until = world.now() + TimeDelta::hours(1);
    let wishes = [
        Change { enabled: Some(false), ..Default::default() },
        Change { pause_until: Some(Some(until)), ..Default::default() },
        Change { enabled: Some(true), ..Default::default() },
    ];
    for wish in &wishes {
        let user: UserId = world.ids.next();
        world.follow(user, &Target::City(world.places.city)).await;
        let caller = world.person(user);
        let mut tx = world.tx(&caller).await;
        preferences::update(&mut tx, &caller, &world.deps, wish).await.unwrap();
        tx.commit().await.unwrap();
    }
    let states =
        "SELECT state || coalesce(': ' || state_reason, '') FROM deliveries ORDER BY state, state_reason";
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    assert_eq!(
        world.texts(states).await,
        [
            "pending",
            "suppressed: notifications are paused until 2019-12-20T01:00:00Z",
            "suppressed: notifications are switched off"
        ]
    );
    world.clock.advance(TimeDelta::hours(1));
    world.announce(&world.published(world.ids.next(), |_| {})).await.unwrap();
    world.work().await;
    assert_eq!(world.count("deliveries WHERE state = 'pending'").await, 3, "the pause is over");
}

#[tokio::test]
async fn without_meetings_it_is_tried_again() {
    let mut world = World::start("no_meetings").await;
    world.deps.meetings = cs_rpc::InMemory::default().channel();
    let event = world.published(world.ids.next(), |_| {});
    assert!(matches!(world.announce(&event).await, Err(HandlerError::Transient(_))));
    assert_eq!((world.count("inbox").await, world.count("notices").await), (0, 0));
}
