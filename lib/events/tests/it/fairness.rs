//! One city's backlog of thousands does not hold up another's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cs_events::jobs::{self, Job};
use cs_events::{Bus, Envelope, HandlerError, JobHandler, JobWorker, PostgresBus};

use crate::support::World;

fn city(envelope: &Envelope) -> String {
    envelope.payload["city_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_city_behind_a_backlog_is_served_at_once() {
    let world = World::new("fair_queue").await;
    let bus = PostgresBus::new(world.bus_db.clone(), world.clock.clone());
    bus.subscribe("q", &["a"]).await.unwrap();
    let flood: Vec<Envelope> = (0..3_000).map(|_| world.envelope("a", "flooded")).collect();
    for batch in flood.chunks(500) {
        bus.publish(batch).await.unwrap();
    }
    let late = ["apart", "beside", "zone"].map(|name| world.envelope("a", name));
    bus.publish(&late).await.unwrap();
    let first = bus.receive("q", 8, Duration::from_secs(60)).await.unwrap();
    let mut cities: Vec<String> = first.iter().map(|d| city(d.envelope.as_ref().unwrap())).collect();
    cities.sort();
    assert_eq!(cities, ["apart", "beside", "flooded", "flooded", "flooded", "flooded", "flooded", "zone"]);
    // Two cities with a backlog share.
    bus.publish(&(0..100).map(|_| world.envelope("a", "apart")).collect::<Vec<_>>()).await.unwrap();
    let mut apart = 0;
    for _ in 0..10 {
        let taken = bus.receive("q", 8, Duration::from_secs(60)).await.unwrap();
        assert_eq!(taken.len(), 8);
        apart += taken.iter().filter(|d| city(d.envelope.as_ref().unwrap()) == "apart").count();
    }
    assert_eq!(apart, 40);
    // One at a time, they take turns.
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(city(
            bus.receive("q", 1, Duration::from_secs(60)).await.unwrap()[0].envelope.as_ref().unwrap(),
        ));
    }
    assert!(turns[0] != turns[1] && turns[0] == turns[2] && turns[1] == turns[3], "{turns:?}");
}

struct Order(Mutex<Vec<String>>, cs_db::Db, cs_core::Ids);

#[async_trait]
impl JobHandler for Order {
    fn types(&self) -> &'static [&'static str] {
        &["do"]
    }

    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        self.0.lock().unwrap().push(city(&job.envelope));
        let mut tx = self.1.tenant(&job.envelope.caller("toy")).await?;
        jobs::finish(&mut tx, job, self.2.now()).await?;
        Ok(tx.commit().await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_cities_take_turns_and_a_newer_version_waits() {
    let world = World::new("fair_jobs").await;
    let mut tx = world.db.tenant(&world.caller()).await.unwrap();
    for _ in 0..500 {
        jobs::put(&mut tx, &world.envelope("do", "flooded")).await.unwrap();
    }
    for _ in 0..2 {
        jobs::put(&mut tx, &world.envelope("do", "small")).await.unwrap();
    }
    let mut newer = world.envelope("do", "ahead");
    newer.version = 2;
    jobs::put(&mut tx, &newer).await.unwrap();
    tx.commit().await.unwrap();
    let order = Arc::new(Order(Mutex::default(), world.db.clone(), world.ids.clone()));
    let worker = JobWorker::new(world.db.clone(), order.clone(), world.clock.clone());
    for _ in 0..6 {
        assert_eq!(worker.step().await.unwrap(), 1);
    }
    assert_eq!(*order.0.lock().unwrap(), ["flooded", "small", "flooded", "small", "flooded", "flooded"]);
    assert_eq!(
        world.number("SELECT count(*) FROM toy.jobs WHERE state = 'ready' AND lane = 'ahead'").await,
        1
    );
}
