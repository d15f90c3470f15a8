//! What waits to be told, of every tenant.

use chrono::{DateTime, Utc};
use cs_db::{DbError, SystemTx, Tx};

/// What there is of one kind.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    /// `delivery`, or a channel outside.
    pub(crate) what: String,
    /// Not ended.
    pub(crate) waiting: i64,
    /// Given up.
    pub(crate) failed: i64,
    /// Since when the oldest could be taken.
    pub(crate) due_since: Option<DateTime<Utc>>,
}

/// What waits now: to be handed over, and by each of these channels.
pub(crate) async fn now(
    tx: &mut SystemTx,
    channels: &[&str],
    now: DateTime<Utc>,
) -> Result<Vec<Row>, DbError> {
    Ok(sqlx::query_as(
        // Of each state by itself, so that an index of the few is read, and not the many that have ended.
        "SELECT 'delivery' AS what, w.waiting, f.failed, w.due_since
         FROM (SELECT count(*) AS waiting, min(due_at) FILTER (WHERE due_at <= $1) AS due_since
               FROM deliveries WHERE state IN ('pending', 'sending')) w,
              (SELECT count(*) AS failed FROM deliveries WHERE state = 'failed') f
         UNION ALL
         SELECT c.channel, w.waiting, f.failed, w.due_since FROM unnest($2::text[]) AS c (channel),
              LATERAL (SELECT count(*) AS waiting, min(due_at) FILTER (WHERE due_at <= $1) AS due_since
                       FROM messages m WHERE m.channel = c.channel AND m.state IN ('pending', 'sending')) w,
              LATERAL (SELECT count(*) AS failed FROM messages m WHERE m.channel = c.channel AND m.state = 'failed') f",
    )
    .bind(now)
    .bind(channels)
    .fetch_all(tx.conn())
    .await?)
}
