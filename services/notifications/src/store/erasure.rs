//! What was taken back, and who was erased.

use chrono::{DateTime, Utc};
use cs_core::{MeetingId, UserId};
use cs_db::{DbError, TenantTx, Tx};

/// Writes rows of people until the transaction ends: nobody is erased meanwhile. First of all, so that whoever was erased
/// before is not found, and nothing that is held is waited for by an erasure that this waits for.
pub(crate) async fn hold_off(tx: &mut TenantTx) -> Result<(), DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock_shared(hashtextextended('erasure in ' || $1, 0))")
        .bind(tx.tenant().uuid().to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Erases a person and keeps the memory that they were; gives the number of rows that are gone. Who writes rows of people
/// is done before, or begins afterwards.
pub(crate) async fn erase(tx: &mut TenantTx, user: UserId, now: DateTime<Utc>) -> Result<i64, DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('erasure in ' || $1, 0))")
        .bind(tx.tenant().uuid().to_string())
        .execute(tx.conn())
        .await?;
    let gone: i64 =
        sqlx::query_scalar("SELECT erase_person($1)").bind(user.uuid()).fetch_one(tx.conn()).await?;
    sqlx::query("INSERT INTO erased_people (tenant_id, user_id, erased_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(tx.tenant().uuid())
        .bind(user.uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(gone)
}

/// Whether a person was erased; where not, they are not until the transaction ends.
pub(crate) async fn is_erased(tx: &mut TenantTx, user: UserId) -> Result<bool, DbError> {
    hold_off(tx).await?;
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM erased_people WHERE user_id = $1)")
        .bind(user.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// Whether a version of a meeting was taken back.
pub(crate) async fn is_withdrawn(
    tx: &mut TenantTx,
    meeting: MeetingId,
    version: u64,
) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM withdrawals WHERE meeting_id = $1 AND version >= $2)")
        .bind(meeting.uuid())
        .bind(i64::try_from(version).unwrap_or(i64::MAX))
        .fetch_one(tx.conn())
        .await?)
}

/// Takes a meeting back up to a version: from here on nothing of it is shown, handed over or sent.
pub(crate) async fn withdraw(
    tx: &mut TenantTx,
    meeting: MeetingId,
    version: i64,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO withdrawals AS w (tenant_id, meeting_id, version, withdrawn_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, meeting_id) DO UPDATE SET version = $3, withdrawn_at = $4 WHERE w.version < $3",
    )
    .bind(tx.tenant().uuid())
    .bind(meeting.uuid())
    .bind(version)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends up to `most` deliveries that wait and tell of what was taken back; gives their number. One that is missed is ended when
/// it is due.
pub(crate) async fn stop_withdrawn(
    tx: &mut TenantTx,
    meeting: MeetingId,
    version: i64,
    most: i64,
) -> Result<u64, DbError> {
    let stopped = sqlx::query(
        "UPDATE deliveries SET state = 'suppressed', state_reason = 'the meeting was withdrawn' WHERE id = ANY (ARRAY(
             SELECT d.id FROM notices n JOIN deliveries d ON d.notice_id = n.id AND d.state = 'pending'
             WHERE n.meeting_id = $1 AND n.summary_version <= $2 LIMIT $3 FOR UPDATE OF d SKIP LOCKED))",
    )
    .bind(meeting.uuid())
    .bind(version)
    .bind(most)
    .execute(tx.conn())
    .await?;
    Ok(stopped.rows_affected())
}
