//! What a service gives up beside its jobs and facts, such as a message that nobody takes.
//!
//! A schema that has such letters has three functions, which the system role may call: `dead_beside(tenant, kind, one,
//! before, after_at, after_id, most)` lists them as [`super::jobs::dead`] does, `replay_beside(tenant, letters, at)` has them tried again and
//! gives those that were dead, `discard_beside(tenant, letter, why)` ends one. Where it has a fourth, `count_beside()`, its
//! letters of all tenants are among those that are counted.

use chrono::{DateTime, Utc};
use cs_core::{Caller, EventId};
use cs_db::{Db, DbError, Reason, SystemTx, Tx};
use cs_proto::ops::v1::DeadLetter;
use sqlx::types::Json;
use uuid::Uuid;

use super::rfc3339;
use crate::bus::{DeadFilter, DeadPlace};

type Row = (Uuid, String, Json<serde_json::Value>, i32, String, DateTime<Utc>, String);

async fn has_any(tx: &mut SystemTx) -> Result<bool, DbError> {
    Ok(sqlx::query_scalar(
        "SELECT to_regprocedure('dead_beside(uuid, text, uuid, timestamptz, timestamptz, uuid, integer)') IS NOT NULL",
    )
    .fetch_one(tx.conn())
    .await?)
}

/// How many of them a schema has, whosever they are.
pub(crate) async fn count(tx: &mut SystemTx) -> Result<u64, DbError> {
    let there: bool = sqlx::query_scalar("SELECT to_regprocedure('count_beside()') IS NOT NULL")
        .fetch_one(tx.conn())
        .await?;
    if !there {
        return Ok(0);
    }
    let count: i64 = sqlx::query_scalar("SELECT count_beside()").fetch_one(tx.conn()).await?;
    Ok(count.unsigned_abs())
}

/// As [`super::jobs::dead`].
pub(super) async fn dead(
    db: &Db,
    which: DeadFilter<'_>,
    most: u32,
) -> Result<Vec<(DeadPlace, DeadLetter)>, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    if !has_any(&mut tx).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = sqlx::query_as("SELECT * FROM dead_beside($1, $2, $3, $4, $5, $6, $7)")
        .bind(which.tenant.uuid())
        .bind(which.kind)
        .bind(which.event.map(EventId::uuid))
        .bind(which.before)
        .bind(which.after.map(|place| place.at))
        .bind(which.after.map(|place| place.id))
        .bind(i32::try_from(most).unwrap_or(i32::MAX))
        .fetch_all(tx.conn())
        .await?;
    let place: String = sqlx::query_scalar("SELECT current_schema()::text").fetch_one(tx.conn()).await?;
    Ok(rows
        .into_iter()
        .map(|(id, kind, Json(body), tries, error, at, traceparent)| {
            let letter = DeadLetter {
                id: EventId::from(id).to_string(),
                origin: "beside".into(),
                r#type: kind,
                attempts: tries.unsigned_abs(),
                error,
                payload: body.to_string(),
                failed_at: rfc3339(at),
                traceparent,
                place: place.clone(),
                envelope: body.to_string(),
                ..DeadLetter::default()
            };
            (DeadPlace { at, id }, letter)
        })
        .collect())
}

/// Has them tried again; gives those that were dead.
pub(super) async fn replay(
    db: &Db,
    caller: &Caller,
    ids: &[EventId],
    now: DateTime<Utc>,
) -> Result<Vec<EventId>, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    let replayed: Vec<Uuid> = sqlx::query_scalar("SELECT replay_beside($1, $2, $3)")
        .bind(caller.tenant.uuid())
        .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
        .bind(now)
        .fetch_all(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(replayed.into_iter().map(EventId::from).collect())
}

/// Ends one.
pub(super) async fn discard(db: &Db, caller: &Caller, id: EventId, why: &str) -> Result<(), DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    sqlx::query("SELECT discard_beside($1, $2, $3)")
        .bind(caller.tenant.uuid())
        .bind(id.uuid())
        .bind(why)
        .execute(tx.conn())
        .await?;
    tx.commit().await
}
