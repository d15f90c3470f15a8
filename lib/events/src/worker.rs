//! Hands due jobs to a handler.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use cs_core::Clock;
use cs_db::{Db, DbError, Reason, Wakeups};
use cs_rpc::Tasks;
use tracing::Instrument;

use crate::jobs::{self, Job};
use crate::{HandlerError, RetryPolicy, lanes};

/// A worker that died is waited for this long; one that works renews it.
const LEASE: TimeDelta = TimeDelta::seconds(30);
const RENEW: std::time::Duration = std::time::Duration::from_secs(10);

/// Does the steps of one service. It ends a job with [`jobs::finish`] in the transaction of its effect.
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// The types it does.
    fn types(&self) -> &'static [&'static str];
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
}

impl JobWorker {
    /// From the jobs in `db` to `handler`.
    pub fn new(db: Db, handler: Arc<dyn JobHandler>, clock: Arc<dyn Clock>) -> Self {
        Self { db, handler, clock }
    }

    /// Works until the tasks drain, `lanes` jobs at once. `schema` names the jobs whose inserts wake it.
    pub fn run(self, tasks: &Tasks, wakeups: &Wakeups, schema: &str, lanes: usize) {
        lanes::run(tasks, wakeups, &format!("{schema}.jobs"), lanes, move || {
            let worker = self.clone();
            async move { worker.step().await }
        });
    }

    /// Does one due job; gives how many it did.
    pub async fn step(&self) -> Result<usize, DbError> {
        let mut tx = self.db.system(Reason::Jobs).await?;
        let Some(job) = jobs::claim(&mut tx, self.handler.types(), self.clock.now(), LEASE).await? else {
            return Ok(0);
        };
        tx.commit().await?;
        let span = job.envelope.span("job");
        self.work(&job).instrument(span).await?;
        Ok(1)
    }

    async fn work(&self, job: &Job) -> Result<(), DbError> {
        let outcome = tokio::select! {
            outcome = self.handler.handle(job) => outcome,
            never = self.renew(job) => never,
        };
        let policy = self.handler.policy(&job.envelope.kind);
        let attempt = job.attempt.unsigned_abs();
        match outcome {
            Ok(()) | Err(HandlerError::LeaseLost) => Ok(()),
            Err(HandlerError::Transient(error)) if attempt < policy.attempts => {
                let wait = policy.wait(attempt);
                tracing::info!(error, attempt, ?wait, "job to be tried again");
                let at = self.clock.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
                self.give_back(job, Some(at), &error).await
            }
            Err(HandlerError::Transient(error) | HandlerError::Permanent(error)) => {
                tracing::error!(error, attempt, "job put to the dead letters");
                if let Err(told) = self.handler.given_up(job, &error).await {
                    tracing::error!(error = %told, "nobody could be told that the job was given up");
                }
                self.give_back(job, None, &error).await
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
        tx.commit().await
    }

    /// Keeps the lease while the handler works; never ends.
    async fn renew(&self, job: &Job) -> Result<(), HandlerError> {
        loop {
            tokio::time::sleep(RENEW).await;
            let renewed = async {
                let mut tx = self.db.system(Reason::Jobs).await?;
                jobs::extend(&mut tx, job, self.clock.now() + LEASE).await?;
                tx.commit().await
            };
            if let Err(error) = renewed.await {
                tracing::warn!(%error, "the lease of a job could not be renewed");
            }
        }
    }
}
