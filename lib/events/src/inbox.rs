//! Which events a handler has had its effect of.

use chrono::{DateTime, Utc};
use cs_db::{DbError, TenantTx, Tx};

use crate::Envelope;

/// Records `(handler, event)` in the transaction of the effect. `false`: the effect has been had; do nothing.
///
/// How long that is remembered counts from `now`: an old event may be sent again today.
pub async fn first_time(
    tx: &mut TenantTx,
    handler: &str,
    envelope: &Envelope,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let done = sqlx::query(
        "INSERT INTO inbox (handler, event_id, tenant_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(handler)
    .bind(envelope.id.uuid())
    .bind(envelope.tenant_id.uuid())
    .bind(now)
    .execute(tx.conn())
    .await?;
    let first = done.rows_affected() == 1;
    if !first {
        envelope.seen.again();
    }
    Ok(first)
}
