//! A run as it goes: a stream of the states it comes to, until it has ended.
//!
//! Pulled, as the stream of publications is: it looks when the reader has taken what came before. A state that came and
//! went between two looks is not told; the last one always is.

use cs_core::page::{decode_cursor, encode_cursor};
use cs_core::{Caller, RunId};
use cs_proto::ops::v1::WatchRunResponse;
use futures::{Stream, stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use crate::store::runs::{self, Run};
use crate::watch::{POLL, STREAM_LIFE};
use crate::{Deps, Error, SCHEMA, messages};

/// What a run does not leave, but for a dead letter that is replayed.
const ENDED: [&str; 4] = ["published", "limited_confidence", "rejected", "failed"];

struct Watcher {
    deps: Deps,
    caller: Caller,
    run: RunId,
    /// The state that was told last; empty: none was.
    told: String,
    wake: watch::Receiver<()>,
    ends: Instant,
}

/// The states of a run from `after` on (empty: from where it stands).
pub(crate) async fn watch(
    deps: &Deps,
    caller: Caller,
    run: RunId,
    after: &str,
) -> Result<impl Stream<Item = Result<WatchRunResponse, Status>> + Send + use<>, Error> {
    // Subscribed before the first look, so that nothing falls between the two.
    let wake = deps.wakeups.watch(&format!("{SCHEMA}.runs"));
    let told = if after.is_empty() { String::new() } else { decode_cursor(after)? };
    let watcher = Watcher { deps: deps.clone(), caller, run, told, wake, ends: Instant::now() + STREAM_LIFE };
    // That there is none is told at once.
    watcher.look().await?;
    Ok(stream::unfold(Some(watcher), |watcher| async move {
        let mut watcher = watcher?;
        match watcher.next().await {
            Ok(Some(run)) => {
                let has_ended = ENDED.contains(&run.state.as_str());
                let cursor = encode_cursor(&run.state);
                let response = WatchRunResponse { run: Some(messages::run(run)), cursor };
                Some((Ok(response), (!has_ended).then_some(watcher)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error.into()), None)),
        }
    }))
}

impl Watcher {
    /// The run in another state than was told; `None` when the stream's life has ended.
    async fn next(&mut self) -> Result<Option<Run>, Error> {
        loop {
            // What came until here is seen by the look that follows.
            self.wake.borrow_and_update();
            let run = self.look().await?;
            if run.state != self.told {
                self.told.clone_from(&run.state);
                return Ok(Some(run));
            }
            // Where the end was told before, there is nothing to wait for.
            if Instant::now() >= self.ends || ENDED.contains(&run.state.as_str()) {
                return Ok(None);
            }
            let until = self.ends.min(Instant::now() + POLL);
            let _ = tokio::time::timeout_at(until, self.wake.changed()).await;
        }
    }

    async fn look(&self) -> Result<Run, Error> {
        let mut tx = self.deps.db.tenant(&self.caller).await?;
        runs::by_ids(&mut tx, &[self.run.uuid()]).await?.pop().ok_or(Error::NotFound("run"))
    }
}
