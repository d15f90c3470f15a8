//! How far behind a process's schemas and queues are, as metrics: what nobody has in hand counts like what somebody has.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Tx};
use cs_rpc::Tasks;

use crate::{Bus, dead_letters};

/// How often they are taken.
const EVERY: Duration = Duration::from_secs(15);

/// How far behind a schema is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    /// Seconds since the oldest fact was written that is not published.
    pub outbox_lag: f64,
    /// Facts that the bus refused.
    pub refused: u64,
    /// Jobs that wait or are under way.
    pub jobs: u64,
    /// Seconds since the oldest job was due that nobody works on.
    pub jobs_lag: f64,
    /// Jobs that were given up.
    pub dead_jobs: u64,
    /// What was given up beside them: notifications, and their messages by e-mail, push and webhook.
    pub dead_beside: u64,
}

type Row = (Option<DateTime<Utc>>, i64, i64, Option<DateTime<Utc>>, i64);

/// How far behind a schema is now.
pub async fn behind(db: &Db, now: DateTime<Utc>) -> Result<Behind, DbError> {
    let mut tx = db.system(Reason::Operations).await?;
    let (oldest, refused, jobs, due, dead_jobs): Row = sqlx::query_as(
        "SELECT (SELECT created_at FROM outbox WHERE published_at IS NULL AND refused_at IS NULL ORDER BY sequence LIMIT 1),
                (SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL), open.jobs, open.due,
                (SELECT count(*) FROM jobs WHERE state = 'dead')
         FROM (SELECT count(*) AS jobs, min(run_at) AS due FROM jobs WHERE state IN ('ready', 'running')) AS open",
    )
    .fetch_one(tx.conn())
    .await?;
    let dead_beside = dead_letters::count_beside(&mut tx).await?;
    let since = |at: Option<DateTime<Utc>>| at.map_or(0.0, |at| (now - at).as_seconds_f64().max(0.0));
    Ok(Behind {
        outbox_lag: since(oldest),
        refused: refused.unsigned_abs(),
        jobs: jobs.unsigned_abs(),
        // What is in hand is due when its lease ends.
        jobs_lag: since(due),
        dead_jobs: dead_jobs.unsigned_abs(),
        dead_beside,
    })
}

fn dead(origin: &'static str, place: &str, count: u64) {
    metrics::gauge!("councilsense_dead_letters", "origin" => origin, "place" => place.to_owned())
        .set(count as f64);
}

async fn take(schemas: &[(&'static str, Db)], bus: &dyn Bus, queues: &[String], now: DateTime<Utc>) {
    for (schema, db) in schemas {
        match behind(db, now).await {
            Ok(behind) => {
                metrics::gauge!("councilsense_outbox_lag_seconds", "schema" => *schema)
                    .set(behind.outbox_lag);
                dead("outbox", schema, behind.refused);
                metrics::gauge!("councilsense_jobs_open", "schema" => *schema).set(behind.jobs as f64);
                metrics::gauge!("councilsense_jobs_lag_seconds", "schema" => *schema).set(behind.jobs_lag);
                dead("job", schema, behind.dead_jobs);
                dead("beside", schema, behind.dead_beside);
            }
            Err(error) => tracing::debug!(%error, schema, "a schema's gauges could not be taken"),
        }
    }
    for queue in queues {
        match bus.count(queue).await {
            Ok((waiting, given_up)) => {
                metrics::gauge!("councilsense_queue_messages", "queue" => queue.clone()).set(waiting as f64);
                dead("queue", queue, given_up);
            }
            Err(error) => tracing::debug!(%error, queue, "a queue's gauges could not be taken"),
        }
    }
}

/// Takes them until the tasks drain.
pub fn run(
    tasks: &Tasks,
    schemas: Vec<(&'static str, Db)>,
    bus: Arc<dyn Bus>,
    queues: Vec<String>,
    clock: Arc<dyn Clock>,
) {
    let all = Arc::new((schemas, bus, queues, clock));
    tasks.every(EVERY, move || {
        let all = all.clone();
        async move {
            let (schemas, bus, queues, clock) = all.as_ref();
            take(schemas, bus.as_ref(), queues, clock.now()).await;
        }
    });
}
