//! What is forgotten.

use chrono::{DateTime, Utc};
use cs_db::{DbError, SystemTx, Tx};

/// Closes notices made before a time and forgets their deliveries that have ended, up to `most` of each; gives how many rows.
pub(crate) async fn forget(
    tx: &mut SystemTx,
    before: DateTime<Utc>,
    now: DateTime<Utc>,
    most: i32,
) -> Result<u64, DbError> {
    let gone: i64 = sqlx::query_scalar("SELECT forget_deliveries($1, $2, $3)")
        .bind(before)
        .bind(now)
        .bind(most)
        .fetch_one(tx.conn())
        .await?;
    Ok(gone.unsigned_abs())
}
