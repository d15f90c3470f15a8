//! What people say of claims.

use chrono::{DateTime, Utc};
use cs_core::{ClaimId, FlagId, MeetingId, UserId};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A row of `claim_flags`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct FlagRow {
    pub(crate) id: Uuid,
    pub(crate) claim_id: Uuid,
    pub(crate) reason: String,
    pub(crate) note: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

const FLAG: &str = "SELECT f.id, f.claim_id, f.reason, f.note, f.created_at, f.closed_at FROM claim_flags f";

/// Flags a claim; the flag of that person that is open already stays as it is.
pub(crate) async fn put(
    tx: &mut TenantTx,
    id: FlagId,
    claim: ClaimId,
    user: UserId,
    reason: &str,
    note: &str,
    now: DateTime<Utc>,
) -> Result<FlagRow, DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO claim_flags (id, tenant_id, claim_id, user_id, reason, note, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (claim_id, user_id) WHERE closed_at IS NULL DO NOTHING",
    )
    .bind(id.uuid())
    .bind(tenant)
    .bind(claim.uuid())
    .bind(user.uuid())
    .bind(reason)
    .bind(note)
    .bind(now)
    .execute(tx.conn())
    .await?;
    let sql = format!("{FLAG} WHERE f.claim_id = $1 AND f.user_id = $2 AND f.closed_at IS NULL");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(claim.uuid())
        .bind(user.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// How many flags of a person wait for a reviewer.
pub(crate) async fn open_of(tx: &mut TenantTx, user: UserId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM claim_flags WHERE user_id = $1 AND closed_at IS NULL")
        .bind(user.uuid())
        .fetch_one(tx.conn())
        .await?)
}

/// Open flags on the words of claims: whose words they are on, and the flag. At most `most` a claim.
pub(crate) async fn open_on(
    tx: &mut TenantTx,
    claims: &[Uuid],
    most: i64,
) -> Result<Vec<(Uuid, FlagRow)>, DbError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        on_claim: Uuid,
        #[sqlx(flatten)]
        flag: FlagRow,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM (
             SELECT c.id AS on_claim, f.id, f.claim_id, f.reason, f.note, f.created_at, f.closed_at,
                    row_number() OVER (PARTITION BY c.id ORDER BY f.id) AS n
             FROM claims c JOIN summaries s ON s.id = c.summary_id JOIN summaries ws ON ws.meeting_id = s.meeting_id
             JOIN claims w ON w.summary_id = ws.id AND w.text = c.text JOIN claim_flags f ON f.claim_id = w.id
             WHERE c.id = ANY ($1) AND f.closed_at IS NULL) q
         WHERE n <= $2 ORDER BY on_claim, id",
    )
    .bind(claims)
    .bind(most)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.on_claim, row.flag)).collect())
}

/// Answers a meeting's open flags, all of them or those on certain words; gives how many.
pub(crate) async fn close(
    tx: &mut TenantTx,
    meeting: MeetingId,
    text: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let closed = sqlx::query(
        "UPDATE claim_flags f SET closed_at = $3 FROM claims c JOIN summaries s ON s.id = c.summary_id
         WHERE c.id = f.claim_id AND s.meeting_id = $1 AND ($2::text IS NULL OR c.text = $2) AND f.closed_at IS NULL",
    )
    .bind(meeting.uuid())
    .bind(text)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(closed.rows_affected())
}

/// A person's flags, the newest first.
pub(crate) async fn of(tx: &mut TenantTx, user: UserId, most: i64) -> Result<Vec<FlagRow>, DbError> {
    let sql = format!("{FLAG} WHERE f.user_id = $1 ORDER BY f.id DESC LIMIT $2");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(user.uuid()).bind(most).fetch_all(tx.conn()).await?)
}

/// Erases a person's flags, and remembers that they were; gives how many are gone.
pub(crate) async fn erase(tx: &mut TenantTx, user: UserId, now: DateTime<Utc>) -> Result<u64, DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('flags of people in ' || $1, 0))")
        .bind(tenant.to_string())
        .execute(tx.conn())
        .await?;
    sqlx::query("INSERT INTO erased_people (tenant_id, user_id, erased_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(tenant)
        .bind(user.uuid())
        .bind(now)
        .execute(tx.conn())
        .await?;
    let gone = sqlx::query("DELETE FROM claim_flags WHERE user_id = $1")
        .bind(user.uuid())
        .execute(tx.conn())
        .await?;
    Ok(gone.rows_affected())
}
