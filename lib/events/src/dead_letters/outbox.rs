//! Facts of one schema that the bus refused for what they are.

use chrono::{DateTime, Utc};
use cs_core::{Caller, EventId};
use cs_db::{Db, DbError, Reason, Tx};
use cs_proto::ops::v1::DeadLetter;
use sqlx::types::Json;
use uuid::Uuid;

use super::rfc3339;
use crate::Envelope;
use crate::bus::{DeadFilter, DeadPlace};

/// As [`super::jobs::dead`].
pub(super) async fn refused(
    db: &Db,
    which: DeadFilter<'_>,
    most: u32,
) -> Result<Vec<(DeadPlace, DeadLetter)>, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    let rows: Vec<(Json<Envelope>, Option<String>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT envelope, error, refused_at FROM outbox
         WHERE tenant_id = $1 AND refused_at IS NOT NULL AND ($2 = '' OR type = $2) AND ($3::uuid IS NULL OR id = $3)
         AND ($5::timestamptz IS NULL OR refused_at < $5) AND ($6::timestamptz IS NULL OR (refused_at, id) < ($6, $7))
         ORDER BY CASE WHEN $5 IS NULL THEN -extract(epoch FROM refused_at) ELSE extract(epoch FROM refused_at) END, id DESC LIMIT $4",
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
        .map(|(Json(envelope), error, at)| {
            let letter = DeadLetter {
                id: envelope.id.to_string(),
                origin: "outbox".into(),
                r#type: envelope.kind.clone(),
                attempts: 1,
                error: error.unwrap_or_default(),
                payload: envelope.payload.to_string(),
                failed_at: rfc3339(at),
                traceparent: envelope.traceparent.clone(),
                place: envelope.source.clone(),
                envelope: serde_json::to_string(&envelope).unwrap_or_default(),
                ..DeadLetter::default()
            };
            (DeadPlace { at, id: envelope.id.uuid() }, letter)
        })
        .collect())
}

/// Gives refused facts to the relay again; gives those that were refused.
pub(super) async fn replay(db: &Db, caller: &Caller, ids: &[EventId]) -> Result<Vec<EventId>, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    let changed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE outbox SET refused_at = NULL, error = NULL
         WHERE id = ANY ($1) AND tenant_id = $2 AND refused_at IS NOT NULL RETURNING id",
    )
    .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind(caller.tenant.uuid())
    .fetch_all(tx.conn())
    .await?;
    sqlx::query("SELECT pg_notify($1, current_schema() || '.outbox')")
        .bind(crate::WAKE_CHANNEL)
        .execute(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(changed.into_iter().map(EventId::from).collect())
}

/// Forgets a refused fact.
pub(super) async fn discard(db: &Db, caller: &Caller, id: EventId) -> Result<(), DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    sqlx::query("DELETE FROM outbox WHERE id = $1 AND tenant_id = $2 AND refused_at IS NOT NULL")
        .bind(id.uuid())
        .bind(caller.tenant.uuid())
        .execute(tx.conn())
        .await?;
    tx.commit().await
}
