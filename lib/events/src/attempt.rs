//! One try of a piece of work, a message or a job: what both consumers and workers do about it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::{HandlerError, RetryPolicy};

/// Workers that may die with one piece of work in hand before it is taken for the cause.
const LOST_MOST: u32 = 8;
/// What is still being handled this long after the word to stop is handed back.
const HAND_BACK: Duration = Duration::from_secs(10);
/// Longest that a handler may take. A connection whose other end is gone without a word is waited at for ever, and the lease
/// would be renewed all the while.
pub(crate) const LONGEST: Duration = Duration::from_secs(30 * 60);

/// How often a piece of work was taken, and how often that ended with the death of whoever took it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    /// This time included.
    pub(crate) attempt: u32,
    pub(crate) lost: u32,
    /// And how often that was cut short by the stop of its process.
    pub(crate) handed_back: u32,
}

/// What is to be done with a piece of work after a try.
#[derive(Debug)]
pub(crate) enum Next {
    /// Nothing more.
    End,
    /// Another worker has it.
    Leave,
    /// It comes again.
    Again { error: String, wait: Duration },
    /// It is put to the dead letters.
    Bury(String),
}

impl Takes {
    /// Tries that came to an end. A worker's death is mostly not the work's fault, and has a bound of its own; the stop of
    /// a process never is, and has none.
    fn tries(self) -> u32 {
        self.attempt.saturating_sub(self.lost).saturating_sub(self.handed_back)
    }

    /// Why it is not tried any more, where it has cost too many workers their lives.
    pub(crate) fn killed(self, who: &str) -> Option<HandlerError> {
        (self.lost > LOST_MOST)
            .then(|| HandlerError::Permanent(format!("{} {who} died with it in hand", self.lost)))
    }

    /// What comes after `outcome`. Before work is given up, `given_up` tells whoever waits for it.
    pub(crate) async fn next<F>(
        self,
        outcome: Result<(), HandlerError>,
        policy: RetryPolicy,
        given_up: impl FnOnce(String) -> F,
    ) -> Next
    where
        F: Future<Output = Result<(), HandlerError>>,
    {
        let tries = self.tries();
        let error = match outcome {
            Ok(()) => return Next::End,
            Err(HandlerError::LeaseLost) => return Next::Leave,
            Err(HandlerError::Transient(error)) if tries < policy.attempts => {
                return Next::Again { error, wait: policy.wait(tries) };
            }
            Err(HandlerError::Transient(error) | HandlerError::Permanent(error)) => error,
        };
        match caught(given_up(error.clone())).await {
            Ok(()) => {}
            Err(HandlerError::LeaseLost) => return Next::Leave,
            // Put away now, whatever waits for it would wait for ever.
            Err(HandlerError::Transient(told)) => {
                tracing::warn!(error = told, "nobody can be told now that this is given up: it comes again");
                return Next::Again { error, wait: policy.wait(tries) };
            }
            Err(HandlerError::Permanent(told)) => {
                tracing::error!(error = told, "nobody could be told that this was given up");
            }
        }
        Next::Bury(error)
    }
}

/// A panic is a defect that the same input meets again: no retry, and the lane goes on with the next.
pub(crate) async fn caught(work: impl Future<Output = Result<(), HandlerError>>) -> Result<(), HandlerError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(HandlerError::Permanent(format!("the handler panicked: {text}")))
    })
}

/// What a handler does within `longest`; a try that takes longer may go better the next time.
pub(crate) async fn handled(
    longest: Duration,
    work: impl Future<Output = Result<(), HandlerError>>,
) -> Result<(), HandlerError> {
    tokio::time::timeout(longest, caught(work)).await.unwrap_or_else(|_| {
        Err(HandlerError::Transient(format!("it was not done within {} s", longest.as_secs())))
    })
}

/// Ends a while after the word to stop.
pub(crate) async fn out_of_time(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(HAND_BACK).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn after(takes: Takes) -> Next {
        let failed = Err(HandlerError::Transient("not now".to_owned()));
        takes.next(failed, RetryPolicy { attempts: 2, ..RetryPolicy::STANDARD }, async |_| Ok(())).await
    }

    #[tokio::test]
    async fn what_never_ends_is_a_try_that_failed() {
        let outcome = handled(Duration::from_millis(1), std::future::pending()).await;
        assert!(matches!(outcome, Err(HandlerError::Transient(_))), "{outcome:?}");
    }

    #[tokio::test]
    async fn neither_deaths_nor_stops_are_tries() {
        let takes = Takes { attempt: 109, lost: LOST_MOST, handed_back: 100 };
        assert!(takes.killed("workers").is_none() && matches!(after(takes).await, Next::Again { .. }));
        let takes = Takes { attempt: 110, ..takes };
        assert!(matches!(after(takes).await, Next::Bury(_)), "the second try was the last");
        assert!(Takes { lost: LOST_MOST + 1, ..takes }.killed("workers").is_some());
    }
}
