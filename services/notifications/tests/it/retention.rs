//! What people were told is forgotten in the end, and nobody is told of it again.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::{MeetingId, UserId};
use notifications::channel::{Channel, ChannelError, Message};
use notifications::follow::Target;
use notifications::preferences::Change;
use notifications::retention;

use crate::support::World;

/// No mailbox takes anything.
struct Nowhere;

#[async_trait]
impl Channel for Nowhere {
    fn name(&self) -> &'static str {
        "email"
    }

    async fn send(&self, _: &Message) -> Result<(), ChannelError> {
        Err(ChannelError::Permanent("no such mailbox".to_owned()))
    }
}

const YEAR: TimeDelta = TimeDelta::days(365);

#[tokio::test]
async fn what_is_forgotten_is_not_told_again() {
    let world = World::start("forgotten").await;
    let [reader, by_mail, broken, late]: [UserId; 4] = std::array::from_fn(|_| world.ids.next());
    for user in [reader, by_mail, broken] {
        world.follow(user, &Target::City(world.places.city)).await;
    }
    let channels = Some(vec!["in_app".into(), "email".into()]);
    world.prefer(by_mail, &Change { channels, ..Change::default() }).await;
    let (old, new): (MeetingId, MeetingId) = (world.ids.next(), world.ids.next());
    let announced = world.published(old, |_| {});
    world.announce(&announced).await.unwrap();
    world.work().await;
    let mut owner = world.owner().await;
    for state in ["sending", "failed"] {
        let failed = format!(
            "UPDATE notifications.deliveries SET state = '{state}', state_reason = 'broken' WHERE user_id = '{}'",
            broken.uuid()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(failed)).execute(&mut owner).await.unwrap();
    }
    world.send(&world.sender(vec![Arc::new(Nowhere)])).await;
    assert_eq!(world.texts("SELECT state FROM messages").await, ["failed"]);
    world.clock.advance(YEAR - TimeDelta::hours(2));
    world.publish(new).await;
    let matched =
        "INSERT INTO notifications.search_matches SELECT tenant_id, id, 'rentals' FROM notifications.notices";
    sqlx::raw_sql(matched).execute(&mut owner).await.unwrap();
    assert_eq!(retention::forget(&world.deps, YEAR).await.unwrap(), 0, "nothing is that old");
    assert_eq!(world.count("search_matches").await, 2);
    world.clock.advance(TimeDelta::hours(3));
    assert_eq!(
        retention::forget(&world.deps, YEAR).await.unwrap(),
        3,
        "a notice closed, what a search found of it and a delivery forgotten"
    );
    assert_eq!(
        world.count("search_matches").await,
        1,
        "nobody asks any more which searches found the old one"
    );
    assert_eq!(retention::forget(&world.deps, YEAR).await.unwrap(), 0, "once an hour");
    // What failed is a dead letter, and what it tells of stays with it.
    let left =
        "SELECT user_id FROM deliveries d JOIN notices n ON n.id = d.notice_id WHERE n.meeting_id = $1";
    let mut tx = world.tx(&world.service()).await;
    let left: Vec<uuid::Uuid> =
        sqlx::query_scalar(left).bind(old.uuid()).fetch_all(cs_db::Tx::conn(&mut tx)).await.unwrap();
    drop(tx);
    assert_eq!(BTreeSet::from_iter(left), BTreeSet::from([by_mail.uuid(), broken.uuid()]));
    assert_eq!(world.count("delivery_attempts").await, 4);

    // Its jobs come again, and somebody follows since: nobody is told.
    world.follow(late, &Target::City(world.places.city)).await;
    sqlx::raw_sql(
        "SET search_path = notifications; DELETE FROM inbox;
         UPDATE jobs SET state = 'ready', attempt = 0, run_at = created_at",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    world.announce(&announced).await.unwrap();
    world.work().await;
    let of = |meeting: MeetingId| {
        format!("deliveries d JOIN notices n ON n.id = d.notice_id WHERE n.meeting_id = '{}'", meeting.uuid())
    };
    assert_eq!(world.count(&of(old)).await, 2);
    assert_eq!(world.count(&of(new)).await, 4, "that one is open");
    // Whoever tries all the same is refused by the database.
    let again = "SET search_path = notifications;
         INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, due_at, traceparent, created_at)
         SELECT gen_random_uuid(), n.tenant_id, gen_random_uuid(), n.id, encode(sha256(c.notice_id::text::bytea), 'hex'), 'why', 'pending', now(), '', now()
         FROM notices n JOIN closed_notices c ON c.notice_id = n.id";
    let refused = sqlx::raw_sql(again).execute(&mut owner).await.unwrap_err();
    assert!(refused.to_string().contains("nobody is told again"), "{refused}");
}
