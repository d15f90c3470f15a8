//! Sources and their scans.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use cs_core::{SourceId, TenantId};
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use uuid::Uuid;

use crate::schedule::Schedule;

/// A row of `sources`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Source {
    pub(crate) id: Uuid,
    pub(crate) city_id: Uuid,
    pub(crate) kind: String,
    pub(crate) location: String,
    pub(crate) scan_seconds: Option<i32>,
    pub(crate) schedule: Option<String>,
    pub(crate) last_scan_at: Option<DateTime<Utc>>,
    pub(crate) last_scan_status: Option<String>,
    pub(crate) last_scan_reason: Option<String>,
    /// Meetings that it lists and that were given up, each with the reason.
    pub(crate) given_up: Vec<String>,
}

const COLUMNS: &str = "id, city_id, kind, location, scan_seconds, schedule, last_scan_at, last_scan_status, last_scan_reason,
    ARRAY(SELECT meeting_uid || ': ' || l.given_up FROM listings l WHERE l.source_id = sources.id AND l.given_up IS NOT NULL
          ORDER BY meeting_uid) AS given_up";

/// A source to be added.
pub(crate) struct New<'a> {
    pub(crate) id: SourceId,
    pub(crate) city: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) location: &'a str,
    pub(crate) schedule: Option<&'a Schedule>,
    /// The city's: the scheduler sees sources and no cities.
    pub(crate) time_zone: &'a str,
}

/// Adds a source, or changes how often it is scanned.
pub(crate) async fn upsert(tx: &mut TenantTx, new: &New<'_>, now: DateTime<Utc>) -> Result<Source, DbError> {
    let tenant = tx.tenant().uuid();
    let id = new.id.uuid();
    // The first scan of an interval is at once; a cron line says itself when.
    let next = new.schedule.and_then(|schedule| match schedule {
        Schedule::Every(_) => Some(now),
        Schedule::Cron(..) => schedule.next(now, zone(new.time_zone), id),
    });
    let sql = format!(
        "INSERT INTO sources (id, tenant_id, city_id, kind, location, scan_seconds, schedule, time_zone, next_scan_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT sources_location DO UPDATE
         SET scan_seconds = excluded.scan_seconds, schedule = excluded.schedule, time_zone = excluded.time_zone,
             next_scan_at = excluded.next_scan_at
         RETURNING {COLUMNS}"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(tenant)
        .bind(new.city)
        .bind(new.kind)
        .bind(new.location)
        .bind(new.schedule.and_then(Schedule::seconds))
        .bind(new.schedule.and_then(Schedule::line))
        .bind(new.time_zone)
        .bind(next)
        .bind(now)
        .fetch_one(tx.conn())
        .await?)
}

/// Has the sources of a city follow its clock.
pub(crate) async fn follow_clock(
    tx: &mut TenantTx,
    city: Uuid,
    time_zone: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let moved: Vec<(Uuid, Option<String>)> = sqlx::query_as(
        "UPDATE sources SET time_zone = $2 WHERE city_id = $1 AND time_zone <> $2 RETURNING id, schedule",
    )
    .bind(city)
    .bind(time_zone)
    .fetch_all(tx.conn())
    .await?;
    for (id, line) in moved {
        // An interval is the same by any clock.
        let Some(schedule) = line.and_then(|line| Schedule::parse(&line).ok()) else { continue };
        sqlx::query("UPDATE sources SET next_scan_at = $2 WHERE id = $1")
            .bind(id)
            .bind(schedule.next(now, zone(time_zone), id))
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Sources of a city, or all of them.
pub(crate) async fn list(tx: &mut TenantTx, city: Option<Uuid>) -> Result<Vec<Source>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM sources WHERE $1::uuid IS NULL OR city_id = $1 ORDER BY id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(city).fetch_all(tx.conn()).await?)
}

/// One source.
pub(crate) async fn get(tx: &mut TenantTx, id: Uuid) -> Result<Option<Source>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM sources WHERE id = $1");
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
         SET revision = excluded.revision, generation = listings.generation + 1, given_up = NULL WHERE listings.revision <> excluded.revision
         RETURNING generation",
    )
    .bind(source)
    .bind(uid)
    .bind(tenant)
    .bind(revision)
    .fetch_optional(tx.conn())
    .await?)
}

/// Notes why what a source listed was given up; `None`: it was taken in after all. A later revision is not meant.
pub(crate) async fn give_up(
    tx: &mut TenantTx,
    (source, uid, revision): (Uuid, &str, &str),
    reason: Option<&str>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE listings SET given_up = $4 WHERE source_id = $1 AND meeting_uid = $2 AND revision = $3",
    )
    .bind(source)
    .bind(uid)
    .bind(revision)
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What a source lists no longer is nothing to complain of.
pub(crate) async fn forget_unlisted(
    tx: &mut TenantTx,
    source: Uuid,
    listed: &[String],
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE listings SET given_up = NULL WHERE source_id = $1 AND given_up IS NOT NULL AND NOT meeting_uid = ANY ($2)",
    )
    .bind(source)
    .bind(listed)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Records how a scan went: whether everything could be taken in, and what is to be said of it.
pub(crate) async fn scanned(
    tx: &mut TenantTx,
    id: Uuid,
    (ok, reason): (bool, Option<&str>),
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE sources SET last_scan_at = $2, last_scan_status = $3, last_scan_reason = $4 WHERE id = $1",
    )
    .bind(id)
    .bind(now)
    .bind(if ok { "ok" } else { "failed" })
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Tenant, source, window, interval, cron, time zone.
type Due = (Uuid, Uuid, DateTime<Utc>, Option<i32>, Option<String>, String);

/// Takes a source whose scan is due and sets the next one; gives its tenant, its id and the window that was due.
///
/// The row lock and the new time make one firing of a window, however many replicas look; windows that were missed
/// are caught up by one.
pub(crate) async fn take_due(
    tx: &mut SystemTx,
    now: DateTime<Utc>,
) -> Result<Option<(TenantId, Uuid, DateTime<Utc>)>, DbError> {
    let due: Option<Due> = sqlx::query_as(
        "SELECT tenant_id, id, next_scan_at, scan_seconds, schedule, time_zone FROM sources WHERE next_scan_at <= $1
         ORDER BY next_scan_at LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .bind(now)
    .fetch_optional(tx.conn())
    .await?;
    let Some((tenant, id, window, every, line, time_zone)) = due else { return Ok(None) };
    let schedule = match (every, line) {
        (Some(every), _) => Some(Schedule::Every(every)),
        // It was parsed when it was stored; a line that a later parser refuses is not scanned any more.
        (None, Some(line)) => Schedule::parse(&line).ok(),
        (None, None) => None,
    };
    sqlx::query("UPDATE sources SET next_scan_at = $2 WHERE id = $1")
        .bind(id)
        .bind(schedule.and_then(|schedule| schedule.next(now, zone(&time_zone), id)))
        .execute(tx.conn())
        .await?;
    Ok(Some((tenant.into(), id, window)))
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}
