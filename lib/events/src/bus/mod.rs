//! The bus: from the outboxes to one queue a consumer.

mod postgres;
mod sns;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cs_core::{EventId, TenantId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Envelope;

pub use postgres::PostgresBus;
pub use sns::{Names, QueueReport, SnsBus, SnsOptions};

/// The bus could not do what was asked; everything is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The database of the embedded bus, or of large payloads.
    #[error("the bus cannot be reached: {0}")]
    Database(#[from] cs_db::DbError),
    /// A queue or topic is not there.
    #[error(
        "{0} does not exist: run `councilsense bus ensure`, or make what `councilsense bus ensure --print` names"
    )]
    Missing(String),
    /// The credentials do not allow it.
    #[error(
        "{action} is not allowed to these credentials: allow it, or have somebody make what `councilsense bus ensure --print` names"
    )]
    Denied {
        /// The call.
        action: &'static str,
    },
    /// SNS or SQS did not do it.
    #[error("{action} failed: {message}")]
    Remote {
        /// The call.
        action: &'static str,
        /// What they said.
        message: String,
    },
}

/// What was on a queue and is no envelope.
#[derive(Clone, Debug)]
pub struct Malformed {
    /// Why it is none.
    pub error: String,
    /// What was there, as it came.
    pub bytes: String,
}

/// A message taken from a queue for a while.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub envelope: Result<Envelope, Malformed>,
    /// How often it was taken, this time included.
    pub attempt: u32,
    /// How often a consumer died with it in hand.
    pub lost: u32,
    /// How often it was given back untried.
    pub handed_back: u32,
    pub(crate) queue: String,
    pub(crate) receipt: Receipt,
}

/// Who has the message now.
#[derive(Clone, Debug)]
pub(crate) enum Receipt {
    /// A row; the attempt is the receipt.
    Row(i64),
    /// A receipt handle, the server's name of the message, and what a copy for the dead letters needs.
    Handle { handle: String, message: String, body: String, attributes: HashMap<String, String> },
}

/// A message that was given up, or parked.
#[derive(Clone, Debug)]
pub struct DeadMessage {
    /// The event; of what is no envelope, a name made from its bytes.
    pub event: EventId,
    /// Its type.
    pub kind: String,
    /// As it was sent; of what is no envelope, its bytes as a text.
    pub envelope: serde_json::Value,
    /// How often it was taken, deaths and what was handed back included.
    pub attempts: u32,
    /// The last error.
    pub error: String,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
    /// It waits for a version that can read it.
    pub parked: bool,
}

/// An envelope that was not sent with the others.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// Which.
    pub event: EventId,
    /// Why.
    pub error: String,
    /// For what it is: sent again as it is, it is refused again.
    pub refused: bool,
}

/// Which dead letters.
#[derive(Clone, Copy, Debug)]
pub struct DeadFilter<'a> {
    /// Whose. A letter that names no tenant is the default tenant's, whose operators run the installation.
    pub tenant: TenantId,
    /// Of a type; empty: of every type.
    pub kind: &'a str,
    /// This one only.
    pub event: Option<EventId>,
    /// Those given up before that time, oldest first; `None`: all, newest first.
    pub before: Option<DateTime<Utc>>,
    /// Those behind that place in the list of the newest.
    pub after: Option<DeadPlace>,
}

/// A place in a list of dead letters, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeadPlace {
    /// When the letter was given up.
    pub at: DateTime<Utc>,
    /// Which it is.
    pub id: Uuid,
}

impl<'a> DeadFilter<'a> {
    /// Every letter of a tenant's, of a type where `kind` is not empty, newest first.
    pub fn new(tenant: TenantId, kind: &'a str) -> Self {
        Self { tenant, kind, event: None, before: None, after: None }
    }

    /// Who gets what names no tenant.
    pub(crate) fn unowned() -> TenantId {
        TenantId::of_slug("default")
    }
}

/// Publishes to queues and takes from them, at least once. Two engines: Postgres, and SNS → SQS.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Makes `queue` get `types`, and no others.
    async fn subscribe(&self, queue: &str, types: &[&str]) -> Result<(), BusError>;
    /// Makes `queue` get `types` as well: what a replica of another version asked for stays.
    async fn want(&self, queue: &str, types: &[&str]) -> Result<(), BusError>;
    /// Sends each envelope to every queue that asked for its type; gives those that were not sent. An error: none was.
    async fn publish(&self, envelopes: &[Envelope]) -> Result<Vec<Unpublished>, BusError>;
    /// Sends those envelopes to one queue that it asked for; gives how many.
    async fn send(&self, queue: &str, envelopes: &[Envelope]) -> Result<u64, BusError>;
    /// Takes up to `most` messages; what is not ended within `lease` comes again. A bus that waits for messages waits no longer
    /// than until `stop`.
    async fn receive_until(
        &self,
        stop: &CancellationToken,
        queue: &str,
        most: u32,
        lease: Duration,
    ) -> Result<Vec<Delivery>, BusError>;
    /// The same, as long as it takes.
    async fn receive(&self, queue: &str, most: u32, lease: Duration) -> Result<Vec<Delivery>, BusError> {
        self.receive_until(&CancellationToken::new(), queue, most, lease).await
    }
    /// Keeps what was taken ahead of its turn in hand for another `lease`, where the bus takes any: a consumer asks for it
    /// while it runs.
    async fn hold(&self, _queue: &str, _lease: Duration) {}
    /// Gives back what was taken ahead of its turn.
    async fn let_go(&self, _queue: &str) {}
    /// Whether [`Bus::receive`] itself waits for messages.
    fn waits(&self) -> bool {
        false
    }
    /// Ends messages; gives how many were still in hand.
    async fn done(&self, deliveries: &[Delivery]) -> Result<usize, BusError>;
    /// Keeps a message in hand for another `lease`. `false`: it is not in hand any more.
    async fn extend(&self, delivery: &Delivery, lease: Duration) -> Result<bool, BusError>;
    /// Gives a message back, to come again after `wait`.
    async fn retry(&self, delivery: &Delivery, wait: Duration, error: &str) -> Result<(), BusError>;
    /// Gives a message back untried, to come again at once: the process stops.
    async fn hand_back(&self, delivery: &Delivery) -> Result<(), BusError>;
    /// Puts a message to the dead letters.
    async fn bury(&self, delivery: &Delivery, error: &str) -> Result<(), BusError>;
    /// Keeps a message for a version that can read it.
    async fn park(&self, delivery: &Delivery, why: &str) -> Result<(), BusError>;
    /// Gives back what was parked and can be read now: types, each with the newest version. Gives how many.
    async fn unpark(&self, queue: &str, readable: &[(&str, u32)]) -> Result<u64, BusError>;
    /// Dead letters of a queue.
    async fn dead(&self, queue: &str, which: DeadFilter<'_>, most: u32)
    -> Result<Vec<DeadMessage>, BusError>;
    /// Sends dead letters again; gives those that were dead.
    async fn replay(&self, queue: &str, events: &[EventId]) -> Result<Vec<EventId>, BusError>;
    /// Forgets a dead letter. `false`: there is no such one.
    async fn discard(&self, queue: &str, event: EventId) -> Result<bool, BusError>;
    /// Messages waiting or under way, and dead ones.
    async fn count(&self, queue: &str) -> Result<(u64, u64), BusError>;
    /// Forgets what it kept aside before that time; gives how much.
    async fn tidy(&self, before: DateTime<Utc>) -> Result<u64, BusError>;
}

/// A call to the bus, which has that long: over a connection whose other end is gone without a word it never ends.
pub(crate) async fn within<T>(
    longest: Duration,
    call: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    tokio::time::timeout(longest, call).await.unwrap_or_else(|_| {
        let message = format!("no answer within {} s", longest.as_secs());
        Err(BusError::Remote { action: "the call to the bus", message })
    })
}
