//! Points at which a test stops a worker as if its process had died: nothing after the point runs.
//!
//! Compiled with the feature `faults` only, which only tests switch on; one point at a time is armed. Other crates set
//! points of their own with [`fault!`](crate::fault).

use std::sync::{Mutex, PoisonError};

use cs_db::DbError;

/// Every point of this crate, between a commit or a call and the next.
pub const POINTS: &[&str] = &[
    "relay.claimed",
    "relay.published",
    "relay.marked",
    "consumer.received",
    "consumer.handled",
    "consumer.done",
    "consumer.failed",
    "consumer.retried",
    "consumer.parked",
    "consumer.told",
    "consumer.buried",
    "worker.claimed",
    "worker.handled",
    "worker.told",
    "worker.given_back",
];

/// Those inside the bus over SNS and SQS, which keeps payloads, letters and counts beside it.
pub const SNS: &[&str] = &[
    "sns.payload_kept",
    "sns.part_published",
    "sns.counted",
    "sns.given_back",
    "sns.deleted",
    "sns.letter_kept",
    "sns.fetched",
    "sns.sent_again",
];

static ARMED: Mutex<Option<&'static str>> = Mutex::new(None);

/// The next worker that comes to `point` stops there.
pub fn arm(point: &'static str) {
    *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = Some(point);
}

/// Disarms; `true`: the point was never reached.
pub fn disarm() -> bool {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
}

/// Where tests may stop a worker as if its process had died.
///
/// # Errors
/// `point` is armed; it is disarmed with this.
pub fn at(point: &'static str) -> Result<(), DbError> {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    if armed.is_some_and(|a| a == point) {
        *armed = None;
        return Err(sqlx::Error::WorkerCrashed.into());
    }
    Ok(())
}
