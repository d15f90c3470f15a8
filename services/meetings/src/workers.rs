//! What runs in the background: the job chain, the consumer of verdicts, the scheduler. What each writes is one transaction
//! with the job's end, the event's inbox or the window that is taken; documents alone are stored before it, under their hash.

use std::sync::Arc;

use async_trait::async_trait;
use cs_events::jobs::Job;
use cs_events::{Bus, Consumer, Envelope, EventHandler, HandlerError, JobHandler, JobWorker, RetryPolicy};
use cs_rpc::Tasks;

use crate::{Deps, SCHEMA, audit, extract, follow, scan};

/// This service's queue.
pub const QUEUE: &str = "meetings";
/// What that queue gets.
pub const EVENTS: &[&str] = &["summary.gated", "meeting.published"];
/// How often the scheduler looks.
const SCHEDULER_TICK: std::time::Duration = std::time::Duration::from_secs(1);
/// How often it looks whether a week has passed since the last audit.
const AUDIT_LOOK: std::time::Duration = std::time::Duration::from_secs(600);

struct Jobs(Deps);

#[async_trait]
impl JobHandler for Jobs {
    fn types(&self) -> &'static [&'static str] {
        &["city.scan.requested", "meeting.ingest.requested", "meeting.extract.requested", audit::REQUESTED]
    }

    fn policy(&self, kind: &str) -> RetryPolicy {
        match kind {
            // A city's web server may be away for a while, and so may the store of documents.
            "city.scan.requested" | "meeting.extract.requested" => RetryPolicy::PATIENT,
            // No later scan asks again for what was listed, so that it waits half a day for a share that is away.
            "meeting.ingest.requested" => {
                RetryPolicy { most: std::time::Duration::from_secs(30 * 60), ..RetryPolicy::PATIENT }
            }
            _ => RetryPolicy::STANDARD,
        }
    }

    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        let caller = job.envelope.caller(SCHEMA);
        match job.envelope.kind.as_str() {
            "city.scan.requested" => scan::scan(&self.0, &caller, job, &job.envelope.payload()?).await,
            "meeting.ingest.requested" => {
                scan::ingest_listed(&self.0, &caller, job, &job.envelope.payload()?).await
            }
            "meeting.extract.requested" => {
                extract::extract(&self.0, &caller, job, &job.envelope.payload()?).await
            }
            audit::REQUESTED => audit::audit(&self.0, &caller, job, &job.envelope.payload()?).await,
            other => Err(HandlerError::Permanent(format!("no step is called {other}"))),
        }
    }

    async fn given_up(&self, job: &Job, error: &str) -> Result<(), HandlerError> {
        let caller = job.envelope.caller(SCHEMA);
        match job.envelope.kind.as_str() {
            "meeting.extract.requested" => {
                extract::given_up(&self.0, &caller, &job.envelope.payload()?, error).await
            }
            "meeting.ingest.requested" => {
                scan::given_up(&self.0, &caller, &job.envelope.payload()?, error).await
            }
            _ => Ok(()),
        }
    }
}

struct Verdicts(Deps);

#[async_trait]
impl EventHandler for Verdicts {
    fn types(&self) -> &'static [&'static str] {
        EVENTS
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        let caller = envelope.caller(SCHEMA);
        match envelope.kind.as_str() {
            "summary.gated" => follow::gated(&self.0, &caller, envelope).await,
            _ => follow::published(&self.0, &caller, envelope).await,
        }
    }
}

/// The worker of this service's jobs.
pub fn job_worker(deps: &Deps, clock: Arc<dyn cs_core::Clock>) -> JobWorker {
    JobWorker::new(deps.db.clone(), Arc::new(Jobs(deps.clone())), clock)
}

/// The consumer of this service's queue.
pub fn consumer(deps: &Deps, bus: Arc<dyn Bus>) -> Consumer {
    // Half a minute without the database must not cost a verdict or a publication.
    Consumer::new(bus, QUEUE, Arc::new(Verdicts(deps.clone())), RetryPolicy::PATIENT)
}

/// Asks for scans as they become due, and for the weekly audits, until the tasks drain.
pub fn scheduler(deps: &Deps, tasks: &Tasks) {
    let (scans, audits) = (deps.clone(), deps.clone());
    tasks.every(SCHEDULER_TICK, move || {
        let deps = scans.clone();
        async move {
            let error = loop {
                match scan::schedule_one(&deps.db, &deps.ids).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => break error,
                }
            };
            tracing::warn!(%error, "the scheduler could not look for due scans; it tries again");
        }
    });
    tasks.every(AUDIT_LOOK, move || {
        let deps = audits.clone();
        async move {
            if let Err(error) = audit::schedule(&deps.db, &deps.ids).await {
                tracing::warn!(%error, "the weekly audit of evidence could not be asked for; it is tried again");
            }
        }
    });
}
