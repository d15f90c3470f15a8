//! The bus: from the outboxes to one queue a consumer.

mod postgres;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cs_core::{EventId, TenantId};

use crate::Envelope;

pub use postgres::PostgresBus;

/// The bus could not do what was asked; everything is as it was.
#[derive(Debug, thiserror::Error)]
#[error("the bus cannot be reached: {0}")]
pub struct BusError(#[from] pub cs_db::DbError);

/// A message taken from a queue for a while.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message; its bytes where they are no envelope.
    pub envelope: Result<Envelope, String>,
    /// How often it was taken, this time included.
    pub attempt: u32,
    pub(crate) message: i64,
}

/// A message that was given up.
#[derive(Clone, Debug)]
pub struct DeadMessage {
    /// The event.
    pub event: EventId,
    /// Its type.
    pub kind: String,
    /// As it was sent.
    pub envelope: serde_json::Value,
    /// Tries.
    pub attempts: u32,
    /// The last error.
    pub error: String,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
}

/// Publishes to queues and takes from them, at least once. Two engines: Postgres, and (later) SNS → SQS.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Makes `queue` get `types`, and no others.
    async fn subscribe(&self, queue: &str, types: &[&str]) -> Result<(), BusError>;
    /// Sends each envelope to every queue that asked for its type.
    async fn publish(&self, envelopes: &[Envelope]) -> Result<(), BusError>;
    /// Takes up to `most` messages; what is not ended within `lease` comes again.
    async fn receive(&self, queue: &str, most: u32, lease: Duration) -> Result<Vec<Delivery>, BusError>;
    /// Ends a message. `false`: the lease was lost.
    async fn done(&self, delivery: &Delivery) -> Result<bool, BusError>;
    /// Gives a message back, to come again after `wait`.
    async fn retry(&self, delivery: &Delivery, wait: Duration, error: &str) -> Result<(), BusError>;
    /// Puts a message to the dead letters.
    async fn bury(&self, delivery: &Delivery, error: &str) -> Result<(), BusError>;
    /// The newest dead letters of a queue in a tenant; `kind` empty: of every type.
    async fn dead(
        &self,
        queue: &str,
        tenant: TenantId,
        kind: &str,
        most: u32,
    ) -> Result<Vec<DeadMessage>, BusError>;
    /// Sends a dead letter again. `false`: there is no such one.
    async fn replay(&self, queue: &str, event: EventId) -> Result<bool, BusError>;
    /// Forgets a dead letter. `false`: there is no such one.
    async fn discard(&self, queue: &str, event: EventId) -> Result<bool, BusError>;
    /// Messages waiting or under way, and dead ones.
    async fn count(&self, queue: &str) -> Result<(u64, u64), BusError>;
}
