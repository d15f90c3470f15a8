//! Dead jobs of one schema.

use chrono::{DateTime, Utc};
use cs_core::{Caller, EventId, TenantId};
use cs_db::{Db, DbError, Reason, Tx};
use cs_proto::ops::v1::DeadLetter;
use sqlx::types::Json;
use uuid::Uuid;

use super::rfc3339;
use crate::bus::{DeadFilter, DeadPlace};
use crate::{Bus, BusError, Envelope};

/// Facts sent in one go.
const BATCH: i64 = 200;

type JobRow = (Uuid, String, Json<Envelope>, i32, Option<String>, Option<DateTime<Utc>>);

/// Those that the filter lets through, each with its place.
pub(super) async fn dead(
    db: &Db,
    which: DeadFilter<'_>,
    most: u32,
) -> Result<Vec<(DeadPlace, DeadLetter)>, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    let rows: Vec<JobRow> = sqlx::query_as(
        "SELECT id, type, envelope, attempt, error, finished_at FROM jobs
         WHERE tenant_id = $1 AND state = 'dead' AND ($2 = '' OR type = $2) AND ($3::uuid IS NULL OR id = $3)
         AND ($5::timestamptz IS NULL OR finished_at < $5) AND ($6::timestamptz IS NULL OR (finished_at, id) < ($6, $7))
         ORDER BY CASE WHEN $5 IS NULL THEN -extract(epoch FROM finished_at) ELSE extract(epoch FROM finished_at) END, id DESC LIMIT $4",
    )
    .bind(which.tenant.uuid())
    .bind(which.kind)
    .bind(which.event.map(EventId::uuid))
    .bind(i64::from(most))
    .bind(which.before)
    .bind(which.after.map(|place| place.at))
    .bind(which.after.map(|place| place.id))
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(id, kind, Json(envelope), attempts, error, at)| {
            let letter = DeadLetter {
                id: EventId::from(id).to_string(),
                origin: "job".into(),
                r#type: kind,
                attempts: attempts.unsigned_abs(),
                error: error.unwrap_or_default(),
                payload: envelope.payload.to_string(),
                failed_at: at.map(rfc3339).unwrap_or_default(),
                traceparent: envelope.traceparent.clone(),
                place: envelope.source.clone(),
                envelope: serde_json::to_string(&envelope).unwrap_or_default(),
                ..DeadLetter::default()
            };
            (DeadPlace { at: at.unwrap_or_default(), id }, letter)
        })
        .collect())
}

/// Changes dead jobs of the caller's tenant to `state`; gives those that were dead.
pub(super) async fn change(
    db: &Db,
    caller: &Caller,
    ids: &[EventId],
    state: &str,
    note: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<EventId>, DbError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let mut tx = db.system(Reason::Operations).await?;
    let changed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE jobs SET state = $3, attempt = 0, lost = 0, run_at = $4, error = coalesce($5, error),
             finished_at = CASE WHEN $3 = 'ready' THEN NULL ELSE finished_at END
         WHERE id = ANY ($1) AND tenant_id = $2 AND state = 'dead' RETURNING id",
    )
    .bind(ids)
    .bind(caller.tenant.uuid())
    .bind(state)
    .bind(now)
    .bind(note)
    .fetch_all(tx.conn())
    .await?;
    if state == "ready" && !changed.is_empty() {
        sqlx::query("SELECT pg_notify($1, current_schema() || '.jobs')")
            .bind(crate::WAKE_CHANNEL)
            .execute(tx.conn())
            .await?;
    }
    tx.commit().await?;
    Ok(changed.into_iter().map(EventId::from).collect())
}

/// Sends what the tenant's outbox published since a time to one queue, oldest first; gives how many facts the queue took.
pub(super) async fn replay_outbox(
    db: &Db,
    bus: &dyn Bus,
    tenant: TenantId,
    since: DateTime<Utc>,
    kind: &str,
    queue: &str,
) -> Result<u64, BusError> {
    let (mut after, mut sent) = (i64::MIN, 0);
    loop {
        let mut tx = db.system(Reason::Operations).await?;
        let rows: Vec<(i64, Json<Envelope>)> = sqlx::query_as(
            "SELECT sequence, envelope FROM outbox
             WHERE tenant_id = $1 AND published_at >= $2 AND ($3 = '' OR type = $3) AND sequence > $4 ORDER BY sequence LIMIT $5",
        )
        .bind(tenant.uuid())
        .bind(since)
        .bind(kind)
        .bind(after)
        .bind(BATCH)
        .fetch_all(tx.conn())
        .await
        .map_err(DbError::from)?;
        tx.commit().await?;
        let Some((last, _)) = rows.last() else { return Ok(sent) };
        after = *last;
        let envelopes: Vec<Envelope> = rows.into_iter().map(|(_, Json(envelope))| envelope).collect();
        sent += bus.send(queue, &envelopes).await?;
    }
}
