//! How workers run: lanes that sleep until woken, and drain.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cs_db::Wakeups;
use cs_rpc::Tasks;
use tokio::sync::Notify;

/// Longest sleep: notifications can be lost with a connection, and retries become due without one.
pub(crate) const POLL: Duration = Duration::from_millis(1000);
/// Sleep after a step that failed, so that a database that is away is not hammered.
pub(crate) const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Runs `count` lanes. A lane repeats `step` while it finds work, then sleeps until woken by `name`, or for `idle`.
pub(crate) fn run<F, Fut, E>(
    tasks: &Tasks,
    wakeups: &Wakeups,
    name: &str,
    count: usize,
    idle: Duration,
    step: F,
) where
    F: Fn() -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<usize, E>> + Send,
    E: std::fmt::Display + Send,
{
    for _ in 0..count {
        let (step, wake, stop, name) = (step.clone(), wakeups.get(name), tasks.stopping(), name.to_owned());
        tasks.spawn(async move {
            while !stop.is_cancelled() {
                match step().await {
                    Ok(0) => sleep(&wake, idle, &stop).await,
                    // There may be more than one lane's worth.
                    Ok(_) => wake.notify_one(),
                    Err(error) => {
                        tracing::warn!(%error, lane = name, "this worker could not go on; it tries again");
                        sleep(&Arc::new(Notify::new()), AFTER_FAILURE, &stop).await;
                    }
                }
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
