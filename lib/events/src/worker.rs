//! Hands due jobs to a handler.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Wakeups};
use cs_rpc::Tasks;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::attempt::{LONGEST, Next, Takes, handled, out_of_time};
use crate::jobs::{self, Job, Readable};
use crate::told::{Ended, Telling};
use crate::{HandlerError, RetryPolicy, fault, lanes};

/// A worker that died is waited for this long; one that works renews it.
const LEASE: TimeDelta = TimeDelta::seconds(30);
const RENEW: std::time::Duration = std::time::Duration::from_secs(10);

/// Does the steps of one service. It ends a job with [`jobs::finish`] in the transaction of its effect.
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// The types it does.
    fn types(&self) -> &'static [&'static str];
    /// The newest version of a type that it reads. A newer one waits for a worker that reads it.
    fn newest(&self, _kind: &str) -> u32 {
        1
    }
    /// How often each is tried.
    fn policy(&self, _kind: &str) -> RetryPolicy {
        RetryPolicy::STANDARD
    }
    /// Does the step.
    async fn handle(&self, job: &Job) -> Result<(), HandlerError>;
    /// The job was given up: whatever waits for it is told, so that nothing hangs.
    async fn given_up(&self, _job: &Job, _error: &str) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// Takes jobs of one schema.
#[derive(Clone)]
pub struct JobWorker {
    db: Db,
    handler: Arc<dyn JobHandler>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    /// The lane of the last job, so that lanes take turns.
    after: Arc<Mutex<String>>,
}

impl JobWorker {
    /// From the jobs in `db` to `handler`.
    pub fn new(db: Db, handler: Arc<dyn JobHandler>, clock: Arc<dyn Clock>) -> Self {
        Self { db, handler, clock, stop: CancellationToken::new(), after: Arc::default() }
    }

    /// Works until the tasks drain, `lanes` jobs at once. `schema` names the jobs whose inserts wake it.
    pub fn run(mut self, tasks: &Tasks, wakeups: &Wakeups, schema: &str, lanes: usize) {
        self.stop = tasks.stopping();
        let name = format!("{schema}.jobs");
        // Of several workers of one schema each is woken: the others do not do its types.
        let wake = wakeups.of_group(&name, &self.handler.types().join(","));
        // Beside the handler, what became of it is told and written.
        lanes::run(tasks, &wake, &name, lanes, LONGEST * 2, move || {
            let worker = self.clone();
            async move { worker.step().await }
        });
    }

    /// Does one due job; gives how many it did.
    pub async fn step(&self) -> Result<usize, DbError> {
        let types = self.handler.types();
        let newest: Vec<i32> =
            types.iter().map(|kind| i32::try_from(self.handler.newest(kind)).unwrap_or(i32::MAX)).collect();
        let after = self.after.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut tx = self.db.system(Reason::Jobs).await?;
        let readable = Readable { types, newest: &newest };
        let Some(job) = jobs::claim(&mut tx, &readable, self.clock.now(), LEASE, &after).await? else {
            return Ok(0);
        };
        tx.commit().await?;
        fault!("worker.claimed");
        self.after.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&job.lane);
        let told = Telling::of_job(&job.envelope, job.attempt.unsigned_abs());
        let span = told.span.clone();
        let worked = self.work(&job).instrument(span).await;
        let outcome = match &worked {
            Ok(ended) => told.end(ended),
            Err(error) => told.end(&Ended::Unwritten(error.to_string())),
        };
        metrics::counter!("councilsense_jobs_total", "type" => job.envelope.kind.clone(), "outcome" => outcome)
            .increment(1);
        worked.map(|_| 1)
    }

    async fn work(&self, job: &Job) -> Result<Ended, DbError> {
        let [attempt, lost, handed_back] = [job.attempt, job.lost, job.handed_back].map(i32::unsigned_abs);
        let takes = Takes { attempt, lost, handed_back };
        let outcome = if let Some(killed) = takes.killed("workers") {
            Err(killed)
        } else {
            tokio::select! {
                outcome = handled(LONGEST, self.handler.handle(job)) => outcome,
                never = self.renew(job) => never,
                () = out_of_time(&self.stop) => {
                    let mut tx = self.db.system(Reason::Jobs).await?;
                    jobs::hand_back(&mut tx, job, self.clock.now()).await?;
                    tx.commit().await?;
                    return Ok(Ended::HandedBack);
                }
            }
        };
        fault!("worker.handled");
        let policy = self.handler.policy(&job.envelope.kind);
        let give_up = async |error: String| self.handler.given_up(job, &error).await;
        match takes.next(outcome, policy, give_up).await {
            Next::End => Ok(Ended::Done),
            Next::Leave => Ok(Ended::Lost),
            Next::Again { error, wait } => {
                let at = self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
                self.give_back(job, Some(at), &error).await?;
                Ok(Ended::Retried { error, wait })
            }
            Next::Bury(error) => {
                fault!("worker.told");
                self.give_back(job, None, &error).await?;
                Ok(Ended::Dead(error))
            }
        }
    }

    async fn give_back(
        &self,
        job: &Job,
        at: Option<chrono::DateTime<chrono::Utc>>,
        error: &str,
    ) -> Result<(), DbError> {
        let mut tx = self.db.system(Reason::Jobs).await?;
        jobs::give_back(&mut tx, job, at, self.clock.now(), error).await?;
        tx.commit().await?;
        fault!("worker.given_back");
        Ok(())
    }

    /// Keeps the lease while the handler works; ends when another worker has the job.
    async fn renew(&self, job: &Job) -> Result<(), HandlerError> {
        loop {
            tokio::time::sleep(RENEW).await;
            let renewed = async {
                let mut tx = self.db.system(Reason::Jobs).await?;
                let kept = jobs::extend(&mut tx, job, self.clock.now() + LEASE).await?;
                tx.commit().await?;
                Ok::<bool, DbError>(kept)
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!("another worker has the job now");
                    return Err(HandlerError::LeaseLost);
                }
                Err(error) => tracing::warn!(%error, "the lease of a job could not be renewed"),
            }
        }
    }
}
