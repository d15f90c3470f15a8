//! How workers run: lanes that sleep until woken, and drain.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cs_rpc::Tasks;
use tokio::sync::Notify;

/// Longest sleep: notifications can be lost with a connection, and retries become due without one.
pub(crate) const POLL: Duration = Duration::from_millis(1000);
/// Longest that a batch of facts, or a call to the bus, may take. A connection whose other end is gone without a word is waited
/// at for ever, and a lease would be renewed all the while.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// Sleep after a step that failed, so that a database that is away is not hammered.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Runs `count` lanes. A lane repeats `step` while it finds work, then sleeps until woken by `wake`, or for [`POLL`]. A step
/// that takes longer than `longest` is dropped: what it had in hand comes again when its lease ends.
pub(crate) fn run<F, Fut, E>(
    tasks: &Tasks,
    wake: &Arc<Notify>,
    name: &str,
    count: usize,
    longest: Duration,
    step: F,
) where
    F: Fn() -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<usize, E>> + Send,
    E: std::fmt::Display + Send,
{
    for _ in 0..count {
        let (step, wake, stop, name) = (step.clone(), wake.clone(), tasks.stopping(), name.to_owned());
        tasks.spawn(async move {
            while !stop.is_cancelled() {
                let error = match tokio::time::timeout(longest, step()).await {
                    Ok(Ok(0)) => {
                        sleep(&wake, POLL, &stop).await;
                        continue;
                    }
                    Ok(Ok(_)) => {
                        // There may be more than one lane's worth.
                        wake.notify_one();
                        continue;
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("nothing came of it within {} s", longest.as_secs()),
                };
                tracing::warn!(error, lane = name, "this worker could not go on; it tries again");
                sleep(&Notify::new(), AFTER_FAILURE, &stop).await;
            }
        });
    }
}

async fn sleep(wake: &Notify, most: Duration, stop: &tokio_util::sync::CancellationToken) {
    tokio::select! {
        () = wake.notified() => {}
        () = tokio::time::sleep(most) => {}
        () = stop.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_step_that_never_ends_does_not_end_its_lane() {
        let (tasks, steps) = (Tasks::default(), Arc::new(AtomicU32::new(0)));
        let counted = steps.clone();
        let step = move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move { if number == 0 { pending().await } else { Ok::<usize, Infallible>(0) } }
        };
        run(&tasks, &Arc::default(), "lane", 1, Duration::from_millis(10), step);
        let more = async {
            while steps.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), more).await.expect("the lane hangs");
        assert!(tasks.drain(Duration::from_secs(60)).await);
    }
}
