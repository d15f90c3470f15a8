//! A worker that dies at a point: its future is never polled past it. As at a process's end, no error comes of it that the
//! code around could catch, count or write.
//!
//! Compiled with the feature `faults` only, which only tests switch on. A point is armed for one future and not for the
//! program, so that other tests' workers pass it.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::Notify;

tokio::task_local! {
    static DEATH: (&'static str, Arc<Notify>);
}

/// Runs `work`, which dies when it comes to `point` first, and drops it then. `Some`: it ended and never came there.
///
/// What `work` spawns, and what it asks of tasks that run already, lives on as other processes do.
pub async fn dying<T>(point: &'static str, work: impl Future<Output = T>) -> Option<T> {
    let died = Arc::new(Notify::new());
    tokio::select! {
        done = DEATH.scope((point, died.clone()), work) => Some(done),
        () = died.notified() => None,
    }
}

/// The point itself: see [`dies_at!`](crate::dies_at).
pub async fn at(point: &str) {
    let armed = DEATH.try_with(|(at, died)| (*at == point).then(|| died.clone()));
    if let Ok(Some(died)) = armed {
        died.notify_one();
        pending().await
    }
}
