//! A resident's inbox as it fills: a stream with a cursor, so that who was away misses nothing.
//!
//! The stream is pulled: it reads the database when the client has taken what came before, so that a slow client holds
//! one batch and no more, and nothing runs when it has left.

use std::collections::VecDeque;
use std::time::Duration;

use cs_core::page::{decode_cursor, encode_cursor};
use cs_core::{Caller, UserId};
use cs_proto::notifications::v1::WatchInboxResponse;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use crate::follow::own;
use crate::store::inbox as store;
use crate::{Deps, Error, SCHEMA};

const BATCH: i64 = 100;
/// Wake-up calls can be lost with a connection.
const POLL: Duration = Duration::from_secs(2);
/// A fan-out wakes every watcher many times a second; one look serves the calls that come this close together.
const COALESCE: Duration = Duration::from_millis(20);
/// A caller token is good for a minute; whoever still may watch comes back with the cursor and a new one.
pub(crate) const STREAM_LIFE: Duration = Duration::from_secs(60);

struct Watcher {
    deps: Deps,
    caller: Caller,
    user: UserId,
    cursor: i64,
    wake: watch::Receiver<()>,
    ends: Instant,
    ready: VecDeque<store::Notification>,
}

/// The caller's notifications after the cursor, as they are sent, for `life`; an empty cursor: from now on.
pub(crate) async fn inbox(
    deps: &Deps,
    caller: Caller,
    after: &str,
    life: Duration,
) -> Result<impl Stream<Item = Result<WatchInboxResponse, Status>> + Send + use<>, Error> {
    let user = own(&caller)?;
    // Subscribed before the first look, so that nothing falls between the two.
    let wake = deps.wakeups.watch(&format!("{SCHEMA}.inboxes"));
    let cursor = if after.is_empty() {
        store::newest(&mut deps.db.tenant(&caller).await?, user).await?
    } else {
        decode_cursor(after)?
    };
    let ends = Instant::now() + life;
    let watcher = Watcher { deps: deps.clone(), caller, user, cursor, wake, ends, ready: VecDeque::new() };
    // Where the stream stands, before anything happens on it: who is cut off comes back to this place.
    let opened = WatchInboxResponse { cursor: encode_cursor(&cursor), ..Default::default() };
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
    /// The next notification; `None` when the stream's life has ended.
    async fn next(&mut self) -> Result<Option<WatchInboxResponse>, Error> {
        loop {
            if let Some(notification) = self.ready.pop_front() {
                self.cursor = notification.sequence;
                let cursor = encode_cursor(&notification.sequence);
                return Ok(Some(WatchInboxResponse { notification: Some(notification.into()), cursor }));
            }
            if Instant::now() >= self.ends {
                return Ok(None);
            }
            // What came until here is seen by the look that follows.
            self.wake.borrow_and_update();
            let mut tx = self.deps.db.tenant(&self.caller).await?;
            self.ready = store::after(&mut tx, self.user, self.cursor, BATCH).await?.into();
            drop(tx);
            if self.ready.is_empty() {
                let until = self.ends.min(Instant::now() + POLL);
                if let Ok(Ok(())) = tokio::time::timeout_at(until, self.wake.changed()).await {
                    tokio::time::sleep(COALESCE).await;
                }
            }
        }
    }
}
