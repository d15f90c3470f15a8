//! When to try again.

use std::time::Duration;

use cs_db::DbError;
use cs_rpc::{Failure, chain};

use crate::PayloadError;

/// Exponential backoff with full jitter, bounded.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Tries in all.
    pub attempts: u32,
    /// The first wait is at most this.
    pub base: Duration,
    /// No wait is longer.
    pub most: Duration,
}

impl RetryPolicy {
    /// What most work gets: five more tries, mostly within half a minute.
    pub const STANDARD: Self =
        Self { attempts: 6, base: Duration::from_millis(500), most: Duration::from_secs(60) };

    /// For what waits on another service or a city's web server: an outage of half an hour is no reason to give up.
    pub const PATIENT: Self =
        Self { attempts: 60, base: Duration::from_millis(500), most: Duration::from_secs(120) };

    /// The wait before the try after `attempt`: uniform between nothing and base × 2^(attempt − 1), so that what
    /// failed together does not come back together.
    pub fn wait(&self, attempt: u32) -> Duration {
        let ceiling = self.base.saturating_mul(1u32 << attempt.saturating_sub(1).min(20)).min(self.most);
        ceiling.mul_f64(rand::random::<f64>())
    }
}

/// Why a handler did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The same work may succeed later.
    #[error("{0}")]
    Transient(String),
    /// It never will.
    #[error("{0}")]
    Permanent(String),
    /// Another worker has the work now; what this one did was rolled back.
    #[error("the lease was lost")]
    LeaseLost,
}

impl From<DbError> for HandlerError {
    fn from(error: DbError) -> Self {
        let text = chain(&error);
        if error.is_transient() { Self::Transient(text) } else { Self::Permanent(text) }
    }
}

impl From<PayloadError> for HandlerError {
    fn from(error: PayloadError) -> Self {
        Self::Permanent(chain(&error))
    }
}

impl From<tonic::Status> for HandlerError {
    fn from(status: tonic::Status) -> Self {
        let failure = Failure::from(&status);
        let text = format!("{}: {}", failure.reason.as_str_name(), failure.message);
        if failure.retryable { Self::Transient(text) } else { Self::Permanent(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let policy =
            RetryPolicy { attempts: 40, base: Duration::from_secs(1), most: Duration::from_secs(10) };
        for attempt in 1..40 {
            let ceiling = Duration::from_secs(1u64 << (attempt - 1).min(20)).min(policy.most);
            assert!((0..50).all(|_| policy.wait(attempt) <= ceiling));
        }
        assert!((0..200).any(|_| policy.wait(30) > Duration::from_secs(5)), "jitter uses the whole range");
    }
}
