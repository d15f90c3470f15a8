//! Artifacts.

use chrono::{DateTime, Utc};
use cs_core::ArtifactId;
use cs_db::{DbError, TenantTx, Tx};
use uuid::Uuid;

/// A row of `artifacts`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Artifact {
    pub(crate) id: Uuid,
    pub(crate) meeting_id: Uuid,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) file_name: String,
    pub(crate) source_url: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) size_bytes: i64,
    pub(crate) sha256: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) pages: Option<i32>,
    pub(crate) characters: Option<i32>,
    pub(crate) text_sha256: Option<String>,
    pub(crate) visibility: String,
}

impl Artifact {
    /// Its reading failed for a reason that is not in the document: another try may succeed.
    pub(crate) fn was_given_up(&self) -> bool {
        self.status == "unreadable" && self.reason.as_deref().is_some_and(|r| r.starts_with(GIVEN_UP))
    }
}

/// How the reason of an artifact begins whose reader failed, and not its document.
pub(crate) const GIVEN_UP: &str = "reader: ";

const ARTIFACT: &str =
    "SELECT id, meeting_id, kind, title, file_name, source_url, media_type, size_bytes, sha256, status,
    reason, pages, characters, text_sha256, visibility FROM artifacts";

/// What an ingest writes of an artifact.
pub(crate) struct New<'a> {
    pub(crate) id: ArtifactId,
    pub(crate) meeting_id: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) title: &'a str,
    pub(crate) file_name: &'a str,
    pub(crate) source_url: Option<&'a str>,
    pub(crate) size_bytes: i64,
    pub(crate) sha256: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) visibility: &'a str,
}

/// Adds an artifact; one with the same content is kept and told anew what it is. A withdrawn one comes back.
pub(crate) async fn upsert(tx: &mut TenantTx, a: &New<'_>, now: DateTime<Utc>) -> Result<Artifact, DbError> {
    let tenant = tx.tenant().uuid();
    Ok(sqlx::query_as(
        "INSERT INTO artifacts (id, tenant_id, meeting_id, kind, title, file_name, source_url, size_bytes, sha256, status,
                                reason, visibility, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT ON CONSTRAINT artifacts_content DO UPDATE
         SET kind = excluded.kind, title = excluded.title, file_name = excluded.file_name, source_url = excluded.source_url,
             visibility = CASE WHEN artifacts.visibility_set_at IS NULL THEN excluded.visibility ELSE artifacts.visibility END,
             status = CASE WHEN artifacts.status <> 'withdrawn' THEN artifacts.status
                           WHEN artifacts.text_sha256 IS NOT NULL THEN 'extracted' ELSE excluded.status END
         RETURNING id, meeting_id, kind, title, file_name, source_url, media_type, size_bytes, sha256, status, reason, pages,
                   characters, text_sha256, visibility",
    )
    .bind(a.id.uuid())
    .bind(tenant)
    .bind(a.meeting_id)
    .bind(a.kind)
    .bind(a.title)
    .bind(a.file_name)
    .bind(a.source_url)
    .bind(a.size_bytes)
    .bind(a.sha256)
    .bind(a.status)
    .bind(a.reason)
    .bind(a.visibility)
    .bind(now)
    .fetch_one(tx.conn())
    .await?)
}

/// Withdraws earlier contents of a file that has changed; those in `keep`, by SHA-256, stay.
pub(crate) async fn withdraw_others(
    tx: &mut TenantTx,
    meeting: Uuid,
    file_name: &str,
    keep: &[String],
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE artifacts SET status = 'withdrawn', reason = 'replaced by a newer file of the same name'
         WHERE meeting_id = $1 AND file_name = $2 AND sha256 <> ALL ($3) AND status <> 'withdrawn'",
    )
    .bind(meeting)
    .bind(file_name)
    .bind(keep)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Artifacts of meetings that the caller may see, in the order they were added.
pub(crate) async fn of_meetings(
    tx: &mut TenantTx,
    meetings: &[Uuid],
    visible: &[&str],
) -> Result<Vec<Artifact>, DbError> {
    let sql =
        format!("{ARTIFACT} WHERE meeting_id = ANY ($1) AND visibility = ANY ($2) ORDER BY meeting_id, id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(meetings).bind(visible).fetch_all(tx.conn()).await?)
}

/// Artifacts by id that the caller may see; of withdrawn meetings only where `withdrawn`.
pub(crate) async fn by_ids(
    tx: &mut TenantTx,
    ids: &[Uuid],
    visible: &[&str],
    withdrawn: bool,
) -> Result<Vec<Artifact>, DbError> {
    let sql = format!(
        "{ARTIFACT} WHERE id = ANY ($1) AND visibility = ANY ($2) AND ($3
         OR NOT EXISTS (SELECT FROM meetings m WHERE m.id = artifacts.meeting_id AND m.withdrawn_at IS NOT NULL))"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ids)
        .bind(visible)
        .bind(withdrawn)
        .fetch_all(tx.conn())
        .await?)
}

/// Says who may see it, from now on; gives its meeting and who might until now. `None`: it is not there.
pub(crate) async fn set_visibility(
    tx: &mut TenantTx,
    id: Uuid,
    visibility: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Uuid, String)>, DbError> {
    let before: Option<(Uuid, String)> =
        sqlx::query_as("SELECT meeting_id, visibility FROM artifacts WHERE id = $1 FOR UPDATE")
            .bind(id)
            .fetch_optional(tx.conn())
            .await?;
    if before.as_ref().is_some_and(|(_, tag)| tag != visibility) {
        sqlx::query("UPDATE artifacts SET visibility = $2, visibility_set_at = $3 WHERE id = $1")
            .bind(id)
            .bind(visibility)
            .bind(now)
            .execute(tx.conn())
            .await?;
    }
    Ok(before)
}

/// Has its text now.
pub(crate) async fn extracted(
    tx: &mut TenantTx,
    id: Uuid,
    media_type: &str,
    pages: Option<i32>,
    characters: i32,
    text_sha256: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE artifacts SET status = 'extracted', reason = NULL, failed_reads = 0, media_type = $2, pages = $3, characters = $4, text_sha256 = $5
         WHERE id = $1 AND status <> 'withdrawn'",
    )
    .bind(id)
    .bind(media_type)
    .bind(pages)
    .bind(characters)
    .bind(text_sha256)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Marks an artifact that the reader gave up on as one to be read again.
pub(crate) async fn retry(tx: &mut TenantTx, id: Uuid) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE artifacts SET status = 'fetched', reason = NULL WHERE id = $1 AND status = 'unreadable'",
    )
    .bind(id)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a try at which the reader failed, and not the document; gives how many that makes. At the first try of a job, and
/// after the last of `most`, it begins anew: what is replayed has all its tries.
pub(crate) async fn count_failed_read(
    tx: &mut TenantTx,
    id: Uuid,
    first: bool,
    most: u32,
) -> Result<u32, DbError> {
    let reads: i32 = sqlx::query_scalar(
        "UPDATE artifacts SET failed_reads = CASE WHEN $3 THEN 1 ELSE failed_reads % $2 + 1 END WHERE id = $1
         RETURNING failed_reads",
    )
    .bind(id)
    .bind(most.cast_signed())
    .bind(first)
    .fetch_one(tx.conn())
    .await?;
    Ok(reads.unsigned_abs())
}

/// Could not be read: kept, marked, with the reason.
pub(crate) async fn unread(tx: &mut TenantTx, id: Uuid, status: &str, reason: &str) -> Result<(), DbError> {
    sqlx::query("UPDATE artifacts SET status = $2, reason = $3 WHERE id = $1 AND status = 'fetched'")
        .bind(id)
        .bind(status)
        .bind(reason)
        .execute(tx.conn())
        .await?;
    Ok(())
}
