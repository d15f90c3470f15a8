//! What kills its consumers and workers is given up; what was in hand beside it is not.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use cs_events::jobs;
use cs_events::{Bus, PostgresBus};
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};

use crate::support::{ENOUGH, World};

const LEASE: Duration = Duration::from_secs(60);

fn city(envelope: &serde_json::Value) -> String {
    envelope["payload"]["city_id"].as_str().unwrap().to_owned()
}

/// Two lanes of one process take, and end what they took; with `poison` in hand the process dies.
#[tokio::test(flavor = "multi_thread")]
async fn of_messages_only_the_poisonous_one_is_taken_for_the_cause() {
    let world = World::manual("suspect_messages").await;
    let bus = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    bus.subscribe("q", &["a"]).await.unwrap();
    let names = (0..10).map(|n| format!("c{n}")).chain(["poison".to_owned()]);
    let sent: Vec<_> =
        names.chain((10..20).map(|n| format!("c{n}"))).map(|n| world.envelope("a", &n)).collect();
    bus.publish(&sent).await.unwrap();
    let mut lost = BTreeMap::new();
    for _ in 0..100 {
        let mut hand = bus.receive("q", 8, LEASE).await.unwrap();
        hand.extend(bus.receive("q", 8, LEASE).await.unwrap());
        for delivery in &hand {
            let envelope = serde_json::to_value(delivery.envelope.as_ref().unwrap()).unwrap();
            lost.insert(city(&envelope), delivery.lost);
        }
        let poison = lost.get("poison").copied().unwrap_or_default();
        if poison == ENOUGH {
            break;
        }
        let deadly = hand.iter().any(|d| d.envelope.as_ref().unwrap().resource.id == "poison");
        if deadly || hand.is_empty() {
            world.manual.advance(TimeDelta::seconds(61));
        } else {
            bus.done(&hand).await.unwrap();
        }
    }
    assert_eq!(lost.remove("poison"), Some(ENOUGH));
    assert_eq!(lost.len(), 20);
    assert!(lost.values().all(|lost| *lost <= 2), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_jobs_only_the_poisonous_one_is_taken_for_the_cause() {
    type Taken = (sqlx::types::Uuid, Json<serde_json::Value>, i32, i32, i32, String);
    let world = World::manual("suspect_jobs").await;
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    for name in ["c0", "c1", "poison", "c2", "c3"] {
        jobs::put(&mut tx, &world.envelope("a", name)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut connection = PgConnection::connect(world.url.as_str()).await.unwrap();
    sqlx::raw_sql("SET search_path = toy").execute(&mut connection).await.unwrap();
    let (mut lost, mut after) = (BTreeMap::new(), String::new());
    for _ in 0..100 {
        let mut hand = Vec::new();
        for _ in 0..4 {
            let taken: Option<Taken> =
                sqlx::query_as("SELECT * FROM claim_due_job(ARRAY['a'], ARRAY[1], $1, $2, $3)")
                    .bind(world.clock.now())
                    .bind(world.clock.now() + LEASE)
                    .bind(&after)
                    .fetch_optional(&mut connection)
                    .await
                    .unwrap();
            if let Some((id, Json(envelope), _, deaths, _, lane)) = taken {
                lost.insert(city(&envelope), deaths.unsigned_abs());
                hand.push((id, city(&envelope)));
                after = lane;
            }
        }
        if lost.get("poison") == Some(&ENOUGH) {
            break;
        }
        if hand.is_empty() || hand.iter().any(|(_, city)| city == "poison") {
            world.manual.advance(TimeDelta::seconds(61));
            continue;
        }
        sqlx::query("UPDATE jobs SET state = 'done', finished_at = now() WHERE id = ANY ($1)")
            .bind(hand.into_iter().map(|(id, _)| id).collect::<Vec<_>>())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    assert_eq!(lost.remove("poison"), Some(ENOUGH));
    assert_eq!(lost.len(), 4);
    assert!(lost.values().all(|lost| *lost <= 2), "{lost:?}");
}
