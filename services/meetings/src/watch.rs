//! Meetings as they are published: a stream with a cursor, so that a reader who was away misses nothing.
//!
//! The stream is pulled: it reads the database when the reader has taken what came before, so that a slow reader holds
//! one batch and no more, and nothing runs when it has left.

use std::collections::VecDeque;
use std::time::Duration;

use cs_core::page::{decode_cursor, encode_cursor};
use cs_core::{Caller, CityId};
use cs_proto::meetings::v1::WatchPublishedResponse;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use crate::store::meetings;
use crate::{Deps, Error, SCHEMA, messages};

const BATCH: i64 = 100;
/// Wake-up calls can be lost with a connection.
pub(crate) const POLL: Duration = Duration::from_secs(2);
/// A caller token is good for a minute; whoever still may watch comes back with the cursor and a new one.
pub(crate) const STREAM_LIFE: Duration = Duration::from_secs(60);

struct Watcher {
    deps: Deps,
    caller: Caller,
    city: Option<CityId>,
    cursor: i64,
    wake: watch::Receiver<()>,
    ends: Instant,
    ready: VecDeque<WatchPublishedResponse>,
}

/// Publications after `after` (empty: from now on), as they happen. The first message only tells where it stands.
pub(crate) async fn published(
    deps: &Deps,
    caller: Caller,
    city: Option<CityId>,
    after: &str,
) -> Result<impl Stream<Item = Result<WatchPublishedResponse, Status>> + Send + use<>, Error> {
    // Subscribed before the first look, so that nothing falls between the two.
    let wake = deps.wakeups.watch(&format!("{SCHEMA}.publications"));
    let cursor = if after.is_empty() {
        meetings::last_publication(&mut deps.db.tenant(&caller).await?).await?
    } else {
        decode_cursor(after)?
    };
    let opened = WatchPublishedResponse { cursor: encode_cursor(&cursor), ..Default::default() };
    let ends = Instant::now() + STREAM_LIFE;
    let watcher = Watcher { deps: deps.clone(), caller, city, cursor, wake, ends, ready: VecDeque::new() };
    Ok(stream::once(std::future::ready(Ok(opened))).chain(stream::unfold(
        Some(watcher),
        |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(watcher))),
                Ok(None) => None,
                Err(error) => Some((Err(error.into()), None)),
            }
        },
    )))
}

impl Watcher {
    /// The next publication; `None` when the stream's life has ended.
    async fn next(&mut self) -> Result<Option<WatchPublishedResponse>, Error> {
        loop {
            if let Some(response) = self.ready.pop_front() {
                return Ok(Some(response));
            }
            if Instant::now() >= self.ends {
                return Ok(None);
            }
            // What came until here is seen by the look that follows.
            self.wake.borrow_and_update();
            let from = self.cursor;
            self.look().await?;
            if self.cursor == from {
                let until = self.ends.min(Instant::now() + POLL);
                let _ = tokio::time::timeout_at(until, self.wake.changed()).await;
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let mut tx = self.deps.db.tenant(&self.caller).await?;
        let rows = meetings::publications_after(&mut tx, self.cursor, BATCH).await?;
        let ids: Vec<_> = rows.iter().map(|(_, meeting, _)| *meeting).collect();
        let found = meetings::by_ids(&mut tx, &ids, &messages::tags(&self.caller)).await?;
        for (sequence, id, version) in rows {
            self.cursor = sequence;
            let Some(row) = found.iter().find(|m| m.id == id) else { continue };
            if self.city.is_some_and(|city| city.uuid() != row.city_id) {
                continue;
            }
            self.ready.push_back(WatchPublishedResponse {
                meeting: Some(messages::meeting(row.clone())),
                summary_version: version.unsigned_abs(),
                cursor: encode_cursor(&sequence),
            });
        }
        Ok(())
    }
}
