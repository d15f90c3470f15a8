//! Hands the messages of a queue to a handler.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cs_db::Wakeups;
use cs_rpc::Tasks;
use futures::future::join_all;
use tracing::Instrument;

use crate::{Bus, BusError, Delivery, Envelope, HandlerError, RetryPolicy, lanes};

/// Messages taken at once.
const BATCH: u32 = 8;
/// A consumer that died is waited for this long.
const LEASE: Duration = Duration::from_secs(60);

/// Has the effect of an event, once, however often it comes: it records [`crate::inbox::first_time`] in the
/// transaction of the effect.
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// The types it wants; others are never delivered.
    fn types(&self) -> &'static [&'static str];
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
    bus: Arc<dyn Bus>,
    queue: String,
    handler: Arc<dyn EventHandler>,
    policy: RetryPolicy,
}

impl Consumer {
    /// From `queue` to `handler`.
    pub fn new(bus: Arc<dyn Bus>, queue: &str, handler: Arc<dyn EventHandler>, policy: RetryPolicy) -> Self {
        Self { bus, queue: queue.to_owned(), handler, policy }
    }

    /// Makes the queue get what the handler wants.
    pub async fn subscribe(&self) -> Result<(), BusError> {
        self.bus.subscribe(&self.queue, self.handler.types()).await
    }

    /// Consumes until the tasks drain.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups, lanes: usize) {
        let name = format!("queue.{}", self.queue);
        lanes::run(tasks, wakeups, &name, lanes, move || {
            let consumer = self.clone();
            async move { consumer.step().await }
        });
    }

    /// Handles what is there now, up to one batch; gives its size.
    pub async fn step(&self) -> Result<usize, BusError> {
        let deliveries = self.bus.receive(&self.queue, BATCH, LEASE).await?;
        for result in join_all(deliveries.iter().map(|delivery| self.deliver(delivery))).await {
            result?;
        }
        Ok(deliveries.len())
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<(), BusError> {
        let envelope = match &delivery.envelope {
            Ok(envelope) => envelope,
            Err(rubbish) => return self.bus.bury(delivery, rubbish).await,
        };
        let span = envelope.span("consume");
        let handled = self.handler.handle(envelope).instrument(span.clone()).await;
        match handled {
            Ok(()) => self.bus.done(delivery).await.map(|_| ()),
            Err(HandlerError::LeaseLost) => Ok(()),
            Err(HandlerError::Transient(error)) if delivery.attempt < self.policy.attempts => {
                let wait = self.policy.wait(delivery.attempt);
                span.in_scope(|| {
                    tracing::info!(error, attempt = delivery.attempt, ?wait, "event to be tried again")
                });
                self.bus.retry(delivery, wait, &error).await
            }
            Err(HandlerError::Transient(error) | HandlerError::Permanent(error)) => {
                span.in_scope(|| {
                    tracing::error!(error, attempt = delivery.attempt, "event put to the dead letters")
                });
                if let Err(told) = self.handler.given_up(envelope, &error).await {
                    span.in_scope(
                        || tracing::error!(error = %told, "nobody could be told that the event was given up"),
                    );
                }
                self.bus.bury(delivery, &error).await
            }
        }
    }
}
