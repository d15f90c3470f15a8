//! How long an operator's command waits: for services that do not answer, and for meetings that do not move.

use std::time::{Duration, Instant};

use cs_rpc::Failure;

use crate::commands::local::told;

/// An outage that lasts longer is told instead of waited for.
const OUTAGE: Duration = Duration::from_secs(60);
/// The first wait, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How often is said what is waited for.
const SAID_EVERY: Duration = Duration::from_secs(10);
/// Nothing moved for so long: nobody works on it.
const STILL: Duration = Duration::from_secs(300);

/// Tries calls again while services are away. One outage is waited for once, however many calls meet it.
#[derive(Debug)]
pub(super) struct Patience {
    outage: Duration,
    wait: Duration,
    away_since: Option<Instant>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { outage: OUTAGE, wait: FIRST_WAIT, away_since: None }
    }
}

impl Patience {
    /// Does `call` until it succeeds, fails for good, or the services have been away too long.
    pub(super) async fn call<T>(&mut self, call: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut wait = self.wait;
        loop {
            let error = match call().await {
                Ok(done) => {
                    self.away_since = None;
                    return Ok(done);
                }
                Err(error) => error,
            };
            let Some(failure) = error.downcast_ref::<tonic::Status>().map(Failure::from) else {
                return Err(error);
            };
            if failure.retryable {
                let since = *self.away_since.get_or_insert_with(Instant::now);
                if since.elapsed() < self.outage {
                    eprintln!("{}; trying again", failure.message);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
            }
            return Err(match error.downcast::<tonic::Status>() {
                Ok(status) => told(status),
                Err(error) => error,
            });
        }
    }
}

/// What to do after a look at what is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look again.
    Look,
    /// Say what is waited for, then look again.
    Say,
    /// Nobody works on it.
    GiveUp,
}

/// Watches whether what is waited for moves.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Vec<(String, String)>,
    moved: Instant,
    said: Instant,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self { seen: Vec::new(), moved: now, said: now }
    }

    /// `states` is what is under way: ids and states.
    pub(super) fn look(&mut self, states: Vec<(String, String)>, now: Instant) -> Next {
        if states != self.seen {
            (self.seen, self.moved) = (states, now);
        }
        if now.duration_since(self.moved) >= STILL {
            return Next::GiveUp;
        }
        if now.duration_since(self.said) >= SAID_EVERY {
            self.said = now;
            return Next::Say;
        }
        Next::Look
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use cs_proto::errors::v1::Reason;

    use super::*;

    fn away() -> anyhow::Error {
        cs_rpc::status(Reason::Unavailable, "this cannot be served now", &[]).into()
    }

    #[tokio::test]
    async fn one_outage_is_waited_for_once_and_then_told() {
        // Longer than this test takes, however slow the machine.
        let mut patience =
            Patience { outage: Duration::from_secs(3_600), wait: Duration::from_millis(5), away_since: None };
        let tries = Cell::new(0);
        let comes_back = async || {
            tries.set(tries.get() + 1);
            if tries.get() < 4 { Err(away()) } else { Ok(tries.get()) }
        };
        assert_eq!(patience.call(comes_back).await.unwrap(), 4);
        let never = async || -> anyhow::Result<()> {
            tries.set(tries.get() + 1);
            Err(away())
        };
        patience.outage = Duration::from_millis(60);
        let told = patience.call(never).await.unwrap_err().to_string();
        assert!(told.contains("(UNAVAILABLE)"), "{told}");
        let before = tries.get();
        patience.call(never).await.unwrap_err();
        assert_eq!(tries.get(), before + 1, "the next call that meets the same outage is tried once");
        let wrong = async || -> anyhow::Result<()> {
            tries.set(tries.get() + 1);
            Err(cs_rpc::status(Reason::InvalidArgument, "no such city", &[]).into())
        };
        patience.away_since = None;
        let before = tries.get();
        patience.call(wrong).await.unwrap_err();
        assert_eq!(tries.get(), before + 1, "what is wrong stays wrong");
    }

    #[test]
    fn what_moves_is_waited_for_and_what_stands_still_is_not() {
        let began = Instant::now();
        let mut watch = Watch::new(began);
        let at = |state: &str| vec![("meeting".to_owned(), state.to_owned())];
        let mut now = began;
        for round in 0..100 {
            // Slow, and moving.
            now += Duration::from_secs(20);
            assert_eq!(watch.look(at(&round.to_string()), now), Next::Say);
            assert_eq!(watch.look(at(&round.to_string()), now), Next::Look, "not said twice");
        }
        assert_eq!(watch.look(at("99"), now + STILL / 2), Next::Say);
        assert_eq!(watch.look(at("99"), now + STILL), Next::GiveUp);
    }
}
