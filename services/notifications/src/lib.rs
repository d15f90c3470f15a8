//! Notifications: follows, preferences, and what residents were told, once each.
//!
//! It owns the schema `notifications`, and nothing else. It never reads another service's tables: names of cities it
//! asks meetings. The way of a notification is [`announce`] (a meeting was published: one notice), [`fan_out`] (the
//! notice to its followers, in batches), [`send`] (transaction C), [`inbox`] and [`watch`] (the resident reads).

pub mod announce;
pub mod channel;
mod error;
pub mod fan_out;
pub mod follow;
mod grpc;
pub mod home;
pub mod inbox;
mod messages;
mod places;
pub mod preferences;
mod reason;
pub mod send;
mod store;
mod watch;
mod workers;

use cs_core::Ids;
use cs_db::{Db, Wakeups};
use cs_rpc::Outbound;

pub use error::Error;
pub use grpc::NotificationsService;
pub use send::{Sender, sender};
pub use workers::{EVENTS, QUEUE, consumer, job_worker};

/// The schema.
pub const SCHEMA: &str = "notifications";
/// Its migrations.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// What the service needs.
#[derive(Clone)]
pub struct Deps {
    /// The schema `notifications`.
    pub db: Db,
    /// Clock and ids.
    pub ids: Ids,
    /// Wakes the sender and the watchers of inboxes.
    pub wakeups: Wakeups,
    /// To meetings, which knows the cities and bodies.
    pub meetings: cs_rpc::Channel,
    /// Signs the calls to it, as `service:notifications`.
    pub outbound: Outbound,
}
