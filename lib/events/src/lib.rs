//! Facts between services and steps inside one, delivered at least once, with exactly one effect.
//!
//! * A use case writes a fact with [`outbox::put`] or a step with [`jobs::put`] in the transaction of its change.
//! * The [`Relay`] alone moves facts to the [`Bus`]; a [`Consumer`] hands them to a handler, which records
//!   [`inbox::first_time`] in the transaction of its effect.
//! * A [`JobWorker`] hands steps to a handler, which ends them with [`jobs::finish`] in the transaction of its effect.
//!
//! Nothing here knows a service. Every table is in the service's own schema.

mod attempt;
pub mod bus;
pub mod chores;
mod consumer;
mod dead_letters;
mod envelope;
#[cfg(feature = "faults")]
pub mod faults;
pub mod gauges;
pub mod inbox;
pub mod jobs;
mod lanes;
pub mod outbox;
mod relay;
mod retry;
mod told;
mod worker;

/// A point at which a test may stop the worker as if its process had died.
#[cfg(feature = "faults")]
macro_rules! fault {
    ($point:literal) => {
        crate::faults::at($point)?
    };
}
#[cfg(not(feature = "faults"))]
macro_rules! fault {
    ($point:literal) => {};
}
pub(crate) use fault;

pub use bus::{Bus, BusError, Delivery, PostgresBus, SnsBus, SnsOptions};
pub use consumer::{Consumer, EventHandler};
pub use dead_letters::{DeadLetterPart, DeadLetters, Ledger};
pub use envelope::{Envelope, Fact, PayloadError, Resource};
pub use relay::Relay;
pub use retry::{HandlerError, RetryPolicy};
pub use worker::{JobHandler, JobWorker};

/// The tables of this library, for every service's schema.
pub static SERVICE_MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/service");
/// The embedded bus, a schema of its own.
pub static BUS_MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/bus");
/// The channel on which the triggers of both notify.
pub const WAKE_CHANNEL: &str = "councilsense_wake";
