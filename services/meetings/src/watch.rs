//! Meetings as they are published: a stream with a cursor, so that a reader who was away misses nothing.

use std::time::Duration;

use cs_core::page::{decode_cursor, encode_cursor};
use cs_core::{Caller, CityId};
use cs_proto::meetings::v1::WatchPublishedResponse;
use tokio::sync::mpsc;
use tonic::Status;

use crate::store::meetings;
use crate::{Deps, Error, SCHEMA, messages};

const BATCH: i64 = 100;
const POLL: Duration = Duration::from_secs(2);
/// How long a stream lasts. Its caller token was good for a minute; whoever still may watch comes back with the cursor.
const STREAM_LIFE: Duration = Duration::from_secs(60);

/// Sends publications after `after` (empty: from now on) until the reader leaves or the stream's life ends.
pub(crate) async fn published(
    deps: Deps,
    caller: Caller,
    city: Option<CityId>,
    after: String,
    to: mpsc::Sender<Result<WatchPublishedResponse, Status>>,
) {
    let ended = tokio::time::sleep(STREAM_LIFE);
    tokio::pin!(ended);
    tokio::select! {
        result = follow(&deps, &caller, city, &after, &to) => {
            if let Err(error) = result {
                let _ = to.send(Err(error.into())).await;
            }
        }
        () = &mut ended => {}
        () = to.closed() => {}
    }
}

async fn follow(
    deps: &Deps,
    caller: &Caller,
    city: Option<CityId>,
    after: &str,
    to: &mpsc::Sender<Result<WatchPublishedResponse, Status>>,
) -> Result<(), Error> {
    let mut wake = deps.wakeups.watch(&format!("{SCHEMA}.publications"));
    let mut cursor: i64 = if after.is_empty() {
        let mut tx = deps.db.tenant(caller).await?;
        meetings::last_publication(&mut tx).await?
    } else {
        decode_cursor(after)?
    };
    // Where the stream stands, before anything happens on it: who is cut off comes back to this place.
    let opened = WatchPublishedResponse { cursor: encode_cursor(&cursor), ..Default::default() };
    if to.send(Ok(opened)).await.is_err() {
        return Ok(());
    }
    loop {
        let batch = next(deps, caller, &mut cursor, city).await?;
        let idle = batch.is_empty();
        for response in batch {
            if to.send(Ok(response)).await.is_err() {
                return Ok(());
            }
        }
        if idle {
            let _ = tokio::time::timeout(POLL, wake.changed()).await;
        }
    }
}

async fn next(
    deps: &Deps,
    caller: &Caller,
    cursor: &mut i64,
    city: Option<CityId>,
) -> Result<Vec<WatchPublishedResponse>, Error> {
    let mut tx = deps.db.tenant(caller).await?;
    let rows = meetings::publications_after(&mut tx, *cursor, BATCH).await?;
    let ids: Vec<_> = rows.iter().map(|(_, meeting, _)| *meeting).collect();
    let found = meetings::by_ids(&mut tx, &ids, &messages::tags(caller)).await?;
    let mut responses = Vec::new();
    for (sequence, id, version) in rows {
        *cursor = sequence;
        let Some(row) = found.iter().find(|m| m.id == id) else { continue };
        if city.is_some_and(|city| city.uuid() != row.city_id) {
            continue;
        }
        responses.push(WatchPublishedResponse {
            meeting: Some(messages::meeting(row.clone())),
            summary_version: version.unsigned_abs(),
            cursor: encode_cursor(&sequence),
        });
    }
    Ok(responses)
}
