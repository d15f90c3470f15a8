//! Hands due jobs to a handler.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Wakeups};
use cs_rpc::Tasks;
use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::consumer::HAND_BACK;
use crate::jobs::{self, Job, Readable};
use crate::retry::{LOST_MOST, panicked};
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
        lanes::run(tasks, wakeups, &format!("{schema}.jobs"), lanes, lanes::POLL, move || {
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
        match self.work(&job).instrument(span).await {
            Ok(ended) => {
                told.end(&ended);
                Ok(1)
            }
            Err(error) => {
                told.end(&Ended::Unwritten(error.to_string()));
                Err(error)
            }
        }
    }

    async fn work(&self, job: &Job) -> Result<Ended, DbError> {
        let outcome = if job.lost.unsigned_abs() > LOST_MOST {
            Err(HandlerError::Permanent(format!("{} workers died with it in hand", job.lost)))
        } else {
            tokio::select! {
                outcome = AssertUnwindSafe(self.handler.handle(job)).catch_unwind() =>
                    outcome.unwrap_or_else(|panic| Err(panicked(&*panic))),
                never = self.renew(job) => never,
                () = self.out_of_time() => {
                    self.give_back(job, Some(self.clock.now()), "handed back: the process stopped").await?;
                    return Ok(Ended::HandedBack);
                }
            }
        };
        fault!("worker.handled");
        let policy = self.handler.policy(&job.envelope.kind);
        let attempt = job.attempt.unsigned_abs();
        match outcome {
            Ok(()) => Ok(Ended::Done),
            Err(HandlerError::LeaseLost) => Ok(Ended::Lost),
            Err(HandlerError::Transient(error)) if attempt < policy.attempts => {
                self.again(job, policy.wait(attempt), error).await
            }
            Err(HandlerError::Transient(error) | HandlerError::Permanent(error)) => {
                match self.handler.given_up(job, &error).await {
                    Ok(()) => {}
                    Err(HandlerError::LeaseLost) => return Ok(Ended::Lost),
                    // Put away now, whatever waits for it would wait for ever.
                    Err(HandlerError::Transient(told)) => {
                        tracing::warn!(
                            error = told,
                            "nobody can be told now that the job is given up: it comes again"
                        );
                        return self.again(job, policy.wait(attempt), error).await;
                    }
                    Err(HandlerError::Permanent(told)) => {
                        tracing::error!(error = told, "nobody could be told that the job was given up");
                    }
                }
                fault!("worker.told");
                self.give_back(job, None, &error).await?;
                Ok(Ended::Dead(error))
            }
        }
    }

    async fn again(&self, job: &Job, wait: std::time::Duration, error: String) -> Result<Ended, DbError> {
        let at = self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        self.give_back(job, Some(at), &error).await?;
        Ok(Ended::Retried { error, wait })
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

    /// Ends a while after the word to stop.
    async fn out_of_time(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(HAND_BACK).await;
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
