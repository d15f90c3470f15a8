//! Of a message that comes again either bus knows tries, deaths and what was handed back apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cs_events::{Consumer, Delivery, Envelope, EventHandler, HandlerError, RetryPolicy};

use crate::contract::{Fixture, promises};
use crate::support::{ENOUGH, soon};

const LEASE: Duration = Duration::from_secs(30);
/// One that two messages are taken within, one after the other.
const LAPSE: Duration = Duration::from_secs(10);

promises!(deaths, kills, suspects);

/// A lease that ends by a consumer's death.
fn death(f: &Fixture) -> Duration {
    Duration::from_secs(if f.is_elsewhere() { 5 } else { 1 })
}

/// Waits until one comes.
async fn one(f: &Fixture, lease: Duration) -> Delivery {
    soon(async {
        loop {
            if let Some(delivery) = f.bus.receive("q", 1, lease).await.unwrap().pop() {
                return delivery;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
}

fn counts(delivery: &Delivery) -> (u32, u32, u32) {
    (delivery.attempt, delivery.lost, delivery.handed_back)
}

/// Counts its tries, and fails.
#[derive(Default)]
struct Fails(AtomicU32);

#[async_trait]
impl EventHandler for Fails {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }

    async fn handle(&self, _: &Envelope) -> Result<(), HandlerError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(HandlerError::Transient("not now".to_owned()))
    }
}

/// Has a consumer handle what there is until it is given up; gives the error and how often it was tried.
async fn given_up(f: &Fixture) -> (String, u32) {
    let fails = Arc::new(Fails::default());
    let policy = RetryPolicy { attempts: 3, base: Duration::ZERO, most: Duration::ZERO };
    let consumer = Consumer::new(f.bus.clone(), "q", fails.clone(), policy);
    soon(async {
        while f.bus.count("q").await.unwrap() != (0, 1) {
            consumer.step().await.unwrap();
        }
    })
    .await;
    (f.dead("q").await.remove(0).error, fails.0.load(Ordering::SeqCst))
}

async fn deaths(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    f.bus.retry(&one(&f, LEASE).await, Duration::ZERO, "not now").await.unwrap();
    for lost in 0..4 {
        assert_eq!(counts(&one(&f, death(&f)).await), (lost + 2, lost, 0));
    }
    let taken = one(&f, LEASE).await;
    assert_eq!(counts(&taken), (6, 4, 0));
    f.bus.hand_back(&taken).await.unwrap();
    assert_eq!(counts(&one(&f, death(&f)).await), (7, 4, 1));
    let taken = one(&f, LEASE).await;
    assert_eq!(counts(&taken), (8, 5, 1));
    f.bus.retry(&taken, Duration::ZERO, "not now").await.unwrap();
    // Two of three tries are used, and no more.
    assert_eq!(given_up(&f).await, ("not now".to_owned(), 1));
    assert_eq!(
        f.world.number("SELECT count(*) FROM bus.comebacks").await,
        0,
        "nothing is kept of what ended"
    );
    // What an operator sends again begins anew.
    let event = f.dead("q").await[0].event;
    f.bus.replay("q", &[event]).await.unwrap();
    assert_eq!(counts(&one(&f, LEASE).await), (1, 0, 0));
}

async fn kills(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    for lost in 0..ENOUGH {
        assert_eq!(counts(&one(&f, death(&f)).await), (lost + 1, lost, 0));
    }
    let (error, tries) = given_up(&f).await;
    assert_eq!((error.as_str(), tries), ("9 consumers died with it in hand", 0));
}

/// What two consumers died with is handled while no other such message is, so that only the cause is taken for it.
async fn suspects(f: Fixture) {
    f.bus.subscribe("q", &["a"]).await.unwrap();
    f.bus.publish(&["one", "other"].map(|city| f.world.envelope("a", city))).await.unwrap();
    for _ in 0..2 {
        let (first, second) = (one(&f, LAPSE).await, one(&f, LAPSE).await);
        assert_ne!(first.envelope.unwrap().id, second.envelope.unwrap().id);
    }
    let first = one(&f, LEASE).await;
    assert_eq!(counts(&first), (3, 2, 0));
    // The other's lease has ended too, or does now; it comes when the first has ended.
    tokio::time::sleep(LAPSE + death(&f)).await;
    assert!(f.bus.receive("q", 8, LEASE).await.unwrap().is_empty(), "two suspects at once");
    f.bus.done(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(one(&f, LEASE).await.lost, 2);
}
