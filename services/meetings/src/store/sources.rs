//! Sources and their scans.

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::{SourceId, TenantId};
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use uuid::Uuid;

/// A row of `sources`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Source {
    pub(crate) id: Uuid,
    pub(crate) city_id: Uuid,
    pub(crate) kind: String,
    pub(crate) location: String,
    pub(crate) scan_seconds: Option<i32>,
    pub(crate) last_scan_at: Option<DateTime<Utc>>,
    pub(crate) last_scan_status: Option<String>,
    pub(crate) last_scan_reason: Option<String>,
}

const SOURCE: &str = "SELECT id, city_id, kind, location, scan_seconds, last_scan_at, last_scan_status, last_scan_reason FROM sources";

/// Adds a source, or changes how often it is scanned.
pub(crate) async fn upsert(
    tx: &mut TenantTx,
    id: SourceId,
    city: Uuid,
    kind: &str,
    location: &str,
    every: Option<i32>,
    now: DateTime<Utc>,
) -> Result<Source, DbError> {
    let tenant = tx.tenant().uuid();
    Ok(sqlx::query_as(
        "INSERT INTO sources (id, tenant_id, city_id, kind, location, scan_seconds, next_scan_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $6::int IS NOT NULL THEN $7::timestamptz END, $7)
         ON CONFLICT ON CONSTRAINT sources_location DO UPDATE
         SET scan_seconds = excluded.scan_seconds, next_scan_at = excluded.next_scan_at
         RETURNING id, city_id, kind, location, scan_seconds, last_scan_at, last_scan_status, last_scan_reason",
    )
    .bind(id.uuid())
    .bind(tenant)
    .bind(city)
    .bind(kind)
    .bind(location)
    .bind(every)
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// Sources of a city, or all of them.
pub(crate) async fn list(tx: &mut TenantTx, city: Option<Uuid>) -> Result<Vec<Source>, DbError> {
    let sql = format!("{SOURCE} WHERE $1::uuid IS NULL OR city_id = $1 ORDER BY id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(city).fetch_all(tx.conn()).await?)
}

/// One source.
pub(crate) async fn get(tx: &mut TenantTx, id: Uuid) -> Result<Option<Source>, DbError> {
    let sql = format!("{SOURCE} WHERE id = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(tx.conn()).await?)
}

/// Notes what a source lists of a meeting, as (source, uid, revision). Gives how often it has changed where it is new or
/// has changed since the last scan.
pub(crate) async fn list_meeting(
    tx: &mut TenantTx,
    (source, uid, revision): (Uuid, &str, &str),
) -> Result<Option<i64>, DbError> {
    let tenant = tx.tenant().uuid();
    Ok(sqlx::query_scalar(
        "INSERT INTO listings (source_id, meeting_uid, tenant_id, revision) VALUES ($1, $2, $3, $4)
         ON CONFLICT (source_id, meeting_uid) DO UPDATE
         SET revision = excluded.revision, generation = listings.generation + 1 WHERE listings.revision <> excluded.revision
         RETURNING generation",
    )
    .bind(source)
    .bind(uid)
    .bind(tenant)
    .bind(revision)
    .fetch_optional(tx.conn())
    .await?)
}

/// Records how a scan went.
pub(crate) async fn scanned(
    tx: &mut TenantTx,
    id: Uuid,
    failure: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE sources SET last_scan_at = $2, last_scan_status = CASE WHEN $3::text IS NULL THEN 'ok' ELSE 'failed' END, last_scan_reason = $3
         WHERE id = $1",
    )
    .bind(id)
    .bind(now)
    .bind(failure)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes a source whose scan is due and sets the next one; gives its tenant, its id and the window that was due.
///
/// The row lock and the new time make one firing of a window, however many replicas look; windows that were missed
/// are caught up by one.
pub(crate) async fn take_due(
    tx: &mut SystemTx,
    now: DateTime<Utc>,
) -> Result<Option<(TenantId, Uuid, DateTime<Utc>)>, DbError> {
    let due: Option<(Uuid, Uuid, DateTime<Utc>, i32)> = sqlx::query_as(
        "SELECT tenant_id, id, next_scan_at, scan_seconds FROM sources WHERE next_scan_at <= $1 AND scan_seconds IS NOT NULL
         ORDER BY next_scan_at LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    let Some((tenant, id, window, every)) = due else { return Ok(None) };
    sqlx::query("UPDATE sources SET next_scan_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now + TimeDelta::seconds(i64::from(every)))
        .execute(tx.conn())
        .await?;
    Ok(Some((tenant.into(), id, window)))
}
