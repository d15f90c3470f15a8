//! Runs.

use chrono::{DateTime, Utc};
use cs_core::RunId;
use cs_core::page::{Direction, Page};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A row of `runs`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Run {
    pub(crate) id: Uuid,
    pub(crate) meeting_id: Uuid,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) started_by: String,
    pub(crate) claims_proposed: i32,
    pub(crate) claims_verified: i32,
    pub(crate) ecr: Option<f64>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// What a run can be in, as its table has it.
pub(crate) const STATES: [&str; 8] = [
    "requested",
    "ingested",
    "extracted",
    "summarized",
    "published",
    "limited_confidence",
    "rejected",
    "failed",
];

const RUN: &str = "SELECT id, meeting_id, state, reason, started_by, claims_proposed, claims_verified, ecr, created_at, updated_at FROM runs";

/// Begins a run whose documents are in.
pub(crate) async fn begin(
    tx: &mut TenantTx,
    id: RunId,
    meeting: Uuid,
    started_by: &str,
    idempotency_key: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO runs (id, tenant_id, meeting_id, state, started_by, created_at, updated_at, idempotency_key)
         VALUES ($1, $2, $3, 'ingested', $4, $5, $5, nullif($6, ''))",
    )
    .bind(id.uuid())
    .bind(tenant)
    .bind(meeting)
    .bind(started_by)
    .bind(now)
    .bind(idempotency_key)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The run that was begun with a key.
pub(crate) async fn by_key(tx: &mut TenantTx, idempotency_key: &str) -> Result<Option<RunId>, DbError> {
    let id: Option<Uuid> = sqlx::query_scalar("SELECT id FROM runs WHERE idempotency_key = $1")
        .bind(idempotency_key)
        .fetch_optional(tx.conn())
        .await?;
    Ok(id.map(RunId::from))
}

/// Moves a run on. The database refuses to move it back.
pub(crate) async fn advance(
    tx: &mut TenantTx,
    id: Uuid,
    state: &str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query("UPDATE runs SET state = $2, reason = $3, updated_at = $4 WHERE id = $1")
        .bind(id)
        .bind(state)
        .bind(reason)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps the figures of the gate.
pub(crate) async fn set_claims(
    tx: &mut TenantTx,
    id: Uuid,
    proposed: u32,
    verified: u32,
    ecr: f64,
) -> Result<(), DbError> {
    let signed = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    sqlx::query("UPDATE runs SET claims_proposed = $2, claims_verified = $3, ecr = $4 WHERE id = $1")
        .bind(id)
        .bind(signed(proposed))
        .bind(signed(verified))
        .bind(ecr)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Locks a run.
pub(crate) async fn lock(tx: &mut TenantTx, id: Uuid) -> Result<Option<Run>, DbError> {
    let sql = format!("{RUN} WHERE id = $1 FOR UPDATE");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(tx.conn()).await?)
}

/// Runs of a meeting that wait for its texts, oldest first.
pub(crate) async fn waiting_for_texts(tx: &mut TenantTx, meeting: Uuid) -> Result<Vec<Run>, DbError> {
    let sql = format!("{RUN} WHERE meeting_id = $1 AND state = 'ingested' ORDER BY id FOR UPDATE");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(meeting).fetch_all(tx.conn()).await?)
}

/// Runs by id.
pub(crate) async fn by_ids(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Run>, DbError> {
    let sql = format!("{RUN} WHERE id = ANY ($1)");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(ids).fetch_all(tx.conn()).await?)
}

/// One more than a page of runs, newest first, in the page's direction.
pub(crate) async fn list(
    tx: &mut TenantTx,
    meeting: Option<Uuid>,
    city: Option<Uuid>,
    state: Option<&str>,
    page: &Page<Uuid>,
) -> Result<Vec<Run>, DbError> {
    let (compare, direction) = match page.direction {
        Direction::Forward => ("<", "DESC"),
        Direction::Backward => (">", "ASC"),
    };
    let sql = format!(
        "{RUN} WHERE ($1::uuid IS NULL OR meeting_id = $1)
         AND ($2::uuid IS NULL OR meeting_id IN (SELECT id FROM meetings WHERE city_id = $2))
         AND ($3::text IS NULL OR state = $3) AND ($4::uuid IS NULL OR id {compare} $4) ORDER BY id {direction} LIMIT $5"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(meeting)
        .bind(city)
        .bind(state)
        .bind(page.cursor)
        .bind(i64::from(page.size) + 1)
        .fetch_all(tx.conn())
        .await?)
}
