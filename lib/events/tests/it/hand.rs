//! A slow message holds up no other of its lane, and what a process that stops hands back was not tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cs_db::Wakeups;
use cs_events::{Consumer, Delivery, Envelope, EventHandler, HandlerError, RetryPolicy};
use cs_rpc::Tasks;
use tokio::sync::{Notify, watch};

use crate::contract::{Fixture, promises};
use crate::support::soon;

const OTHERS: usize = 20;

/// One city's message waits until it is let go; the others are counted.
#[derive(Default)]
struct Stuck {
    begun: Notify,
    go_on: Notify,
    others: watch::Sender<usize>,
}

#[async_trait]
impl EventHandler for Stuck {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        if envelope.resource.id == "stuck" {
            self.begun.notify_one();
            self.go_on.notified().await;
        } else {
            self.others.send_modify(|others| *others += 1);
        }
        Ok(())
    }
}

promises!(refills, renews, hands_back, gives_back_ahead, restarts);

/// With one lane, which takes eight at first, and the slow one among them.
async fn refills(f: Fixture) {
    let stuck = Arc::new(Stuck::default());
    let consumer = Consumer::new(f.bus.clone(), "q", stuck.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "stuck")]).await.unwrap();
    let others: Vec<_> = (0..OTHERS).map(|n| f.world.envelope("a", &format!("z{n}"))).collect();
    f.bus.publish(&others).await.unwrap();
    let tasks = Tasks::default();
    consumer.run(&tasks, &Wakeups::default(), 1);
    let all = async {
        let _ = stuck.others.subscribe().wait_for(|others| *others == OTHERS).await;
        while f.bus.count("q").await.unwrap() != (1, 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, all).await.expect("the others wait for the slow one");
    stuck.go_on.notify_one();
    assert!(tasks.drain(patience).await, "the lane ends with what it has in hand");
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 0));
}

/// Who works for longer than the lease keeps what it works on.
async fn renews(f: Fixture) {
    let (stuck, lease) = (Arc::new(Stuck::default()), Duration::from_secs(6));
    let consumer = Consumer::new(f.bus.clone(), "q", stuck.clone(), RetryPolicy::STANDARD).with_lease(lease);
    consumer.subscribe().await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "stuck")]).await.unwrap();
    let tasks = Tasks::default();
    consumer.run(&tasks, &Wakeups::default(), 1);
    soon(stuck.begun.notified()).await;
    tokio::time::sleep(lease * 2).await;
    assert!(f.bus.receive("q", 1, lease).await.unwrap().is_empty(), "another had it");
    stuck.go_on.notify_one();
    assert!(tasks.drain(Duration::from_secs(60)).await);
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 0));
}

const LEASE: Duration = Duration::from_secs(30);

/// Stops a process that has so many messages of one city, and a handler that does not end; gives them as they come again.
async fn after_a_stop(f: &Fixture, count: usize) -> Vec<Delivery> {
    let stuck = Arc::new(Stuck::default());
    let consumer = Consumer::new(f.bus.clone(), "q", stuck.clone(), RetryPolicy::STANDARD);
    consumer.subscribe().await.unwrap();
    let sent: Vec<_> = (0..count).map(|_| f.world.envelope("a", "stuck")).collect();
    f.bus.publish(&sent).await.unwrap();
    // All of it is in the queue before the first is taken: what is being delivered while the process stops comes later.
    soon(async {
        while f.bus.count("q").await.unwrap().0 < count as u64 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let tasks = Tasks::default();
    consumer.run(&tasks, &Wakeups::default(), 1);
    soon(stuck.begun.notified()).await;
    assert!(tasks.drain(Duration::from_secs(60)).await, "what does not end is handed back");
    f.take("q", count, LEASE).await
}

async fn hands_back(f: Fixture) {
    let again = &after_a_stop(&f, 1).await[0];
    assert_eq!((again.attempt, again.lost, again.handed_back), (2, 0, 1));
}

/// What a process took ahead of its turn was with no handler, and comes again as what was handed back.
async fn gives_back_ahead(f: Fixture) {
    let again = after_a_stop(&f, OTHERS).await;
    assert_eq!(again.len(), OTHERS, "nobody waits for a lease to end");
    for one in &again {
        assert_eq!((one.attempt - one.handed_back, one.lost), (1, 0), "{one:?}");
    }
}

/// Fails at first.
#[derive(Default)]
struct Shaky(AtomicU32);

#[async_trait]
impl EventHandler for Shaky {
    fn types(&self) -> &'static [&'static str] {
        &["a"]
    }

    async fn handle(&self, _: &Envelope) -> Result<(), HandlerError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err(HandlerError::Transient("not now".to_owned())),
            _ => Ok(()),
        }
    }
}

/// However often processes stop with it in hand, it has its tries.
async fn restarts(f: Fixture) {
    let shaky = Arc::new(Shaky::default());
    let policy = RetryPolicy { attempts: 2, base: Duration::ZERO, most: Duration::ZERO };
    let consumer = Consumer::new(f.bus.clone(), "q", shaky.clone(), policy);
    consumer.subscribe().await.unwrap();
    f.bus.publish(&[f.world.envelope("a", "city")]).await.unwrap();
    for times in 0..100 {
        let taken = &f.take("q", 1, LEASE).await[0];
        assert_eq!((taken.attempt, taken.lost, taken.handed_back), (times + 1, 0, times));
        f.bus.hand_back(taken).await.unwrap();
    }
    soon(async {
        while f.bus.count("q").await.unwrap() == (1, 0) {
            consumer.step().await.unwrap();
        }
    })
    .await;
    assert_eq!(f.bus.count("q").await.unwrap(), (0, 0), "given up before its time");
    assert_eq!(shaky.0.load(Ordering::SeqCst), 2);
}
