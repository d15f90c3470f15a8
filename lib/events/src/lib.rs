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
#[cfg(feature = "faults")]
pub mod dying;
mod envelope;
#[cfg(feature = "faults")]
pub mod faults;
pub mod gauges;
mod hand;
pub mod inbox;
pub mod jobs;
mod lanes;
pub mod outbox;
mod relay;
mod retry;
mod told;
mod worker;

/// A point at which a test may stop the worker as if its process had died: the function around it gives an error.
/// Nothing at all without the feature `faults`.
#[cfg(feature = "faults")]
#[macro_export]
macro_rules! fault {
    ($point:literal) => {
        $crate::faults::at($point)?
    };
}
/// A point at which a test may stop the worker as if its process had died; nothing at all without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[macro_export]
macro_rules! fault {
    ($point:literal) => {};
}

/// A point behind which a test drops the worker as if its process had died, so that no error comes of it; see `dying.rs`.
/// Nothing at all without the feature `faults`.
#[cfg(feature = "faults")]
#[macro_export]
macro_rules! dies_at {
    ($point:literal) => {
        $crate::dying::at($point).await
    };
}
/// A point behind which a test drops the worker as if its process had died; nothing at all without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[macro_export]
macro_rules! dies_at {
    ($point:literal) => {};
}

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
