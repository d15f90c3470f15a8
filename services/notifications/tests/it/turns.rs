//! One city's crowd does not hold up another city's follower, in the inbox or by e-mail.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cs_core::{EventId, UserId};
use notifications::channel::{Channel, ChannelError, Message};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::World;

/// Whom it wrote to.
#[derive(Default)]
struct Letters(Mutex<Vec<UserId>>);

#[async_trait]
impl Channel for Letters {
    fn name(&self) -> &'static str {
        "email"
    }

    async fn send(&self, message: &Message) -> Result<(), ChannelError> {
        self.0.lock().unwrap().push(message.user);
        Ok(())
    }
}

async fn sql(world: &World, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut world.owner().await).await.unwrap();
}

/// People who are to be told of a meeting of a city, in the inbox and by e-mail, due for so many minutes.
async fn crowd(world: &World, city: Uuid, people: u32, minutes: u32) {
    let (tenant, notice, now) = (world.tenant.uuid(), world.ids.next::<EventId>().uuid(), world.now());
    sql(
        world,
        format!(
            "SET search_path = notifications;
             INSERT INTO notices (id, tenant_id, type, meeting_id, city_id, city_name, title, body, summary_version, created_at)
             VALUES ('{notice}', '{tenant}', 'meeting_published', gen_random_uuid(), '{city}', 'A City', 'Regular Meeting', 'Words.', 1, '{now}');
             CREATE TEMP TABLE people AS SELECT gen_random_uuid() AS id FROM generate_series(1, {people});
             INSERT INTO preferences (user_id, tenant_id, channels, updated_at) SELECT id, '{tenant}', '{{in_app,email}}', '{now}' FROM people;
             INSERT INTO deliveries (id, tenant_id, user_id, notice_id, dedupe_key, reason, state, due_at, traceparent, created_at, city_id)
             SELECT gen_random_uuid(), '{tenant}', id, '{notice}', encode(sha256(id::text::bytea), 'hex'), 'why', 'pending',
                    '{now}'::timestamptz - {minutes} * interval '1 minute', '', '{now}', '{city}'
             FROM people"
        ),
    )
    .await;
}

#[tokio::test]
async fn a_follower_behind_a_crowd_is_told_with_the_first() {
    let world = World::start("turns").await;
    let [flooded, small, other] = [3, 1, 2].map(|n: u128| Uuid::from_u128(n << 64));
    crowd(&world, flooded, 2_500, 60).await;
    crowd(&world, small, 1, 1).await;
    let letters = Arc::new(Letters::default());
    let nobody = world.sender(vec![]);
    assert_eq!(nobody.step().await.unwrap(), 1_000, "a whole batch");
    let told = async |city: Uuid| {
        world.count(&format!("deliveries WHERE state = 'sent' AND city_id = '{city}'")).await
    };
    assert_eq!((told(small).await, told(flooded).await), (1, 999));
    // Two crowds share.
    crowd(&world, other, 700, 1).await;
    assert_eq!(nobody.step().await.unwrap(), 1_000);
    assert_eq!((told(other).await, told(flooded).await), (500, 1_499));
    while nobody.step().await.unwrap() > 0 {}
    assert_eq!((told(other).await, told(flooded).await), (700, 2_500));

    // The letters of the crowd are older; a batch is fifty of them.
    sql(
        &world,
        format!(
            "UPDATE notifications.messages SET due_at = due_at - interval '1 hour' WHERE city_id <> '{small}'"
        ),
    )
    .await;
    let sender = world.sender(vec![letters.clone()]);
    assert_eq!(sender.step().await.unwrap(), 50);
    let sent = async |city: Uuid| {
        world.count(&format!("messages WHERE state = 'sent' AND city_id = '{city}'")).await
    };
    assert_eq!((sent(small).await, letters.0.lock().unwrap().len()), (1, 50));
    // The one that was alone has left its share to the others.
    let (of_flooded, of_other) = (sent(flooded).await, sent(other).await);
    assert!(of_flooded >= 16 && of_other >= 16 && of_flooded + of_other == 49, "{of_flooded} {of_other}");
}

#[tokio::test]
async fn more_cities_than_a_batch_holds_are_all_served_in_turn() {
    let world = World::start("many_cities").await;
    for city in 1..=60_u128 {
        crowd(&world, Uuid::from_u128(city << 64), 3, 1).await;
    }
    while world.sender(vec![]).step().await.unwrap() > 0 {}
    let letters = Arc::new(Letters::default());
    let sender = world.sender(vec![letters.clone()]);
    for _ in 0..2 {
        assert_eq!(sender.step().await.unwrap(), 50);
    }
    let cities = "(SELECT DISTINCT city_id FROM messages WHERE state = 'sent') AS served";
    assert_eq!(world.count(cities).await, 60, "after a hundred letters every city has had one");
}
