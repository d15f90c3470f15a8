//! The same on SNS and SQS, where leases end when they end.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::Client;
use chrono::TimeDelta;
use cs_events::bus::DeadFilter;
use cs_events::{Bus, SnsBus, SnsOptions, faults};

use crate::support::{World, elsewhere, soon};
use crate::{ARMED, Machine};

const LEASE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(120);
/// They are reached by operators.
const OF_LETTERS: [&str; 2] = ["sns.fetched", "sns.sent_again"];

async fn machine(name: &str) -> Option<(Machine, Arc<SnsBus>, Client)> {
    let (options, config) = elsewhere(name).await?;
    let options = SnsOptions { wait: Duration::ZERO, ..options };
    let world = World::manual(name).await;
    let bus = Arc::new(SnsBus::connect(options, world.bus_db.clone(), world.clock.clone()).await);
    Some((Machine::new(world, bus.clone(), LEASE).await, bus, Client::new(&config)))
}

/// Has relay and consumer step until so many events have had their effect and so many letters lie there, and no more is to
/// be done. One that "dies" gives an error.
async fn until(machine: &Machine, effects: i64, letters: u64, point: &str) {
    let came = async {
        loop {
            let _ = machine.relay.step().await;
            let _ = machine.consumer.step().await;
            // The relay's lease is the database's.
            machine.world.manual.advance(TimeDelta::minutes(1));
            if machine.unpublished().await == 0
                && machine.effects("event").await.0 >= effects
                && machine.bus.count("effects").await.unwrap() == (0, letters)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, came).await.is_err() {
        let count = machine.bus.count("effects").await.unwrap();
        panic!("after {point}: {:?}, {count:?}", machine.effects("event").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_effect_is_had_once_wherever_a_worker_dies() {
    let _one = ARMED.lock().await;
    let Some((machine, ..)) = machine("faults_sns").await else { return };
    let points = faults::POINTS.iter().filter(|point| !point.starts_with("worker."));
    let points = points.chain(faults::SNS.iter().filter(|point| !OF_LETTERS.contains(point)));
    for (rounds, point) in (1_i64..).zip(points.copied()) {
        machine.work().await;
        faults::arm(point);
        until(&machine, 3 * rounds, 2 * rounds.unsigned_abs(), point).await;
        assert!(!faults::disarm(), "{point} was never reached");
        assert_eq!(machine.effects("event").await, (3 * rounds, 3 * rounds), "after {point}");
        machine.explained(point).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_survive_whoever_fetches_them_or_sends_them_again() {
    let _one = ARMED.lock().await;
    let Some((machine, bus, sqs)) = machine("faults_letters").await else { return };
    let envelope = machine.world.envelope("happened", "good");
    let url = sqs.get_queue_url().queue_name(bus.names().dead("effects")).send().await.unwrap();
    let body = serde_json::to_string(&envelope).unwrap();
    let sent = sqs.send_message().queue_url(url.queue_url().unwrap()).message_body(body);
    sent.send().await.unwrap();
    let [fetched, sent_again] = OF_LETTERS;
    faults::arm(fetched);
    let which = DeadFilter::new(machine.world.tenant, "");
    soon(async {
        while bus.dead("effects", which, 100).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(!faults::disarm());
    // What is out of sight for a while is fetched again, to the same letter.
    soon(async {
        while bus.count("effects").await.unwrap() != (0, 1) {
            assert_eq!(bus.dead("effects", which, 100).await.unwrap().len(), 1);
        }
    })
    .await;
    faults::arm(sent_again);
    bus.replay("effects", &[envelope.id]).await.unwrap_err();
    assert!(!faults::disarm());
    assert_eq!(bus.replay("effects", &[envelope.id]).await.unwrap(), [envelope.id]);
    until(&machine, 1, 0, sent_again).await;
    assert_eq!(machine.effects("event").await, (1, 1));
}
