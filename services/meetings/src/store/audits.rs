//! What a week's runs proposed and what of it had evidence.

use chrono::{DateTime, Utc};
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use uuid::Uuid;

/// A city's week.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Week {
    pub(crate) city_id: Uuid,
    pub(crate) slug: String,
    pub(crate) runs: i64,
    pub(crate) failed: i64,
    pub(crate) rejected: i64,
    pub(crate) claims_proposed: i64,
    pub(crate) claims_verified: i64,
}

/// Tenants in which anything was done in that time.
pub(crate) async fn tenants(
    tx: &mut SystemTx,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Uuid>, DbError> {
    Ok(sqlx::query_scalar("SELECT DISTINCT tenant_id FROM jobs WHERE created_at >= $1 AND created_at < $2")
        .bind(since)
        .bind(until)
        .fetch_all(tx.conn())
        .await?)
}

/// Every city's week.
pub(crate) async fn weeks(
    tx: &mut TenantTx,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<Week>, DbError> {
    Ok(sqlx::query_as(
        "SELECT m.city_id, c.slug, count(*) AS runs, count(*) FILTER (WHERE r.state = 'failed') AS failed,
             count(*) FILTER (WHERE r.state = 'rejected') AS rejected,
             sum(r.claims_proposed)::bigint AS claims_proposed, sum(r.claims_verified)::bigint AS claims_verified
         FROM runs r JOIN meetings m ON m.id = r.meeting_id JOIN cities c ON c.id = m.city_id
         WHERE r.updated_at >= $1 AND r.updated_at < $2 GROUP BY m.city_id, c.slug ORDER BY c.slug",
    )
    .bind(since)
    .bind(until)
    .fetch_all(tx.conn())
    .await?)
}

/// Keeps a city's week; the same week is kept once.
pub(crate) async fn keep(
    tx: &mut TenantTx,
    id: Uuid,
    week: &Week,
    (since, until): (DateTime<Utc>, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO evidence_audits (id, tenant_id, city_id, since, until, runs, failed, rejected, claims_proposed, claims_verified, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT ON CONSTRAINT evidence_audits_once DO NOTHING",
    )
    .bind(id)
    .bind(tenant)
    .bind(week.city_id)
    .bind(since)
    .bind(until)
    .bind(week.runs)
    .bind(week.failed)
    .bind(week.rejected)
    .bind(week.claims_proposed)
    .bind(week.claims_verified)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
