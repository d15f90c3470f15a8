//! Steps inside one service: rows of its `jobs`.

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::JobId;
use cs_db::{DbError, SystemTx, TenantTx, Tx};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Envelope, HandlerError};

/// A job in a worker's hands.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its row.
    pub id: JobId,
    /// What is to be done.
    pub envelope: Envelope,
    /// How often it was taken, this time included. It is also the receipt: who lost the lease cannot end it.
    pub attempt: i32,
    /// How often a worker died with it in hand.
    pub lost: i32,
    /// How often a process that stopped handed it back.
    pub handed_back: i32,
    /// What takes turns with others.
    pub(crate) lane: String,
}

/// Asks for a step in the transaction of the change that needs it. `false`: it was asked for before.
pub async fn put(tx: &mut impl Tx, envelope: &Envelope) -> Result<bool, DbError> {
    let put = sqlx::query(
        "INSERT INTO jobs (id, tenant_id, type, idempotency_key, envelope, state, run_at, created_at, lane)
         VALUES ($1, $2, $3, $4, $5, 'ready', $6, $6, $7) ON CONFLICT ON CONSTRAINT jobs_once DO NOTHING",
    )
    .bind(envelope.id.uuid())
    .bind(envelope.tenant_id.uuid())
    .bind(&envelope.kind)
    .bind(&envelope.idempotency_key)
    .bind(Json(envelope))
    .bind(envelope.occurred_at)
    .bind(envelope.lane())
    .execute(tx.conn())
    .await?;
    Ok(put.rows_affected() == 1)
}

/// Ends a job in the transaction of its effect. An error: another worker has it now, so roll back.
pub async fn finish(tx: &mut TenantTx, job: &Job, now: DateTime<Utc>) -> Result<(), HandlerError> {
    let ended = sqlx::query(
        "UPDATE jobs SET state = 'done', finished_at = $3, leased_until = NULL, error = NULL
         WHERE id = $1 AND attempt = $2 AND state = 'running'",
    )
    .bind(job.id.uuid())
    .bind(job.attempt)
    .bind(now)
    .execute(tx.conn())
    .await
    .map_err(DbError::from)?;
    if ended.rows_affected() == 1 { Ok(()) } else { Err(HandlerError::LeaseLost) }
}

/// What a worker can do: types, and the newest version of each that it reads.
pub(crate) struct Readable<'a> {
    pub(crate) types: &'a [&'a str],
    pub(crate) newest: &'a [i32],
}

/// Takes one due job, or one whose worker died: the oldest of the lane after `after`.
pub(crate) async fn claim(
    tx: &mut SystemTx,
    readable: &Readable<'_>,
    now: DateTime<Utc>,
    lease: TimeDelta,
    after: &str,
) -> Result<Option<Job>, DbError> {
    let row: Option<(Uuid, Json<Envelope>, i32, i32, i32, String)> =
        sqlx::query_as("SELECT * FROM claim_due_job($1, $2, $3, $4, $5)")
            .bind(readable.types)
            .bind(readable.newest)
            .bind(now)
            .bind(now + lease)
            .bind(after)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|(id, Json(envelope), attempt, lost, handed_back, lane)| Job {
        id: id.into(),
        envelope,
        attempt,
        lost,
        handed_back,
        lane,
    }))
}

/// Keeps a job in its worker's hands. `false`: it is not in them any more.
pub(crate) async fn extend(tx: &mut SystemTx, job: &Job, until: DateTime<Utc>) -> Result<bool, DbError> {
    let kept = sqlx::query(
        "UPDATE jobs SET leased_until = $3, run_at = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'",
    )
    .bind(job.id.uuid())
    .bind(job.attempt)
    .bind(until)
    .execute(tx.conn())
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Gives a job back untried, to be taken again at once.
pub(crate) async fn hand_back(tx: &mut SystemTx, job: &Job, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE jobs SET state = 'ready', run_at = $3, leased_until = NULL, handed_back = handed_back + 1
         WHERE id = $1 AND attempt = $2 AND state = 'running'",
    )
    .bind(job.id.uuid())
    .bind(job.attempt)
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives a job back until `at`, or to the dead letters where `at` is `None`.
pub(crate) async fn give_back(
    tx: &mut SystemTx,
    job: &Job,
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    error: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE jobs SET state = CASE WHEN $3::timestamptz IS NULL THEN 'dead' ELSE 'ready' END, run_at = coalesce($3, run_at),
             finished_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END, error = $5, leased_until = NULL
         WHERE id = $1 AND attempt = $2 AND state = 'running'",
    )
    .bind(job.id.uuid())
    .bind(job.attempt)
    .bind(at)
    .bind(now)
    // A text of Postgres holds no NUL.
    .bind(error.replace('\0', ""))
    .execute(tx.conn())
    .await?;
    Ok(())
}
