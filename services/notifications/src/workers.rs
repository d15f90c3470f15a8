//! What runs in the background: the consumer of this service's queue and the worker of its jobs. The sender is
//! [`crate::send`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cs_core::Clock;
use cs_events::jobs::Job;
use cs_events::{Bus, Consumer, Envelope, EventHandler, HandlerError, JobHandler, JobWorker, RetryPolicy};

use crate::{Deps, SCHEMA, announce, fan_out, home, matching, retract};

/// This service's queue.
pub const QUEUE: &str = "notifications";
/// What that queue gets.
pub const EVENTS: &[&str] = &[
    "account.deleted",
    "account.home_city_changed",
    "artifact.visibility_changed",
    "meeting.published",
    "meeting.withdrawn",
];

struct Facts(Deps);

#[async_trait]
impl EventHandler for Facts {
    fn types(&self) -> &'static [&'static str] {
        EVENTS
    }

    async fn handle(&self, envelope: &Envelope) -> Result<(), HandlerError> {
        let caller = envelope.caller(SCHEMA);
        match envelope.kind.as_str() {
            "account.home_city_changed" => home::changed(&self.0, &caller, envelope).await,
            "account.deleted" => retract::deleted(&self.0, &caller, envelope).await,
            "artifact.visibility_changed" => retract::hidden(&self.0, &caller, envelope).await,
            "meeting.published" => announce::published(&self.0, &caller, envelope).await,
            "meeting.withdrawn" => retract::withdrawn(&self.0, &caller, envelope).await,
            other => Err(HandlerError::Permanent(format!("no handler takes {other}"))),
        }
    }
}

struct FanOut(Deps);

#[async_trait]
impl JobHandler for FanOut {
    fn types(&self) -> &'static [&'static str] {
        &[announce::FAN_OUT]
    }

    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        let caller = job.envelope.caller(SCHEMA);
        fan_out::fan_out(&self.0, &caller, job, &job.envelope.payload()?).await
    }
}

struct Match(Deps);

#[async_trait]
impl JobHandler for Match {
    fn types(&self) -> &'static [&'static str] {
        &[announce::MATCH]
    }

    fn policy(&self, _kind: &str) -> RetryPolicy {
        // The index has a meeting seconds after it is published. Where search is away, or lags by an hour's
        // backlog, some four hours are waited; then an operator finds it among the dead letters.
        RetryPolicy { attempts: 60, base: Duration::from_secs(1), most: Duration::from_secs(600) }
    }

    async fn handle(&self, job: &Job) -> Result<(), HandlerError> {
        let caller = job.envelope.caller(SCHEMA);
        matching::matching(&self.0, &caller, job, &job.envelope.payload()?).await
    }
}

/// The consumer of this service's queue.
pub fn consumer(deps: &Deps, bus: Arc<dyn Bus>) -> Consumer {
    Consumer::new(bus, QUEUE, Arc::new(Facts(deps.clone())), RetryPolicy::PATIENT)
}

/// The worker of fan-out.
pub fn job_worker(deps: &Deps, clock: Arc<dyn Clock>) -> JobWorker {
    JobWorker::new(deps.db.clone(), Arc::new(FanOut(deps.clone())), clock)
}

/// The worker of saved searches, apart: search may be slow, and those who follow the city do not wait for it.
pub fn match_worker(deps: &Deps, clock: Arc<dyn Clock>) -> JobWorker {
    JobWorker::new(deps.db.clone(), Arc::new(Match(deps.clone())), clock)
}
