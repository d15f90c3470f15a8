//! Hands the messages of a queue to a handler.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cs_db::Wakeups;
use cs_rpc::Tasks;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::attempt::{LONGEST, Next, Takes, handled, out_of_time};
use crate::bus::within;
use crate::hand::{Hand, SLOTS};
use crate::lanes::{self, PATIENCE};
use crate::told::{Ended, Telling};
use crate::{Bus, BusError, Delivery, Envelope, HandlerError, RetryPolicy, fault};

/// A consumer that died is waited for this long; one that works renews it three times as often.
const LEASE: Duration = Duration::from_secs(60);
/// How often what is parked is given back, by a bus in the database, and by one that is asked over the network.
const UNPARK: Duration = Duration::from_secs(60);
const UNPARK_REMOTE: Duration = Duration::from_secs(300);

/// Has the effect of an event, once, however often it comes: it records [`crate::inbox::first_time`] in the
/// transaction of the effect.
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// The types it wants; others are never delivered, or parked where an older subscription still brings them.
    fn types(&self) -> &'static [&'static str];
    /// The newest version of a type that it reads. A newer one is parked until a handler starts that reads it.
    fn newest(&self, _kind: &str) -> u32 {
        1
    }
    /// How often a type is tried, where it differs from the consumer's policy.
    fn policy(&self, _kind: &str) -> Option<RetryPolicy> {
        None
    }
    /// Has the effect.
    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError>;
    /// The event was given up: whatever waits for it is told.
    async fn given_up(&self, _envelope: &Envelope, _error: &str) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// Takes from one queue.
#[derive(Clone)]
pub struct Consumer {
    pub(crate) bus: Arc<dyn Bus>,
    queue: String,
    handler: Arc<dyn EventHandler>,
    policy: RetryPolicy,
    lease: Duration,
    pub(crate) stop: CancellationToken,
}

impl Consumer {
    /// From `queue` to `handler`.
    pub fn new(bus: Arc<dyn Bus>, queue: &str, handler: Arc<dyn EventHandler>, policy: RetryPolicy) -> Self {
        let (queue, stop) = (queue.to_owned(), CancellationToken::new());
        Self { bus, queue, handler, policy, lease: LEASE, stop }
    }

    /// Waits for another time for a consumer that died with a message in hand.
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The queue's name and the types it gets.
    pub fn wants(&self) -> (&str, &'static [&'static str]) {
        (&self.queue, self.handler.types())
    }

    /// Makes the queue get what the handler wants, and gives it what was parked until it could be read. What a newer
    /// replica asked for stays: an older one that starts again during an upgrade takes nothing from it.
    pub async fn subscribe(&self) -> Result<(), BusError> {
        self.bus.want(&self.queue, self.handler.types()).await?;
        self.unpark().await
    }

    async fn unpark(&self) -> Result<(), BusError> {
        let types = self.handler.types();
        let readable: Vec<(&str, u32)> =
            types.iter().map(|kind| (*kind, self.handler.newest(kind))).collect();
        let revived = self.bus.unpark(&self.queue, &readable).await?;
        if revived > 0 {
            tracing::info!(queue = self.queue, revived, "what was parked for this version is handled now");
        }
        Ok(())
    }

    /// Consumes until the tasks drain.
    pub fn run(mut self, tasks: &Tasks, wakeups: &Wakeups, lanes: usize) {
        self.stop = tasks.stopping();
        // A bus that waits for messages itself needs no sleep; a moment, so that one that does not wait is not hammered.
        let idle = if self.bus.waits() { Duration::from_millis(50) } else { lanes::POLL };
        let name = format!("queue.{}", self.queue);
        self.clone().keep_unparking(tasks);
        self.clone().keep_holding(tasks);
        for _ in 0..lanes {
            let (consumer, wake) = (self.clone(), wakeups.get(&name));
            tasks.spawn(async move { consumer.lane(&wake, idle).await });
        }
    }

    /// Asks again for what it wants, and gives back what can be read, now and then: an older replica parks events for as
    /// long as it runs beside this one, and two that change a filter at once may lose one's types.
    fn keep_unparking(self, tasks: &Tasks) {
        let every = if self.bus.waits() { UNPARK_REMOTE } else { UNPARK };
        tasks.spawn(async move {
            while tokio::time::timeout(every, self.stop.cancelled()).await.is_err() {
                if let Err(error) = within(PATIENCE, self.subscribe()).await {
                    tracing::warn!(%error, queue = self.queue, "what is parked could not be looked through; it is tried again");
                }
            }
        });
    }

    /// Keeps what the bus has in hand for this consumer ahead of its turn; gives it back at the end.
    fn keep_holding(self, tasks: &Tasks) {
        tasks.spawn(async move {
            while tokio::time::timeout(self.lease / 3, self.stop.cancelled()).await.is_err() {
                self.bus.hold(&self.queue, self.lease).await;
            }
            self.bus.let_go(&self.queue).await;
        });
    }

    /// Handles what is there now, up to what a lane has in hand at once; gives how much.
    pub async fn step(&self) -> Result<usize, BusError> {
        let deliveries = self.receive(SLOTS).await?;
        let size = deliveries.len();
        let mut hand = Hand::new(self);
        hand.take(deliveries);
        let mut outcome = Ok(size);
        while !hand.is_empty() {
            if let Err(error) = hand.progress().await {
                outcome = Err(error);
            }
        }
        outcome
    }

    pub(crate) async fn receive(&self, most: u32) -> Result<Vec<Delivery>, BusError> {
        let deliveries =
            within(PATIENCE, self.bus.receive_until(&self.stop, &self.queue, most, self.lease)).await?;
        if !deliveries.is_empty() {
            fault!("consumer.received");
        }
        Ok(deliveries)
    }

    pub(crate) async fn end(&self, done: &[Delivery]) -> Result<(), BusError> {
        fault!("consumer.handled");
        within(PATIENCE, self.bus.done(done)).await?;
        fault!("consumer.done");
        Ok(())
    }

    /// Gives the delivery back where it was handled and is to be ended.
    pub(crate) async fn deliver(&self, delivery: Delivery) -> Result<Option<Delivery>, BusError> {
        let told = Telling::of_event(delivery.envelope.as_ref().ok(), &self.queue, delivery.attempt);
        let span = told.span.clone();
        // Beside the handler, what became of it is told and written.
        let worked = within(LONGEST * 2, self.work(&delivery)).instrument(span).await;
        let outcome = match &worked {
            Ok(ended) => told.end(ended),
            Err(error) => told.end(&Ended::Unwritten(error.to_string())),
        };
        metrics::counter!("councilsense_events_total", "queue" => self.queue.clone(), "outcome" => outcome)
            .increment(1);
        Ok(matches!(worked?, Ended::Done).then_some(delivery))
    }

    /// Has it handled, and puts it where it belongs where that went wrong.
    async fn work(&self, delivery: &Delivery) -> Result<Ended, BusError> {
        let envelope = match &delivery.envelope {
            Ok(envelope) => envelope,
            Err(rubbish) => {
                self.bus.bury(delivery, &rubbish.error).await?;
                return Ok(Ended::Malformed(rubbish.error.clone()));
            }
        };
        if let Some(why) = self.unreadable(envelope) {
            self.bus.park(delivery, &why).await?;
            fault!("consumer.parked");
            return Ok(Ended::Parked(why));
        }
        let policy = self.handler.policy(&envelope.kind).unwrap_or(self.policy);
        let Delivery { attempt, lost, handed_back, .. } = *delivery;
        let takes = Takes { attempt, lost, handed_back };
        let handled = if let Some(killed) = takes.killed("consumers") {
            Err(killed)
        } else {
            tokio::select! {
                handled = handled(LONGEST, self.handler.handle(envelope)) => handled,
                never = self.renew(delivery) => never,
                () = out_of_time(&self.stop) => {
                    self.bus.hand_back(delivery).await?;
                    return Ok(Ended::HandedBack);
                }
            }
        };
        let give_up = async |error: String| self.handler.given_up(envelope, &error).await;
        match takes.next(handled, policy, give_up).await {
            Next::End => Ok(Ended::Done),
            Next::Leave => Ok(Ended::Lost),
            Next::Again { error, wait } => {
                fault!("consumer.failed");
                self.bus.retry(delivery, wait, &error).await?;
                fault!("consumer.retried");
                Ok(Ended::Retried { error, wait })
            }
            Next::Bury(error) => {
                fault!("consumer.told");
                self.bus.bury(delivery, &error).await?;
                fault!("consumer.buried");
                Ok(Ended::Dead(error))
            }
        }
    }

    fn unreadable(&self, envelope: &Envelope) -> Option<String> {
        let (kind, version) = (&envelope.kind, envelope.version);
        if !self.handler.types().contains(&kind.as_str()) {
            return Some(format!("this version knows no {kind}; a newer one gets it when it starts"));
        }
        let newest = self.handler.newest(kind);
        (version > newest).then(|| {
            format!("{kind} has version {version}, this version reads up to {newest}; a newer one gets it when it starts")
        })
    }

    /// Keeps the message in hand while the handler works; never ends.
    async fn renew(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            match self.bus.extend(delivery, self.lease).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!("another consumer has the message now");
                    return Err(HandlerError::LeaseLost);
                }
                Err(error) => tracing::warn!(%error, "the lease of a message could not be renewed"),
            }
        }
    }
}
