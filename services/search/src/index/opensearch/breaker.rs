//! A circuit breaker: an engine that does not answer is not asked by everybody, each waiting for the deadline.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// As many failures in a row open it.
const FAILURES: u32 = 3;
/// So long it stays open; then one call tries.
const OPEN: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Instant>,
}

/// Counts failures in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

impl Breaker {
    /// Whether a call may be made now; else why not.
    pub(super) fn allow(&self, now: Instant) -> Result<(), String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.open_until {
            Some(until) if now < until => Err(format!("it failed {} times in a row", state.failures)),
            Some(_) => {
                // This call tries; the others wait for what becomes of it.
                state.open_until = Some(now + OPEN);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A call got an answer.
    pub(super) fn answered(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    /// A call got none.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        if state.failures >= FAILURES {
            state.open_until = Some(now + OPEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_lets_one_try_and_closes() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            breaker.allow(now).unwrap();
            breaker.failed(now);
        }
        assert!(breaker.allow(now).is_err());
        let later = now + OPEN;
        breaker.allow(later).unwrap();
        assert!(breaker.allow(later).is_err(), "one tries, no more");
        breaker.answered();
        breaker.allow(later).unwrap();
        breaker.allow(later).unwrap();
    }
}
