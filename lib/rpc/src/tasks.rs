//! The only way to spawn: tasks that are told to stop, and waited for.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest turn of what is done now and then: over a connection whose other end is gone without a word nothing ever comes.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Tracks every background task of a process.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Runs `task` in the background; it watches [`Tasks::stopping`] and ends by itself.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Does `work` each time that `period` has passed, until the process drains. A turn that takes an hour is dropped.
    pub fn every<F>(&self, period: Duration, work: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        self.every_within(LONGEST, period, work);
    }

    fn every_within<F>(&self, longest: Duration, period: Duration, work: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let stop = self.stopping();
        self.spawn(async move {
            while tokio::time::timeout(period, stop.cancelled()).await.is_err() {
                if tokio::time::timeout(longest, work()).await.is_err() {
                    tracing::warn!(
                        longest_s = longest.as_secs(),
                        "what is done now and then did not end; it is tried again"
                    );
                }
            }
        });
    }

    /// Cancelled when the process drains.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every task to stop and waits for them. `false`: some were still at work after `patience`.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_turn_that_never_ends_is_not_the_last() {
        let (tasks, turns) = (Tasks::default(), Arc::new(AtomicU32::new(0)));
        let (counted, short) = (turns.clone(), Duration::from_millis(1));
        tasks.every_within(short, short, move || {
            counted.fetch_add(1, Ordering::SeqCst);
            pending()
        });
        let more = async {
            while turns.load(Ordering::SeqCst) < 3 {
                tokio::time::sleep(short).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), more).await.expect("it stands still");
        assert!(tasks.drain(Duration::from_secs(60)).await);
    }
}
