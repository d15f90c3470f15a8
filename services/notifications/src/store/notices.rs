//! What is told, once a meeting and type.

use chrono::{DateTime, Utc};
use cs_core::{ArtifactId, CityId, EventId, MeetingId, Visibility};
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A notice to be made.
pub(crate) struct NewNotice<'a> {
    pub(crate) kind: &'a str,
    pub(crate) meeting: MeetingId,
    pub(crate) city: CityId,
    pub(crate) city_name: &'a str,
    pub(crate) title: &'a str,
    pub(crate) body: &'a str,
    pub(crate) summary_version: i64,
}

/// What fan-out needs of a notice.
#[derive(sqlx::FromRow)]
pub(crate) struct Notice {
    pub(crate) id: Uuid,
    pub(crate) city_id: Uuid,
    pub(crate) city_name: String,
    /// What was told of it is forgotten: nobody is told again.
    pub(crate) closed: bool,
}

/// Makes a notice; `false`: the meeting was announced before.
pub(crate) async fn insert(
    tx: &mut TenantTx,
    id: EventId,
    notice: &NewNotice<'_>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let made = sqlx::query(
        "INSERT INTO notices (id, tenant_id, type, meeting_id, city_id, city_name, title, body, summary_version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT ON CONSTRAINT notices_once DO NOTHING",
    )
    .bind(id.uuid())
    .bind(tx.tenant().uuid())
    .bind(notice.kind)
    .bind(notice.meeting.uuid())
    .bind(notice.city.uuid())
    .bind(notice.city_name)
    .bind(notice.title)
    .bind(notice.body)
    .bind(notice.summary_version)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(made.rows_affected() == 1)
}

/// What a notice says: nothing while residents may not see one of the meeting's documents, nor once its words were taken
/// back. Of the notice `n`.
macro_rules! words {
    () => {
        "CASE WHEN EXISTS (SELECT FROM document_visibility v WHERE v.tenant_id = n.tenant_id AND v.meeting_id = n.meeting_id
                           AND v.visibility = 'reviewer')
                OR EXISTS (SELECT FROM retractions r WHERE r.tenant_id = n.tenant_id AND r.meeting_id = n.meeting_id
                           AND r.version > n.summary_version) THEN '' ELSE n.body END AS body"
    };
}
pub(crate) use words;

/// Who may see a document since a time; what was said later stands.
pub(crate) async fn set_visibility(
    tx: &mut TenantTx,
    artifact: ArtifactId,
    meeting: MeetingId,
    visibility: Visibility,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO document_visibility AS known (tenant_id, artifact_id, meeting_id, visibility, changed_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, artifact_id) DO UPDATE SET visibility = excluded.visibility, changed_at = excluded.changed_at
         WHERE known.changed_at < excluded.changed_at",
    )
    .bind(tx.tenant().uuid())
    .bind(artifact.uuid())
    .bind(meeting.uuid())
    .bind(visibility.as_str())
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What was told of the meeting's versions before this one is not repeated.
pub(crate) async fn take_back(tx: &mut TenantTx, meeting: MeetingId, version: i64) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO retractions AS r (tenant_id, meeting_id, version) VALUES ($1, $2, $3)
         ON CONFLICT (tenant_id, meeting_id) DO UPDATE SET version = $3 WHERE r.version < $3",
    )
    .bind(tx.tenant().uuid())
    .bind(meeting.uuid())
    .bind(version)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Nobody else announces the meeting until the transaction ends: two versions at once would both find that nothing was told.
pub(crate) async fn lock(tx: &mut TenantTx, meeting: MeetingId) -> Result<(), DbError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('notices of ' || $1 || ' ' || $2, 0))")
        .bind(tx.tenant().to_string())
        .bind(meeting.to_string())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What was told of a meeting last.
#[derive(sqlx::FromRow)]
pub(crate) struct Told {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) summary_version: i64,
}

/// What was told of a meeting last.
pub(crate) async fn latest(tx: &mut TenantTx, meeting: MeetingId) -> Result<Option<Told>, DbError> {
    Ok(sqlx::query_as(
        "SELECT title, body, summary_version FROM notices WHERE meeting_id = $1 ORDER BY summary_version DESC LIMIT 1",
    )
    .bind(meeting.uuid())
    .fetch_optional(tx.conn())
    .await?)
}

/// The notice of a meeting.
pub(crate) async fn of(tx: &mut TenantTx, meeting: MeetingId, kind: &str) -> Result<Option<Notice>, DbError> {
    Ok(sqlx::query_as(
        "SELECT n.id, n.city_id, n.city_name, c.notice_id IS NOT NULL AS closed
         FROM notices n LEFT JOIN closed_notices c ON c.tenant_id = n.tenant_id AND c.notice_id = n.id
         WHERE n.meeting_id = $1 AND n.type = $2",
    )
    .bind(meeting.uuid())
    .bind(kind)
    .fetch_optional(tx.conn())
    .await?)
}
