//! Notifications: follows, preferences, and what residents were told, once each.
//!
//! It owns the schema `notifications`, and nothing else. It never reads another service's tables: names of cities it
//! asks meetings, addresses accounts, what a search matches search. The way of a notification is [`announce`] (a meeting
//! was published: one notice), [`fan_out`] (the notice to its followers, in batches), [`hand_over`] (what is due, into
//! inboxes and to channels), [`send`] (transaction C, by e-mail, web push and webhook), [`inbox`] and `watch` (the
//! resident reads).

pub mod addresses;
pub mod announce;
pub mod channel;
mod error;
pub mod export;
pub mod fan_out;
pub mod follow;
pub mod gauges;
mod grpc;
pub mod hand_over;
pub mod home;
pub mod inbox;
pub mod keys;
pub mod matching;
mod messages;
mod people;
mod places;
pub mod preferences;
mod reason;
pub mod retention;
pub mod retract;
pub mod saved_search;
pub mod schedule;
pub mod send;
mod settings;
mod store;
pub mod unsubscribe;
mod watch;
mod workers;

use cs_core::Ids;
use cs_db::{Db, Wakeups};
use cs_net::Trust;
use cs_rpc::Outbound;
use url::Url;

pub use error::Error;
pub use grpc::NotificationsService;
pub use send::Sender;
pub use settings::{Settings, SettingsError, sender};
pub use workers::{EVENTS, QUEUE, consumer, job_worker, match_worker};

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
    /// To accounts, which knows e-mail addresses.
    pub accounts: Option<cs_rpc::Channel>,
    /// To search, which knows what a saved search matches.
    pub search: Option<cs_rpc::Channel>,
    /// Signs the calls to them, as `service:notifications`.
    pub outbound: Outbound,
    /// Signs links, webhooks and pushes.
    pub keys: keys::Keys,
    /// Where people find the web page.
    pub public_url: Url,
    /// Which addresses of other people's may be reached.
    pub trust: Trust,
    /// The channels that can be chosen.
    pub available: Vec<&'static str>,
}
