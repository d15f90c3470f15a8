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
        // By what is open: an index of the few is read, and not the many that have ended.
        "SELECT 'delivery' AS what, count(*) AS waiting, min(due_at) FILTER (WHERE due_at <= $1) AS due_since
         FROM deliveries WHERE state IN ('pending', 'sending')
         UNION ALL
         SELECT c.channel, w.waiting, w.due_since FROM unnest($2::text[]) AS c (channel),
              LATERAL (SELECT count(*) AS waiting, min(due_at) FILTER (WHERE due_at <= $1) AS due_since
                       FROM messages m WHERE m.channel = c.channel AND m.state IN ('pending', 'sending')) w",
    )
    .bind(now)
    .bind(channels)
    .fetch_all(tx.conn())
    .await?)
}
