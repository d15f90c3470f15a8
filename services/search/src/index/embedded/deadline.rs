//! How long a search may take. Nothing is broken off: it is asked between steps.

use std::time::{Duration, Instant};

use crate::index::IndexError;

/// The end of a search's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    until: Instant,
    within: Duration,
}

impl Deadline {
    pub(super) fn new(now: Instant, within: Duration) -> Self {
        Self { until: now + within, within }
    }

    pub(super) fn left(self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// For a step before anything was found.
    pub(super) fn check(self) -> Result<(), IndexError> {
        if self.is_over() { Err(self.late()) } else { Ok(()) }
    }

    pub(super) fn late(self) -> IndexError {
        IndexError::Late(self.within)
    }
}
