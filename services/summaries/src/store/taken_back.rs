//! Documents that fewer may see, and meetings that were withdrawn.

use chrono::{DateTime, Utc};
use cs_core::{ArtifactId, MeetingId};
use cs_db::{DbError, TenantTx, Tx};

/// Who may see a document from `changed_at` on; an older word changes nothing.
pub(crate) async fn set_visibility(
    tx: &mut TenantTx,
    artifact: ArtifactId,
    visibility: &str,
    changed_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO artifact_visibility AS known (artifact_id, tenant_id, visibility, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (artifact_id) DO UPDATE SET visibility = excluded.visibility, changed_at = excluded.changed_at
         WHERE known.changed_at < excluded.changed_at",
    )
    .bind(artifact.uuid())
    .bind(tenant)
    .bind(visibility)
    .bind(changed_at)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Nobody is shown the meeting any more.
pub(crate) async fn withdraw(
    tx: &mut TenantTx,
    meeting: MeetingId,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().uuid();
    sqlx::query(
        "INSERT INTO withdrawn_meetings (meeting_id, tenant_id, withdrawn_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(meeting.uuid())
    .bind(tenant)
    .bind(at)
    .execute(tx.conn())
    .await?;
    Ok(())
}
