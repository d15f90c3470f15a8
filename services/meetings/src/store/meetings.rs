//! Meetings, and what was published of them.

use chrono::{DateTime, NaiveDate, Utc};
use cs_core::MeetingId;
use cs_core::page::{Direction, Page};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

use crate::read::{Filter, Order};

/// A row of `meetings`, with its body's name.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Meeting {
    pub(crate) id: Uuid,
    pub(crate) city_id: Uuid,
    pub(crate) body_id: Uuid,
    pub(crate) body_name: String,
    pub(crate) meeting_uid: String,
    pub(crate) title: String,
    pub(crate) date: NaiveDate,
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) location: Option<String>,
    pub(crate) status: String,
    pub(crate) visibility: String,
    pub(crate) revision: String,
    pub(crate) run_id: Option<Uuid>,
    pub(crate) run_state: String,
    pub(crate) run_reason: Option<String>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) derivation: Vec<String>,
    pub(crate) is_withdrawn: bool,
}

const MEETING: &str = "SELECT m.id, m.city_id, m.body_id, b.name AS body_name, m.meeting_uid, m.title, m.date, m.starts_at, m.location,
    m.status, m.visibility, m.revision, m.run_id, m.run_state, m.run_reason, m.updated_at, m.derivation,
    m.withdrawn_at IS NOT NULL AS is_withdrawn
    FROM meetings m JOIN bodies b ON b.id = m.body_id";

/// What an ingest writes of a meeting.
pub(crate) struct Upsert<'a> {
    pub(crate) id: MeetingId,
    pub(crate) city_id: Uuid,
    pub(crate) body_id: Uuid,
    pub(crate) meeting_uid: &'a str,
    pub(crate) title: &'a str,
    pub(crate) date: NaiveDate,
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) location: Option<&'a str>,
    pub(crate) status: &'a str,
    pub(crate) visibility: &'a str,
    pub(crate) derivation: &'a [String],
}

/// Locks the meeting of a uid, whether it is there yet or not, so that two ingests of it follow each other.
pub(crate) async fn lock_by_uid(
    tx: &mut TenantTx,
    city: Uuid,
    uid: &str,
) -> Result<Option<Meeting>, DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("{city}|{uid}"))
        .execute(tx.conn())
        .await?;
    let sql = format!("{MEETING} WHERE m.city_id = $1 AND m.meeting_uid = $2 FOR UPDATE OF m");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(city).bind(uid).fetch_optional(tx.conn()).await?)
}

/// Locks a meeting, so that what depends on all of its artifacts is decided by one transaction at a time.
pub(crate) async fn lock(tx: &mut TenantTx, id: MeetingId) -> Result<Option<Meeting>, DbError> {
    let sql = format!("{MEETING} WHERE m.id = $1 FOR UPDATE OF m");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.uuid()).fetch_optional(tx.conn()).await?)
}

/// The city of a meeting.
pub(crate) async fn city_of(tx: &mut TenantTx, id: Uuid) -> Result<Option<Uuid>, DbError> {
    Ok(sqlx::query_scalar("SELECT city_id FROM meetings WHERE id = $1")
        .bind(id)
        .fetch_optional(tx.conn())
        .await?)
}

/// Adds a meeting, or changes what its source says of it. Gives its id.
pub(crate) async fn upsert(tx: &mut TenantTx, m: &Upsert<'_>, now: DateTime<Utc>) -> Result<Uuid, DbError> {
    let tenant = tx.tenant().uuid();
    Ok(sqlx::query_scalar(
        "INSERT INTO meetings (id, tenant_id, city_id, body_id, meeting_uid, title, date, starts_at, location, status,
                               visibility, revision, run_state, created_at, updated_at, derivation)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', 'requested', $12, $12, $13)
         ON CONFLICT ON CONSTRAINT meetings_uid DO UPDATE
         SET body_id = excluded.body_id, title = excluded.title, date = excluded.date, starts_at = excluded.starts_at,
             location = excluded.location, status = excluded.status, visibility = excluded.visibility, updated_at = excluded.updated_at,
             derivation = excluded.derivation
         RETURNING id",
    )
    .bind(m.id.uuid())
    .bind(tenant)
    .bind(m.city_id)
    .bind(m.body_id)
    .bind(m.meeting_uid)
    .bind(m.title)
    .bind(m.date)
    .bind(m.starts_at)
    .bind(m.location)
    .bind(m.status)
    .bind(m.visibility)
    .bind(now)
    .bind(m.derivation)
    .fetch_one(tx.conn())
    .await?)
}

/// Remembers which state of the source the meeting is of.
pub(crate) async fn set_revision(tx: &mut TenantTx, id: Uuid, revision: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE meetings SET revision = $2 WHERE id = $1")
        .bind(id)
        .bind(revision)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Shows where the latest run stands.
pub(crate) async fn set_run(
    tx: &mut TenantTx,
    id: Uuid,
    run: Uuid,
    state: &str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE meetings SET run_id = $2, run_state = $3, run_reason = $4, updated_at = $5
         WHERE id = $1 AND (run_id IS NULL OR run_id <= $2)",
    )
    .bind(id)
    .bind(run)
    .bind(state)
    .bind(reason)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Meetings by id, as far as the caller may see them.
pub(crate) async fn by_ids(
    tx: &mut TenantTx,
    ids: &[Uuid],
    visible: &[&str],
) -> Result<Vec<Meeting>, DbError> {
    let sql =
        format!("{MEETING} WHERE m.id = ANY ($1) AND m.visibility = ANY ($2) AND m.withdrawn_at IS NULL");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(ids).bind(visible).fetch_all(tx.conn()).await?)
}

/// One more than a page of meetings, in the page's direction.
pub(crate) async fn list(
    tx: &mut TenantTx,
    filter: &Filter,
    order: Order,
    page: &Page<(NaiveDate, Uuid)>,
    visible: &[&str],
) -> Result<Vec<Meeting>, DbError> {
    let descending = (order == Order::DateDesc) == (page.direction == Direction::Forward);
    let (compare, direction) = if descending { ("<", "DESC") } else { (">", "ASC") };
    let (date, id) = page.cursor.unzip();
    let sql = format!(
        "{MEETING} WHERE m.visibility = ANY ($1) AND m.withdrawn_at IS NULL
         AND ($2::uuid IS NULL OR m.city_id = $2) AND ($3::uuid IS NULL OR m.body_id = $3)
         AND ($4::date IS NULL OR m.date >= $4) AND ($5::date IS NULL OR m.date <= $5)
         AND ($6::text IS NULL OR m.status = $6) AND (NOT $7 OR m.summary_version > 0)
         AND ($8::date IS NULL OR (m.date, m.id) {compare} ($8, $9::uuid))
         ORDER BY m.date {direction}, m.id {direction} LIMIT $10"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(visible)
        .bind(filter.city.map(|c| c.uuid()))
        .bind(filter.body.map(|b| b.uuid()))
        .bind(filter.from)
        .bind(filter.to)
        .bind(&filter.status)
        .bind(filter.published)
        .bind(date)
        .bind(id)
        .bind(i64::from(page.size) + 1)
        .fetch_all(tx.conn())
        .await?)
}

/// Takes a meeting and its documents away from readers; gives its summary's version. `None`: it was away already.
pub(crate) async fn withdraw(
    tx: &mut TenantTx,
    id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<Option<i64>, DbError> {
    let version = sqlx::query_scalar(
        "UPDATE meetings SET withdrawn_at = $2, withdrawn_reason = $3, updated_at = $2
         WHERE id = $1 AND withdrawn_at IS NULL RETURNING summary_version",
    )
    .bind(id)
    .bind(now)
    .bind(reason)
    .fetch_optional(tx.conn())
    .await?;
    if version.is_some() {
        sqlx::query(
            "UPDATE artifacts SET status = 'withdrawn', reason = $2 WHERE meeting_id = $1 AND status <> 'withdrawn'",
        )
        .bind(id)
        .bind(reason)
        .execute(tx.conn())
        .await?;
    }
    Ok(version)
}

/// Something about it changed that its readers, and those who keep copies, must see.
pub(crate) async fn touch(tx: &mut TenantTx, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query("UPDATE meetings SET updated_at = $2 WHERE id = $1")
        .bind(id)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Follows a publication; an older version changes nothing. `false`: it was known.
pub(crate) async fn publish(
    tx: &mut TenantTx,
    id: Uuid,
    version: i64,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let tenant = tx.tenant().uuid();
    // One writer of the sequence at a time: a watcher that has seen a number never meets a smaller one later.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.publications'))")
        .execute(tx.conn())
        .await?;
    let added = sqlx::query(
        "INSERT INTO publications (tenant_id, meeting_id, summary_version, published_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT ON CONSTRAINT publications_once DO NOTHING",
    )
    .bind(tenant)
    .bind(id)
    .bind(version)
    .bind(now)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "UPDATE meetings SET summary_version = $2, updated_at = $3 WHERE id = $1 AND summary_version < $2",
    )
    .bind(id)
    .bind(version)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Publications after a cursor: (sequence, meeting, version).
pub(crate) async fn publications_after(
    tx: &mut TenantTx,
    after: i64,
    most: i64,
) -> Result<Vec<(i64, Uuid, i64)>, DbError> {
    Ok(sqlx::query_as(
        "SELECT sequence, meeting_id, summary_version FROM publications WHERE sequence > $1 ORDER BY sequence LIMIT $2",
    )
    .bind(after)
    .bind(most)
    .fetch_all(tx.conn())
    .await?)
}

/// The newest publication's number, 0 where there is none.
pub(crate) async fn last_publication(tx: &mut TenantTx) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(sequence), 0) FROM publications").fetch_one(tx.conn()).await?)
}
