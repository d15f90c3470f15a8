//! What every schema has done regularly by one replica: old rows are forgotten.
//!
//! Published facts are kept 30 days, for replay. What was handled or done is remembered longer than anything can come
//! again by itself: 14 days in a queue and 14 in a dead-letter queue of SQS, or 30 days from the outbox.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, SystemTx, Tx};
use cs_rpc::Tasks;

use crate::{Bus, BusError};

/// How long a published fact can be replayed.
pub const KEPT_PUBLISHED: TimeDelta = TimeDelta::days(30);
/// How long it is remembered that an event was handled and a job done.
pub const KEPT_HANDLED: TimeDelta = TimeDelta::days(90);
/// How often old rows are forgotten.
const RETENTION: TimeDelta = TimeDelta::hours(1);
/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(60);
/// Rows in one transaction.
const BATCH: i32 = 5_000;

/// Whether the chore is due, and this replica the one to do it: the next time is set at once, so that a window that was
/// missed is caught up once, whoever looks first.
pub async fn take(
    db: &Db,
    name: &str,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let mut tx = db.system(Reason::Scheduler).await?;
    let last = take_in(&mut tx, name, every, now).await?;
    tx.commit().await?;
    Ok(last)
}

/// The same in the transaction of what is to be done, where that must not be missed: rolled back, it is due as before.
pub async fn take_in(
    tx: &mut SystemTx,
    name: &str,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    // A chore never seen is due at once and says so by having no last time.
    let taken: Option<Option<DateTime<Utc>>> = sqlx::query_scalar(
        "WITH old AS (SELECT last_at FROM chores WHERE name = $1)
         INSERT INTO chores AS c (name, due_at, last_at) VALUES ($1, $3, $2)
         ON CONFLICT (name) DO UPDATE SET due_at = $3, last_at = $2 WHERE c.due_at <= $2
         RETURNING (SELECT last_at FROM old)",
    )
    .bind(name)
    .bind(now)
    .bind(now + every)
    .fetch_optional(tx.conn())
    .await?;
    Ok(taken.map(|last| last.unwrap_or(now - every)))
}

/// Forgets what is old, where that is due. Gives how many rows.
pub async fn retention(db: &Db, bus: &dyn Bus, now: DateTime<Utc>) -> Result<u64, BusError> {
    if take(db, "retention", RETENTION, now).await?.is_none() {
        return Ok(0);
    }
    let mut forgotten = bus.tidy(now - KEPT_HANDLED).await?;
    loop {
        let mut tx = db.system(Reason::Operations).await?;
        let gone: i64 = sqlx::query_scalar("SELECT forget_old($1, $2, $3)")
            .bind(now - KEPT_PUBLISHED)
            .bind(now - KEPT_HANDLED)
            .bind(BATCH)
            .fetch_one(tx.conn())
            .await
            .map_err(DbError::from)?;
        tx.commit().await?;
        forgotten += gone.unsigned_abs();
        if gone < i64::from(BATCH) {
            break;
        }
    }
    loop {
        let gone = forget_beside(db, now - KEPT_HANDLED).await?;
        forgotten += gone.unsigned_abs();
        if gone < i64::from(BATCH) {
            return Ok(forgotten);
        }
    }
}

/// A schema that keeps more of the kind has a function `forget_beside(before, most)`, which the system role may call and
/// which gives how many it has forgotten.
async fn forget_beside(db: &Db, before: DateTime<Utc>) -> Result<i64, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    let there: bool =
        sqlx::query_scalar("SELECT to_regprocedure('forget_beside(timestamptz, integer)') IS NOT NULL")
            .fetch_one(tx.conn())
            .await?;
    if !there {
        return Ok(0);
    }
    let gone = sqlx::query_scalar("SELECT forget_beside($1, $2)")
        .bind(before)
        .bind(BATCH)
        .fetch_one(tx.conn())
        .await?;
    tx.commit().await?;
    Ok(gone)
}

/// Looks after a schema until the tasks drain.
pub fn run(tasks: &Tasks, db: Db, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) {
    tasks.every(LOOK, move || {
        let (db, bus, clock) = (db.clone(), bus.clone(), clock.clone());
        async move {
            match retention(&db, bus.as_ref(), clock.now()).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old facts, receipts and jobs forgotten"),
                Err(error) => {
                    tracing::warn!(%error, "old rows could not be forgotten; it is tried again at the next time")
                }
            }
        }
    });
}
